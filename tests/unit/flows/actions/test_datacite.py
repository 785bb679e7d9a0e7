from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.flows.actions import datacite
from relay_parsl.flows.actions.base import ActionUnableToRun, Call, Surroundings
from relay_parsl.flows.messages import ActionStatus
from relay_parsl.testing import MemoryRecords
from tests.fakes.datacite import Datacite

ATTRIBUTES = {'doi': '10.80206/ap_test', 'titles': [{'title': 'Test Title'}], 'creators': [{'name': 'Ann'}], 'publicationYear': '2026'}
BODY = {'as_test': True, 'username': 'lab', 'password': 'geheim', 'Doi': {'id': '10.80206/ap_test', 'type': 'dois', 'attributes': ATTRIBUTES}}
KEY = 'datacite/action/run:Mint:1'


@pytest.fixture(name='server')
def _server() -> Iterator[Datacite]:
    with Datacite() as server:
        yield server


def mint(body: Any, records: MemoryRecords | None = None, **settings: Any) -> ActionStatus:
    action = datacite.Datacite(Surroundings(records or MemoryRecords(), settings, lambda _: None, lambda: 2e9))
    return action.run(Call('run:Mint:1', body, time=1e9))


def test_a_doi_is_minted_and_described(server: Datacite) -> None:
    status = mint(BODY, url=server.url)
    assert (status.status, status.details['data']['id']) == ('SUCCEEDED', '10.80206/ap_test')
    assert server.asked == [('POST', '/dois')]


def test_a_suffix_follows_from_the_request(server: Datacite) -> None:
    body = {**BODY, 'Doi': {'attributes': {'prefix': '10.5072', 'event': 'publish'}}}
    found = mint(body, url=server.url).details['data']
    assert found['id'].startswith('10.5072/')
    assert len(found['id']) == 20
    assert found['attributes']['event'] == 'publish'
    assert mint(body, url=server.url).details['code'] == 'NotMinted'  # the same request without its row: the server knows it


def test_a_request_that_may_have_minted_before_a_crash_looks_first(server: Datacite) -> None:
    records = MemoryRecords()
    first = mint(BODY, records, url=server.url)
    row = records.get(KEY)
    del row['ended']
    records.put(KEY, row)
    assert mint(BODY, records, url=server.url).details == first.details
    assert server.minted == ['10.80206/ap_test']


def test_another_ones_doi_is_not_taken_for_ours_after_a_crash(server: Datacite) -> None:
    records = MemoryRecords()
    server.mint({'id': '10.80206/ap_test', 'attributes': {'titles': [{'title': 'Somebody else'}]}})
    mint(BODY, records, url='http://127.0.0.1:1')
    row = records.get(KEY)
    del row['ended']
    records.put(KEY, row)
    status = mint(BODY, records, url=server.url)
    assert (status.details['code'], status.details['http_status']) == ('NotMinted', 422)
    assert 'already been taken' in status.details['description']


def test_an_answer_that_is_lost_is_looked_up(server: Datacite) -> None:
    server.fault = 'lose'
    assert mint(BODY, url=server.url).status == 'SUCCEEDED'
    assert [method for method, _ in server.asked] == ['POST', 'GET']


@pytest.mark.parametrize(('fault', 'said'), [('redirect', 'sends elsewhere (302)'), ('html', '500 refused')])
def test_odd_answers_are_failures(server: Datacite, fault: str, said: str) -> None:
    server.fault = fault
    assert said in mint(BODY, url=server.url).details['description']


def test_wrong_credentials_are_said_and_never_kept(server: Datacite, tmp_path: Path) -> None:
    records = MemoryRecords()
    assert 'Bad credentials' in mint({**BODY, 'password': 'falsch'}, records, url=server.url).details['description']
    assert 'falsch' not in str(list(records.scan()))
    secret = tmp_path / 'password'
    secret.write_text('geheim\n')
    secret.chmod(0o600)
    body = {name: value for name, value in BODY.items() if name not in ('username', 'password')}
    assert mint(body, url=server.url, username='lab', password_file=str(secret)).status == 'SUCCEEDED'


def test_a_password_goes_nowhere_unencrypted() -> None:
    for url in ('http://api.example.org', 'ftp://api.example.org', 'file:///etc/passwd', 'api.example.org'):
        with pytest.raises(ActionUnableToRun, match='https'):
            mint(BODY, url=url)


def test_minting_for_ever_is_said_and_not_assumed() -> None:
    body = {name: value for name, value in BODY.items() if name != 'as_test'}
    with pytest.raises(ActionUnableToRun, match='as_test is missing'):
        mint(body)
    chosen = datacite.Datacite(Surroundings(MemoryRecords(), {}, lambda _: None, lambda: 2e9))
    assert chosen._registry(BODY).url == 'https://api.test.datacite.org'
    assert chosen._registry({**BODY, 'as_test': False}).url == 'https://api.datacite.org'
