"""Objects that two accounts have: whose they are, and who pays."""

from __future__ import annotations

import pytest

from relay_parsl.wire import messages as m
from tests.unit.relay.stage import Stage, a_hash, an_id


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.mark.attack(9)
@pytest.mark.parametrize('kind', ['grant', 'function'])
@pytest.mark.parametrize('enemy', ['bob', 'robot'])
def test_who_brings_an_object_first_takes_it_from_nobody(stage: Stage, enemy: str, kind: str) -> None:
    """Bob may not use the site, the robot may: whoever has caught the bytes of Ann's objects, and whatever it says of them, her tasks run."""
    thief, ann, site = stage.client(enemy), stage.client(), stage.endpoint()
    site.say(m.Need((a_hash('grant'), a_hash('function'))))
    thief.say(m.Objects(tuple([m.Object(a_hash(name), kind, m.Body(name[:1].encode())) for name in ('grant', 'function')])))
    ann.say(m.Submit((stage.task('a'),)))
    assert set(ann.one(m.Need).hashes) == {a_hash('grant'), a_hash('function')}, 'as if nobody had them'
    used = stage.reactor._core.quotas.used
    before = used(stage.rows['ann']).bytes
    stage.provide(ann)
    assert used(stage.rows['ann']).bytes == before + 2, 'she pays for hers, whoever else does'
    stage.submit(ann, 'a')
    assert ann.ids(m.Accepted) == [an_id('a')]
    site.say(m.Need((a_hash('grant'), a_hash('function'))))
    objects = site.one(m.Objects).objects
    assert [each.data for each in objects] == [b'g', b'f']
    assert objects[1].kind == 'function', 'called a grant it would be refused; a grant that is called a function is judged when a task refers to it'
    thief.say(m.Need((a_hash('grant'),)))
    assert thief.one(m.Objects).objects[0].kind == kind, 'its own'
