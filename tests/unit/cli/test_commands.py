"""The command line without any party: help, what is printed, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from relay_parsl.cli import accounts, relay, show, task
from relay_parsl.cli.main import main
from relay_parsl.endpoint.place import Place
from relay_parsl.errors import ConfigError, HomeError, TaskLost
from relay_parsl.home import Credentials, Home, Invitation, Pin, RelayEntry
from relay_parsl.version import VERSION
from relay_parsl.wire.items import State


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'home'))
    for name in ('RELAY_PARSL_RELAY', 'RELAY_PARSL_CREDENTIALS'):
        monkeypatch.delenv(name, raising=False)
    return Home.find()


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), input=text, prog_name='relay-parsl')


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, group
    for name, command in getattr(group, 'commands', {}).items():
        yield from commands(command, (*path, name))


ALL = list(commands(main))


@pytest.mark.parametrize(('path', 'command'), ALL, ids=lambda value: ' '.join(value) if isinstance(value, tuple) else None)
def test_every_command_teaches(path: tuple[str, ...], command: click.Command) -> None:
    result = run(*path, '--help')
    assert result.exit_code == 0
    assert command.help
    assert len(result.output.split('Options:')[0].split()) > 8, 'says what it does'
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f'{path}: {parameter.name}'


def test_the_commands_are_these() -> None:
    assert {' '.join(path) for path, command in ALL if not isinstance(command, click.Group)} == {
        'relay start', 'relay stop', 'relay status', 'invite', 'join', 'account list', 'account revoke', 'account export', 'account import',
        'endpoint configure', 'endpoint check', 'endpoint from-script', 'endpoint start', 'endpoint stop', 'endpoint restart', 'endpoint list',
        'endpoint show', 'endpoint logs', 'endpoint delete', 'endpoint enable-on-boot', 'endpoint disable-on-boot',
        'endpoint render', 'endpoint share', 'endpoint unshare', 'endpoint shares', 'endpoint confirm', 'endpoint rotate',
        'account quota', 'account rotate', 'relay backup', 'relay restore', 'relay migrate', 'relay rotate', 'relay key', 'relay pin',
        'task list', 'task show', 'task cancel', 'quickstart', 'audit verify', 'audit show', 'doctor',
        'flow validate', 'flow run', 'flow list', 'flow show', 'flow log', 'flow cancel', 'flow resume', 'flow release',
        'flow web-inputs', 'flow respond', 'flow serve',
    }  # fmt: skip


def test_version() -> None:
    assert run('--version').output == f'relay-parsl, version {VERSION}\n'


def test_a_wrong_command_is_bad_usage() -> None:
    assert run('endpiont').exit_code == 2


# -- the edge ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('error', 'code'),
    [(ConfigError('x: do y'), 2), (HomeError('x: do y'), 2), (TaskLost('x: do y'), 1), (TimeoutError('x: do y'), 1), (PermissionError('x: do y'), 1)],
)
def test_errors_end_as_one_line(error: Exception, code: int) -> None:
    @main.command('raise')
    def fail() -> None:
        raise error

    try:
        result = run('raise')
    finally:
        del main.commands['raise']
    assert (result.exit_code, result.stderr, result.stdout) == (code, 'error: x: do y\n', '')


# -- printing ----------------------------------------------------------------------------------------------------------

ROWS = [{'name': 'a', 'id': bytes(16), 'online': True, 'last_seen': 0, 'report': {'key': b'\1'}}]


def printed(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> str:
    show.listing(ROWS, ['name', 'id', 'online', 'last_seen', 'report', 'missing'], as_json=as_json, empty='none')
    return capsys.readouterr().out


def test_a_list_as_json_has_everything(capsys: pytest.CaptureFixture[str]) -> None:
    row = json.loads(printed(capsys, as_json=True))[0]
    assert row == {'name': 'a', 'id': '00000000-0000-0000-0000-000000000000', 'online': True, 'last_seen': 0, 'report': {'key': '01'}}


def test_a_list_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    head, row = printed(capsys, as_json=False).splitlines()
    assert head.split() == ['name', 'id', 'online', 'last', 'seen', 'report', 'missing']
    assert row.split() == ['a', '00000000-0000-0000-0000-000000000000', 'yes', '-', '{"key":', '"01"}', '-']


def test_markup_in_a_name_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show.listing([{'name': '[red]x[/red]'}], ['name'], as_json=False, empty='')
    assert '[red]x[/red]' in capsys.readouterr().out


def test_an_empty_list_says_so_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show.listing([], ['name'], as_json=False, empty='no tasks')
    assert capsys.readouterr() == ('', 'no tasks\n')
    show.listing([], ['name'], as_json=True, empty='no tasks')
    assert capsys.readouterr() == ('[]\n', '')


# -- addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('text', ['127.0.0.1:7400', '*:7400', '[::1]:80', 'host.example:1', 'tcp://host:7400'])
def test_addresses(text: str) -> None:
    assert relay.address(text, '--bind') == text.removeprefix('tcp://')


@pytest.mark.parametrize('text', ['7400', 'host', 'host:', 'host:70000', 'host:x', 'udp://host:1', 'a b:1'])
def test_what_is_no_address(home: Home, text: str) -> None:
    result = run('relay', 'start', '--bind', text)
    assert result.exit_code == 2
    assert 'is no HOST:PORT, such as 127.0.0.1:7400' in result.stderr
    assert not home.root.exists()


def test_a_relay_on_all_interfaces_is_found_by_the_name_of_its_host(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr('platform.node', lambda: 'localhost')
    assert relay.public_address('0.0.0.0:7400') == 'localhost:7400'
    assert relay.public_address('127.0.0.1:1') == '127.0.0.1:1'
    monkeypatch.setattr('platform.node', lambda: 'no-such-host.invalid')
    assert relay.public_address('*:7400') == '127.0.0.1:7400'
    assert '--public' in capsys.readouterr().err


# -- founders ----------------------------------------------------------------------------------------------------------


def test_the_first_start_makes_keys_an_operator_and_the_user_asked_for(home: Home) -> None:
    founders = relay.enrol_founders(home, 'alice')
    relay.remember(home, '127.0.0.1:7400', 'alice')
    assert [(each.name, each.role) for each in founders] == [('operator', 'operator'), ('alice', 'user')]
    entry, credentials = home.find_relay()
    assert (entry.name, entry.url, credentials.name) == ('relay', 'tcp://127.0.0.1:7400', 'alice')
    assert entry.key == Credentials.load(home.root / 'relay' / 'relay.key').keys.curve_public
    again = relay.enrol_founders(home, None)
    relay.remember(home, '127.0.0.1:7401', None)
    assert [each.id for each in again] == [founders[0].id]
    entry, credentials = home.find_relay()
    assert (entry.url, credentials.name) == ('tcp://127.0.0.1:7401', 'alice')


def test_without_a_user_the_operator_stands_in(home: Home) -> None:
    relay.enrol_founders(home, None)
    relay.remember(home, '127.0.0.1:7400', None)
    assert home.find_relay()[1].role == 'operator'


def test_a_name_of_another_role_is_refused(home: Home) -> None:
    with pytest.raises(show.BadInput, match='holds the keys of another role'):
        relay.enrol_founders(home, 'operator')


@pytest.mark.parametrize(('user', 'words'), [('alice', 'endpoint start NAME'), (None, 'invite NAME --role user')])
def test_the_next_two_commands_are_printed(home: Home, user: str | None, words: str) -> None:
    text = relay.next_commands(relay.enrol_founders(home, user), '127.0.0.1:7400')
    assert words in text
    assert '--bind 0.0.0.0:7400' in text


# -- names -------------------------------------------------------------------------------------------------------------


def invitation(home: Home) -> Invitation:
    inviter = Credentials.create('operator', 'operator', now=0, lifetime=1e12)
    return Invitation.create(RelayEntry('relay', 'tcp://example.org:7400', bytes(32), ''), inviter, 'bob', 'user', 1e12)


def test_a_joined_relay_is_called_by_its_host_or_as_asked(home: Home) -> None:
    link = invitation(home)
    assert accounts.entry_for(home, link, None).name == 'example.org'
    assert accounts.entry_for(home, link, 'work').name == 'work'
    home.add_relay(RelayEntry('mine', link.url, link.relay_key, 'x'))
    assert accounts.entry_for(home, link, None).name == 'mine', 'the name that it has here already'
    home.add_relay(RelayEntry('other', 'tcp://elsewhere:1', b'\1' * 32, 'x'))
    with pytest.raises(show.BadInput, match="another relay is called 'other' here"):
        accounts.entry_for(home, link, 'other')


@pytest.mark.parametrize(('url', 'host'), [('tcp://h:1', 'h'), ('tcp://[fe80::1]:1', 'fe80..1'), ('tcp://127.0.0.1:7400', '127.0.0.1')])
def test_hosts(url: str, host: str) -> None:
    assert accounts.host_of(url) == host


def test_an_endpoint_is_found_by_name_or_uuid() -> None:
    rows = [{'name': 'a', 'id': b'1' * 16}, {'name': 'b', 'id': b'2' * 16}]
    assert task.find_endpoint(rows, 'b') == b'2' * 16
    assert task.find_endpoint(rows, '31313131-3131-3131-3131-313131313131') == b'1' * 16
    with pytest.raises(show.BadInput, match="no endpoint 'c' that you may see; there are: a, b"):
        task.find_endpoint(rows, 'c')


def test_states_are_those_of_the_protocol(home: Home) -> None:
    assert set(task.STATES) == {state.value for state in State} - {State.UNSENT.value}
    refused = run('task', 'list', '--state', 'bogus')
    assert refused.exit_code == 2
    assert 'waiting-for-nodes' in refused.stderr


# -- what needs no relay -----------------------------------------------------------------------------------------------


def test_no_relay_is_known(home: Home) -> None:
    for arguments in (('task', 'list'), ('account', 'list'), ('invite', 'x'), ('relay', 'status')):
        result = run(*arguments)
        assert result.exit_code == 2
        assert 'no relay is known here' in result.stderr


def test_an_unknown_endpoint_is_named_with_those_that_there_are(home: Home) -> None:
    home.directory('endpoints', 'polaris')
    for command in ('stop', 'show', 'logs', 'check'):
        result = run('endpoint', command, 'polari')
        assert (result.exit_code, result.stdout) == (2, '')
        assert "no endpoint 'polari' here (there are: polaris)" in result.stderr


def test_configure_writes_a_file_that_can_be_checked(home: Home) -> None:
    result = run('endpoint', 'configure', 'laptop')
    assert result.exit_code == 0, result.output
    assert 'invite laptop --role endpoint' in result.output
    assert run('endpoint', 'configure', 'laptop').exit_code == 2
    checked = run('endpoint', 'check', 'laptop')
    assert checked.exit_code == 0, checked.output
    assert 'HtexEngine' in checked.output
    assert json.loads(run('endpoint', 'check', 'laptop', '--json').output)['pools'][0]['provider'] == 'LocalProvider'
    assert json.loads(run('endpoint', 'list', '--json').output)[0]['status'] == 'configured'


def test_configure_warns_as_check_does(home: Home) -> None:
    configured = run('endpoint', 'configure', 'polaris', '--endpoint-config', 'polaris/gpu')
    assert configured.exit_code == 0, configured.output
    assert '`YOUR_PROJECT` looks like a placeholder' in configured.output
    assert '`YOUR_PROJECT` looks like a placeholder' in run('endpoint', 'check', 'polaris').output


def test_check_tells_files_from_names(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'polaris').mkdir()
    assert 'missing.yaml: no such file' in run('endpoint', 'check', 'missing.yaml').stderr
    for name in ('polaris', '.', str(tmp_path)):
        assert f'{name} is a directory' in run('endpoint', 'check', name).stderr
    assert not home.root.exists()
    run('endpoint', 'configure', 'polaris')
    assert run('endpoint', 'check', 'polaris').exit_code == 0, 'an endpoint of this name comes first'
    assert run('endpoint', 'check', 'polaris/gpu').exit_code == 0


def test_a_failed_check_is_json_too(home: Home, tmp_path: Path) -> None:
    file = tmp_path / 'bad.yaml'
    file.write_text('engine:\n  type: HtexEngin\n')
    for name, words in ((str(file), 'HtexEngin'), ('missing.yaml', 'no such file'), ('nobody', 'no endpoint')):
        result = run('endpoint', 'check', name, '--json')
        assert (result.exit_code, result.stderr) == (2, '')
        assert words in json.loads(result.stdout)['errors'][0]


def test_an_endpoint_without_keys_says_how_to_get_them(home: Home) -> None:
    result = run('endpoint', 'start', 'laptop')
    assert result.exit_code == 2
    assert 'relay-parsl invite laptop --role endpoint' in result.stderr
    assert not home.root.exists()


def test_a_misspelt_start_makes_no_endpoint(home: Home) -> None:
    joined_alone(home)
    relay.enrol_founders(home, 'alice')
    relay.remember(home, '127.0.0.1:1', 'alice')
    result = run('endpoint', 'start', 'polrais')
    assert result.exit_code == 2
    assert "no endpoint 'polrais' here: did you mean 'polaris'?" in result.stderr
    assert [place.name for place in Place.all(home)] == ['polaris']


def test_logs_of_one_that_never_ran_detached(home: Home) -> None:
    home.directory('endpoints', 'polaris')
    assert 'has written nothing' in run('endpoint', 'logs', 'polaris').stderr
    (home.root / 'endpoints' / 'polaris' / 'endpoint.log').write_text('one\ntwo\nthree\n')
    assert run('endpoint', 'logs', 'polaris', '-n', '2').output == 'two\nthree\n'


def test_stop_of_what_does_not_run(home: Home) -> None:
    home.directory('endpoints', 'polaris')
    assert run('endpoint', 'stop', 'polaris').output == "endpoint 'polaris' does not run\n"
    assert run('relay', 'stop').exit_code == 0
    assert [run('endpoint', 'stop', 'polaris', '--grace', word).exit_code for word in ('inf', 'nan', '-1', '0')] == [2, 2, 2, 0]


@pytest.mark.parametrize(('typed', 'names'), [('p', ['perlmutter', 'polaris']), ('po', ['polaris']), ('x', [])])
def test_a_shell_completes_the_names_of_endpoints(home: Home, typed: str, names: list[str]) -> None:
    for name in ('polaris', 'perlmutter'):
        home.directory('endpoints', name)
    for command in ('start', 'show', 'stop', 'logs', 'delete', 'restart', 'configure'):
        complete = ShellComplete(main, {}, 'relay-parsl', '_RELAY_PARSL_COMPLETE')
        assert [item.value for item in complete.get_completions(['endpoint', command], typed)] == names
    both = ShellComplete(main, {}, 'relay-parsl', '_RELAY_PARSL_COMPLETE').get_completions(['endpoint', 'check'], typed)
    assert [(item.value, item.type) for item in both] == [*((name, 'plain') for name in names), (typed, 'file')]


def test_delete_asks_and_removes(home: Home) -> None:
    path = home.directory('endpoints', 'polaris')
    assert run('endpoint', 'delete', 'polaris', text='n\n').exit_code == 1
    assert path.exists()
    assert run('endpoint', 'delete', 'polaris', '--yes').exit_code == 0
    assert not path.exists()


def joined_alone(home: Home) -> Place:
    """An endpoint of a home that has no account and knows no relay."""
    place = Place(home, 'polaris')
    made, owner = (Credentials.create(name, role, now=0, lifetime=1e12) for name, role in (('polaris', 'endpoint'), ('alice', 'user')))
    place.enrolled(made, RelayEntry('relay', 'tcp://127.0.0.1:1', bytes(32), ''), Pin('alice', owner.card.identity, 'user'))
    return place


def test_without_the_account_the_relay_is_not_asked(home: Home) -> None:
    place = joined_alone(home)
    shown = json.loads(run('endpoint', 'show', 'polaris', '--json').output)
    assert shown['trusts'] == ['alice']
    assert shown['at_relay'] == 'only its owner can ask the relay: run this where the account is'
    deleted = run('endpoint', 'delete', 'polaris', '--yes').output
    assert 'only its owner can ask it: `relay-parsl account revoke polaris` where the account is' in deleted
    assert not place.exists


def test_one_that_has_not_joined_says_so(home: Home) -> None:
    run('endpoint', 'configure', 'laptop')
    shown = json.loads(run('endpoint', 'show', 'laptop', '--json').output)
    assert shown['at_relay'].startswith('not joined yet: where your account is, `relay-parsl invite laptop --role endpoint`')


def test_an_account_moves(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Credentials.create('alice', 'user', now=0, lifetime=1e12)
    made.save(home.credentials_path('alice'))
    file = tmp_path / 'alice.account'
    secret = 'correct horse\n'
    assert run('account', 'export', str(file), text=secret * 2).exit_code == 0
    monkeypatch.setenv('RELAY_PARSL_HOME', str(tmp_path / 'other'))
    wrong = run('account', 'import', str(file), text='incorrect horse\n')
    assert wrong.exit_code == 2
    assert 'passphrase is another one' in wrong.stderr
    assert run('account', 'import', str(file), text=secret).exit_code == 0
    assert Credentials.load(Home.find().credentials_path('alice')).id == made.id


def test_an_export_without_an_account_asks_for_no_passphrase(home: Home, tmp_path: Path) -> None:
    result = run('account', 'export', str(tmp_path / 'file'))
    assert (result.exit_code, result.stdout) == (2, '')
    assert 'there is no account in' in result.stderr
    assert not home.root.exists()


def test_the_only_user_is_exported_beside_an_operator(home: Home, tmp_path: Path) -> None:
    relay.enrol_founders(home, 'alice')
    file = tmp_path / 'file'
    unknown = run('account', 'export', str(file), '--account', 'bob')
    assert (unknown.exit_code, unknown.stdout) == (2, '')
    assert "no account 'bob' here: say which with --account (alice, operator)" in unknown.stderr
    assert "'alice' is in" in run('account', 'export', str(file), text='correct horse\n' * 2).output
    Credentials.create('carol', 'user', now=0, lifetime=1e12).save(home.credentials_path('carol'))
    assert '3 accounts are here' in run('account', 'export', str(file)).stderr


@pytest.mark.parametrize('link', ['x', 'relay-parsl://h:1/#AAAA', 'https://example.org'])
def test_what_is_no_invitation(home: Home, link: str) -> None:
    result = run('join', link)
    assert result.exit_code == 2
    assert result.stderr.startswith('error: this is no invitation')
