"""A run is its events: what is replayed from the first, from any snapshot, or by somebody who only looks, is what the engine has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay_parsl.flows.definition import Definition
from relay_parsl.flows.engine import live
from relay_parsl.flows.journal.coding import dump, load, load_any
from relay_parsl.flows.replay import Bookmark, replay
from relay_parsl.flows.terms import TERMS
from tests.unit.flows.engine_rig import Rig, action, until

LOOP: dict[str, Any] = {
    'Act': action('succeed', Parameters={'do': 'succeed', 'details': {'a': 1}}, End=None, Next='Add'),
    'Add': {'Type': 'ExpressionEval', 'Parameters': {'n.=': 'n + r.details.a', 'text.=': 'text + "x"'}, 'ResultPath': '$.next', 'Next': 'Move'},
    'Move': {'Type': 'Pass', 'Parameters': {'n.$': '$.next.n', 'text.$': '$.next.text', 'r.$': '$.r'}, 'Next': 'Again'},
    'Again': {'Type': 'Choice', 'Choices': [{'Variable': '$.n', 'NumericLessThan': 40, 'Next': 'Act'}], 'Default': 'Refused'},
    'Refused': action('refuse', Catch=[{'ErrorEquals': ['States.ALL'], 'Next': 'Hang', 'ResultPath': '$.error'}]),
    'Hang': action('hang'),
}
BODY = {'n': 0, 'text': ''}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.close()


@pytest.mark.parametrize('every', [1, 3, 50])
def test_snapshots_and_replays_agree(rig: Rig, monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    monkeypatch.setattr(live, 'SNAPSHOT', every)
    run_id = rig.submit(LOOP, BODY)
    file = rig.journal.file
    begun = load(Bookmark, file.one('SELECT bookmark FROM snapshots')[0])
    definition = load(Definition, file.one('SELECT definition FROM definitions')[0])
    rig.start()
    until(lambda: rig.journal.runs()[0]['state'] == 'Hang', 'it hangs')
    until(lambda: (rig.journal.run(run_id)['action'] or {}).get('details') == {'bytes': 0}, 'the action is known')
    seen = rig.journal.run(run_id)
    assert (seen['payload']['n'], seen['payload']['text'], 'not like that' in str(seen['payload']['error'])) == (40, 40 * 'x', True)
    events = [(time, load_any(event)) for time, event in file.all('SELECT time, event FROM events ORDER BY n')]
    assert len(events) == file.one('SELECT events FROM runs')[0]
    whole = replay(definition, begun, events, TERMS)
    assert whole.record.payload == seen['payload']
    taken, text = file.one('SELECT events, bookmark FROM snapshots')
    assert 0 <= len(events) - taken < every
    assert dump(replay(definition, begun, events[:taken], TERMS)) == text
    assert replay(definition, load(Bookmark, text), events[taken:], TERMS) == whole
    rig.stop()
    rig.start()
    until(lambda: rig.engine is not None and rig.engine.holding.is_set() and len(rig.made) > 1, 'it goes on')
    rig.provider.end(f'id of {run_id}:Hang:1')
    ended = rig.ended(run_id)
    assert ended['status'] == 'SUCCEEDED'
    assert ended['payload']['n'] == 40
    events = [(time, load_any(event)) for time, event in file.all('SELECT time, event FROM events ORDER BY n')]
    assert dump(replay(definition, begun, events, TERMS)) == file.one('SELECT bookmark FROM snapshots')[0]


def test_numbers_of_released_runs_are_not_had_again(rig: Rig) -> None:
    rig.start()
    states = {'P': {'Type': 'Pass', 'End': True}}
    for _ in range(3):
        run_id = rig.submit(states)
        rig.ended(run_id)
        rig.journal.ask(run_id, 'release')
    assert rig.journal.runs() == []
