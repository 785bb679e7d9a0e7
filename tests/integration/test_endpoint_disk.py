"""An endpoint whose journal refuses for a while: nothing is lost, and nothing goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from relay_parsl.endpoint.commits import AFTER_ERROR
from relay_parsl.endpoint.journal import SqliteJournal
from relay_parsl.endpoint.reactor import EndpointReactor
from relay_parsl.engines.base import Changed
from relay_parsl.errors import StoreError
from relay_parsl.wire.messages import Message
from tests.integration.commands import until
from tests.integration.hand_relay import Site, double, site_in

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with site_in(tmp_path / 'home') as made:
        yield made


@pytest.mark.fault(36)
def test_while_the_journal_refuses_nothing_leaves_and_nothing_is_lost(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([True] * 3)
    commit = SqliteJournal.commit

    def failing(journal: SqliteJournal) -> None:
        if journal._database.in_transaction and next(failures, False):
            raise StoreError('the disk is full')
        commit(journal)

    party = site.serve()
    monkeypatch.setattr(SqliteJournal, 'commit', failing)
    site.give(double, 21, at_most_once=True)
    work = site.engine.work()
    assert next(failures, None) is None, 'the start waited until its mark was written'
    site.engine.finish(work, 42)
    assert site.value_of(site.relay.result()) == 42
    assert party.error is None


@pytest.mark.fault(36)
def test_while_the_journal_refuses_nothing_is_taken_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    full, refused = True, 0
    taken: list[Message] = []
    commit, receive = SqliteJournal.commit, EndpointReactor.receive

    def failing(journal: SqliteJournal) -> None:
        nonlocal refused
        if journal._database.in_transaction and full:
            refused += 1
            raise StoreError('the disk is full')
        commit(journal)

    def taking(reactor: EndpointReactor, message: Message, now: float) -> None:
        if refused:
            taken.append(message)
        receive(reactor, message, now)

    site.serve()
    monkeypatch.setattr(SqliteJournal, 'commit', failing)
    monkeypatch.setattr(EndpointReactor, 'receive', taking)
    site.give(double, 21, at_most_once=True)
    until(lambda: refused)
    site.give(double, 22)
    before = refused
    until(lambda: refused > before + 5)
    assert (taken, site.engine.works) == ([], [])
    full = False
    until(lambda: len(site.engine.works) == 2)
    assert taken


def test_a_journal_that_refuses_is_asked_with_pauses_also_while_engines_have_news(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    commit = SqliteJournal.commit

    def failing(journal: SqliteJournal) -> None:
        if journal._database.in_transaction and len(asked) < 5:
            asked.append(time.monotonic())
            site.engine.say(Changed(site.engine.status()))
            raise StoreError('the disk is full')
        commit(journal)

    site.serve()
    monkeypatch.setattr(SqliteJournal, 'commit', failing)
    site.give(double, 21, at_most_once=True)
    site.engine.work()
    assert len(asked) == 5
    assert all(later - earlier >= AFTER_ERROR for earlier, later in pairwise(asked))
