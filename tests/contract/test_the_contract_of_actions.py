"""The contract suite tells bad providers from good ones: each of these breaks one promise, and one test of the suite says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay_parsl import testing
from relay_parsl.flows.actions.base import Action, ActionUnableToRun, Call, Description, Surroundings
from relay_parsl.flows.actions.bodies import Fields
from relay_parsl.flows.actions.kept import Kept, Row
from relay_parsl.flows.messages import ActionStatus


class Mint(Kept):
    """A good one: the example of the documentation."""

    description = Description('mint', 'Mint a DOI', ('https://example.org/mint',), synchronous=True, input_schema={'type': 'object'})
    minted: list[str]

    def check(self, call: Call) -> Row:
        fields = Fields(call.body)
        name = fields.text('name')
        fields.only()
        fields.done()
        return {'name': name}

    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        if not again:
            self.minted.append(row['name'])
        return self.succeeded(action_id, row, {'doi': f'10.5072/{row["name"]}'})


class Contract(testing.ActionContract):
    kind: type[Mint] = Mint

    def __init__(self, kind: type[Mint] = Mint) -> None:
        self.minted: list[str] = []
        self.kind = kind

    def make(self, surroundings: Surroundings) -> Action:
        action = self.kind(surroundings)
        action.minted = self.minted
        return action

    def body(self) -> Any:
        return {'name': 'scan 7'}

    def other_body(self) -> Any:
        return {'name': 'scan 8'}

    def bad_bodies(self) -> Mapping[str, Any]:
        return {'name': {}}

    def done(self) -> int | None:
        return len(self.minted)


class Twice(Mint):
    def run(self, call: Call) -> ActionStatus:
        self.minted.append('x')
        return super().run(call)


class Forgetful(Mint):
    def find(self, action_id: str) -> Row | None:
        return None if self.fresh else super().find(action_id)

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self.fresh = True

    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        self.fresh = False
        return super().begin(action_id, row, again=again)


class AnyBody(Mint):
    def run(self, call: Call) -> ActionStatus:
        row = self.find(call.request_id)
        return ActionStatus(**row['ended']) if row else super().run(call)


class Vague(Mint):
    def check(self, call: Call) -> Row:
        try:
            return super().check(call)
        except ActionUnableToRun:
            raise ActionUnableToRun('something is wrong with this object') from None


class Untidy(Mint):
    def check(self, call: Call) -> Row:
        self.surroundings.records.put('seen', call.request_id)
        return super().check(call)


class Lenient(Mint):
    def status(self, action_id: str) -> ActionStatus:
        try:
            return super().status(action_id)
        except KeyError:
            return ActionStatus(action_id, 'FAILED', {}, 'FAILED', 1.0, 2.0)


class Timeless(Mint):
    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        return replace(super().begin(action_id, row, again=again), completion_time=1.0)


class Nameless(Mint):
    description = replace(Mint.description, title='')


class Slashed(Mint):
    description = replace(Mint.description, urls=('https://example.org/mint/',))


class Unsaid(Mint):
    """Goes on after `run`, ends at the next look, and tells nobody."""

    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        super().begin(action_id, row, again=again)
        return self.active(action_id, row)

    def standing(self, action_id: str, row: Row) -> ActionStatus:
        return self.succeeded(action_id, row, {})


class Python(Mint):
    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        return replace(super().begin(action_id, row, again=again), details={1: (2, 3)})


class Eternal(Mint):
    def release(self, action_id: str) -> ActionStatus:
        return self.status(action_id)


def promises_of(contract: testing.ActionContract) -> list[Callable[[Path], None]]:
    return [getattr(contract, name) for name in dir(contract) if name.startswith('test_')]


def test_a_good_one_keeps_it(tmp_path: Path) -> None:
    names = {each.__name__ for each in promises_of(Contract())}
    assert len(names) >= 13
    for name in names:
        getattr(Contract(), name)(tmp_path)


@pytest.mark.parametrize(
    ('kind', 'name'),
    [
        (Twice, 'test_the_same_request_is_done_once'),
        (Forgetful, 'test_a_new_instance_goes_on'),
        (AnyBody, 'test_another_body_under_the_same_request_is_refused'),
        (Vague, 'test_bad_bodies_begin_nothing'),
        (Untidy, 'test_bad_bodies_begin_nothing'),
        (Lenient, 'test_an_unknown_action_is_a_key_error'),
        (Timeless, 'test_it_runs_to_its_end'),
        (Nameless, 'test_it_describes_itself'),
        (Slashed, 'test_it_describes_itself'),
        (Unsaid, 'test_it_runs_to_its_end'),
        (Python, 'test_it_runs_to_its_end'),
        (Eternal, 'test_release_forgets'),
    ],
)
def test_a_broken_promise_is_found(kind: type[Mint], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('relay_parsl.testing.actions.PATIENCE', 0.3)
    with pytest.raises((AssertionError, KeyError)):
        getattr(Contract(kind), name)(tmp_path)
