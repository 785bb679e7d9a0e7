"""`relay-parsl endpoint from-script`: a batch script becomes an endpoint file."""

from __future__ import annotations

from pathlib import Path

import click

from relay_parsl.cli.show import BadInput


@click.command('from-script')
@click.argument('script', type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar='SCRIPT')
@click.option('-o', '--output', type=click.Path(dir_okay=False, path_type=Path), metavar='FILE', help='Write the endpoint file there, not to stdout.')
@click.option('--force', is_flag=True, help='Replace FILE if it is there.')
def from_script(script: Path, output: Path | None, force: bool) -> None:
    """Make an endpoint file of a batch script, for PBS or Slurm.

    Directives become the provider, with the line that each comes from; modules, environments and exports become `worker_init`; what runs on each GPU
    and CPU becomes workers with accelerators and affinity; MPI over several nodes becomes an MPIEngine. The work itself stands at the end, as a
    Python function that runs it as tasks. What an endpoint cannot do is named at the top, with what to do instead.

    \b
      relay-parsl endpoint from-script job.pbs -o polaris.yaml
      relay-parsl endpoint check polaris.yaml
      relay-parsl endpoint configure polaris --endpoint-config polaris.yaml
    """  # noqa: D301  click takes the backspaces for its marks
    from relay_parsl.endpoint import from_script as convert

    text = convert.from_script(script.read_bytes(), script.name)
    if output is None:
        click.echo(text, nl=False)
        return
    if output.exists() and not force:
        raise BadInput(f'{output} exists: give another name, or replace it with --force')
    output.write_text(text)
    click.echo(f'{output}\nnext: read it, then relay-parsl endpoint check {output}')
