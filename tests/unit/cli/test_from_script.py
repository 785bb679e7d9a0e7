"""`endpoint from-script` as a command: where the file goes, what is refused."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from relay_parsl.cli.main import main


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), prog_name='relay-parsl')


def test_a_batch_script_becomes_a_file_that_can_be_checked(tmp_path: Path) -> None:
    job, made = tmp_path / 'job.sbatch', tmp_path / 'made.yaml'
    job.write_text('#SBATCH -A mine -t 10\n./app\n')
    assert run('endpoint', 'from-script', str(job), '-o', str(made)).stdout == f'{made}\nnext: read it, then relay-parsl endpoint check {made}\n'
    assert run('endpoint', 'from-script', str(job)).stdout == made.read_text()
    assert run('endpoint', 'check', str(made)).exit_code == 0
    again = run('endpoint', 'from-script', str(job), '-o', str(made))
    assert (again.exit_code, again.stderr) == (2, f'error: {made} exists: give another name, or replace it with --force\n')
    assert run('endpoint', 'from-script', str(job), '-o', str(made), '--force').exit_code == 0
    job.write_text('./app\n')
    refused = run('endpoint', 'from-script', str(job))
    assert (refused.exit_code, refused.stdout) == (2, '')
    assert 'job.sbatch: has no directives' in refused.stderr
    assert run('endpoint', 'from-script', str(tmp_path / 'none')).exit_code == 2


def test_help_of_endpoint_lists_its_commands_once_and_all() -> None:
    shown = run('endpoint', '--help').stdout
    before, _, listed = shown.partition('Options:')
    names = [line.split()[0] for line in listed.partition('Commands:')[2].splitlines() if line[:2] == '  ' and line[2:3].strip()]
    assert {'check', 'configure', 'from-script', 'start', 'stop'} < set(names)
    assert not [line for line in before.splitlines() if line.split()[:1] and line.split()[0] in names]
