"""What an endpoint lets pass, and everything that it does not: nothing is unpickled here, whatever comes."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from relay_parsl.endpoint.effects import Start
from relay_parsl.endpoint.gate import ALLOWED, Gate, Refusal
from relay_parsl.endpoint.policy import FunctionPolicy
from relay_parsl.errors import TaskCancelled, TaskRejected, VersionMismatch, WorkerLost
from relay_parsl.wire import codec, payload
from relay_parsl.wire.messages import Body, Hash, Object, Status, Task
from relay_parsl.wire.seal import Keys, hash_uuid, issue_card, issue_voucher, new_curve, uuid_of
from tests.unit.endpoint.sender import Sender

NOW = 1_800_000_000.0
SITE, OTHER, ALICE, MALLORY = (Keys.generate() for _ in range(4))
CARD, OTHER_CARD = (issue_card(keys, 'endpoint', serial=1, not_after=NOW + 1e6) for keys in (SITE, OTHER))


def double(number: int) -> int:
    return 2 * number


BLOB = payload.dump_function(double)


class Site:
    """A gate, and Alice, whom it trusts."""

    def __init__(self, policy: FunctionPolicy | None = None, *, signer: Keys = ALICE, called: str = 'grant') -> None:
        self.trusted = {ALICE.identity_public}
        self.gate = Gate(SITE, 3, policy or FunctionPolicy(), lambda: self.trusted)
        self.sender = Sender(signer, CARD, NOW)
        self.function = self.sender.function(BLOB)
        self.refused = self.gate.keep(self.sender.grant_object._replace(kind=called), NOW), self.gate.keep(self.function, NOW)

    def start(self, task: Task | None = None, **fields: Any) -> Start:
        task = task or self.sender.task(self.function, BLOB, (21,), **fields)
        return Start(1, task.header, task.payload, 0, codec.task_header(task.header))


@pytest.mark.parametrize('called', ['grant', 'function'])
def test_what_a_trusted_signer_sends_passes_with_its_call_whatever_others_call_its_grant(called: str) -> None:
    site = Site(called=called)
    opened = site.gate.open(site.start(options={'retries': 2}), NOW)
    assert payload.load_arguments(opened.call.arguments) == ((21,), {})
    assert opened.function.blob == BLOB
    assert opened.call.options == {'retries': 2}
    assert opened.grant.account == site.sender.grant.account


@pytest.mark.parametrize(
    'options',
    [
        {'resource_specification': 5},
        {'resource_specification': ['priority']},
        {'user_endpoint_config': 'gpu'},
        {'timeout': 0},
        {'timeout': '5'},
        {'timeout': True},
        {'timeout': float('inf')},
        {'retries': -1},
        {'retries': True},
        {'retries': '2'},
        {'result_serializers': 'json'},
        {'result_serializers': ['json', 5]},
    ],
)
def test_options_that_no_engine_can_work_with_fail_their_task(options: dict[str, Any]) -> None:
    site = Site()
    with pytest.raises(TaskRejected, match=f'{next(iter(options))}: a '):
        site.gate.open(site.start(options=options), NOW)


def test_options_that_are_nothing_and_those_of_later_versions_pass() -> None:
    options: dict[str, Any] = {'resource_specification': None, 'user_endpoint_config': {}, 'retries': 0, 'result_serializers': ['json'], 'colour': 5}
    options['timeout'] = 2.5
    site = Site()
    assert site.gate.open(site.start(options=options), NOW).call.options == options


class Service(Site):
    """A gate that trusts Alice, and a service that she vouches for."""

    def __init__(self, voucher_of: Keys = ALICE) -> None:
        super().__init__()
        robot = Keys.generate()
        self.card = issue_card(robot, 'service', serial=1, not_after=NOW + 1000)
        self.sender = Sender(robot, CARD, NOW, kind='service', voucher=issue_voucher(voucher_of, 'robot', self.card).data)
        self.function = self.sender.function(BLOB)
        self.refused = self.gate.keep(self.sender.grant_object, NOW), self.gate.keep(self.function, NOW)


def test_what_a_service_of_a_trusted_account_sends_passes_as_its_own() -> None:
    site = Service()
    assert site.refused == ('', '')
    opened = site.gate.open(site.start(), NOW)
    assert opened.grant.account == site.card.id
    about = site.gate.about(site.sender.grant.hash)
    assert (about['account'], about['name'], about['voucher_of']) == (site.card.id.hex(), 'robot', uuid_of(ALICE.identity_public).hex())


def test_a_service_ends_with_the_trust_in_its_owner_and_with_its_voucher() -> None:
    site = Service()
    with pytest.raises(Refusal, match='whoever vouches'):
        site.gate.open(site.start(), NOW + 1001)
    site.trusted.clear()
    with pytest.raises(Refusal, match='whoever vouches'):
        site.gate.open(site.start(), NOW)


def test_a_service_of_a_stranger_is_one() -> None:
    assert 'not trusted' in Service(MALLORY).refused[0]


def test_an_object_with_the_hash_of_another_is_refused() -> None:
    site = Site()
    assert 'hash of another' in site.gate.keep(Object(Hash(bytes(32)), 'function', Body(b'code')), NOW)


@pytest.mark.attack(11)
def test_a_grant_of_a_stranger_is_refused() -> None:
    assert 'not trusted' in Site(signer=MALLORY).refused[0]


@pytest.mark.attack(13)
def test_a_grant_to_another_endpoint_is_refused() -> None:
    site = Site()
    assert 'another endpoint' in site.gate.keep(Sender(ALICE, OTHER_CARD, NOW).grant_object, NOW)


@pytest.mark.attack(15)
def test_a_grant_that_expired_is_refused_also_when_it_was_taken_before() -> None:
    site = Site()
    assert 'not valid now' in site.gate.keep(Sender(ALICE, CARD, NOW - 1e6).grant_object, NOW)
    with pytest.raises(Refusal, match='expired'):
        site.gate.open(site.start(), NOW + 90_000)


def test_a_signer_that_was_taken_off_the_list_is_refused_from_then_on() -> None:
    site = Site()
    site.trusted.clear()
    with pytest.raises(Refusal, match='does not trust'):
        site.gate.open(site.start(), NOW)


@pytest.mark.attack(12)
def test_every_changed_bit_of_a_task_is_refused() -> None:
    site = Site()
    task = site.sender.task(site.function, BLOB, (21,))
    for at in range(0, len(task.payload), 7):
        changed = bytearray(task.payload)
        changed[at] ^= 1
        with pytest.raises(Refusal):
            site.gate.open(site.start(Task(task.header, Body(bytes(changed)))), NOW)


@pytest.mark.attack(12)
@pytest.mark.parametrize(
    'change', [{'sequence': 99}, {'task_id': bytes(16)}, {'group': bytes(16)}, {'expires': NOW}, {'priority': -9}, {'at_most_once': True}]
)
def test_a_header_that_the_relay_changed_is_refused(change: dict[str, Any]) -> None:
    site = Site()
    task = site.sender.task(site.function, BLOB, (21,))
    header = codec.encode_header(codec.task_header(task.header)._replace(**change))
    with pytest.raises(Refusal):
        site.gate.open(site.start(Task(header, task.payload)), NOW)


@pytest.mark.attack(13)
def test_a_task_for_another_endpoint_is_refused() -> None:
    site = Site()
    with pytest.raises(Refusal, match='not addressed'):
        site.gate.open(site.start(endpoint=OTHER_CARD.id), NOW)


@pytest.mark.attack(12, 21)
def test_another_function_than_the_call_names_does_not_run() -> None:
    site = Site()
    other = site.sender.function(payload.dump_function(lambda number: -number))
    site.gate.keep(other, NOW)
    with pytest.raises(TaskRejected, match='not the one'):
        site.gate.open(site.start(site.sender.task(other, BLOB, (21,))), NOW)


@pytest.mark.attack(12)
def test_a_function_that_is_no_seal_of_the_grant_does_not_run() -> None:
    site = Site()
    foreign = Sender(ALICE, CARD, NOW).function(BLOB)
    site.gate.keep(foreign, NOW)
    with pytest.raises(TaskRejected, match='function cannot be used'):
        site.gate.open(site.start(site.sender.task(foreign, BLOB, (21,))), NOW)


def test_a_body_of_another_length_than_the_call_says_is_not_read() -> None:
    site = Site()
    assert site.gate.open(site.start(length=1000), NOW).call.length == 1000
    with pytest.raises(TaskRejected, match='spooled'):
        site.gate.open(site.start(length=1000, body=5), NOW)
    with pytest.raises(TaskRejected, match='spooled'):
        site.gate.open(site.start(body=5), NOW)


# -- Function policy -------------------------------------------------------------------------------------------------


@pytest.mark.attack(21, 23)
def test_only_listed_hashes_run_and_their_arguments_are_data() -> None:
    digest = sha256(BLOB).digest()
    for name in (digest.hex(), hash_uuid(digest)):
        site = Site(FunctionPolicy('hashes', frozenset({name})))
        assert site.gate.open(site.start(options={ALLOWED: ['cloudpickle']}), NOW).call.options == {ALLOWED: ['json']}
        with pytest.raises(TaskRejected, match='takes no launcher_options'):
            site.gate.open(site.start(options={'resource_specification': {'launcher_options': 'touch /x'}}), NOW)
    site = Site(FunctionPolicy('hashes', frozenset({sha256(b'other').hexdigest()})))
    with pytest.raises(TaskRejected, match='policy'):
        site.gate.open(site.start(), NOW)


def test_a_function_that_is_called_like_a_listed_hash_does_not_run() -> None:
    listed = hash_uuid(bytes(32))

    def posing(number: int) -> int:
        return number

    posing.__name__ = posing.__qualname__ = listed
    site = Site(FunctionPolicy('hashes', frozenset({listed})))
    blob = payload.dump_function(posing)
    assert payload.describe(blob).name == listed
    function = site.sender.function(blob)
    site.gate.keep(function, NOW)
    with pytest.raises(TaskRejected, match='policy'):
        site.gate.open(site.start(site.sender.task(function, blob, (5,))), NOW)


SOURCE = 'def double(number):\n    return 2 * number\n'
LISTED = payload.dump_source(SOURCE, 'double')
ALIKE = {
    'one byte': payload.dump_source(SOURCE.replace('2', '3'), 'double'),
    'a space behind': payload.dump_source(SOURCE + ' ', 'double'),
    'a line more': payload.dump_source(SOURCE + '\n', 'double'),
    'a tab for spaces': payload.dump_source(SOURCE.replace('    ', '\t'), 'double'),
    'a comment': payload.dump_source(SOURCE + '# the same\n', 'double'),
    'the same as bytecode': BLOB,
    'a field behind': codec.pack([*codec.unpack(LISTED), 'more']),
}


class Strict(Site):
    """A gate that lists one function, and has seen it."""

    def __init__(self) -> None:
        super().__init__(FunctionPolicy('hashes', frozenset({sha256(LISTED).hexdigest()})))
        self.listed = self.add(LISTED)
        assert self.gate.open(self.start(self.sender.task(self.listed, LISTED, (21,), serializer='json')), NOW).function.blob == LISTED

    def add(self, blob: bytes) -> Object:
        function = self.sender.function(blob)
        assert self.gate.keep(function, NOW) == ''
        return function


@pytest.mark.attack(21)
@pytest.mark.parametrize('what', ALIKE)
def test_a_function_that_is_nearly_the_listed_one_is_another(what: str) -> None:
    site, blob = Strict(), ALIKE[what]
    with pytest.raises(TaskRejected, match='policy'):
        site.gate.open(site.start(site.sender.task(site.add(blob), blob, (21,), serializer='json')), NOW)


@pytest.mark.attack(21)
@pytest.mark.parametrize('what', ALIKE)
def test_the_listed_hash_in_a_call_does_not_make_other_code_the_listed_one(what: str) -> None:
    """Whoever may send says, under the seal, that it is the listed function, and sends another."""
    site, blob = Strict(), ALIKE[what]
    with pytest.raises(TaskRejected, match='not the one that the call names'):
        site.gate.open(site.start(site.sender.task(site.add(blob), blob, (21,), serializer='json', digest=sha256(LISTED).digest())), NOW)


@pytest.mark.attack(21)
def test_the_listed_hash_in_the_clear_header_does_not_help_other_code() -> None:
    """It names the object of the listed function, and the call is of another; or the hash of the code; or other bytes come under it."""
    site, blob = Strict(), ALIKE['one byte']
    with pytest.raises(TaskRejected, match='not the one that the call names'):
        site.gate.open(site.start(site.sender.task(site.listed, blob, (21,), serializer='json')), NOW)
    plain = Object(Hash(sha256(LISTED).digest()), 'function', Body(blob))
    assert 'hash of another' in site.gate.keep(plain, NOW)
    with pytest.raises(TaskRejected, match='cannot be used'):
        site.gate.open(site.start(site.sender.task(plain, LISTED, (21,), serializer='json')), NOW)
    assert 'hash of another' in site.gate.keep(site.listed._replace(data=site.add(blob).data), NOW)


@pytest.mark.attack(22)
def test_only_listed_names_run_and_no_code_passes_for_one() -> None:
    site = Site(FunctionPolicy('names', frozenset({'math:factorial', 'double'})))
    with pytest.raises(TaskRejected, match='policy'):
        site.gate.open(site.start(), NOW)
    for name, passes in (('math:factorial', True), ('os:system', False), ('math:sqrt', False)):
        blob = payload.dump_importable(name)
        function = site.sender.function(blob)
        site.gate.keep(function, NOW)
        start = site.start(site.sender.task(function, blob, (5,), serializer='json'))
        if passes:
            assert site.gate.open(start, NOW).call.options == {ALLOWED: ['json']}
        else:
            with pytest.raises(TaskRejected, match='policy'):
                site.gate.open(start, NOW)


@pytest.mark.attack(23)
def test_a_sender_cannot_say_what_its_arguments_may_be_made_of() -> None:
    site = Site()
    assert ALLOWED not in site.gate.open(site.start(options={ALLOWED: ['json']}), NOW).call.options


# -- Versions --------------------------------------------------------------------------------------------------------


@pytest.mark.fault(53)
def test_bytecode_of_another_python_is_refused_with_both_versions_and_remedies() -> None:
    site = Site()
    opened = site.gate.open(site.start(python='3.9'), NOW)
    site.gate.python(opened, None)
    with pytest.raises(VersionMismatch, match=r'3\.9.*3\.12.*register_source_code'):
        site.gate.python(opened, '3.12')


@pytest.mark.fault(53)
def test_source_runs_under_any_python() -> None:
    site = Site()
    blob = payload.dump_source('def f():\n    return 1\n', 'f')
    function = site.sender.function(blob)
    site.gate.keep(function, NOW)
    site.gate.python(site.gate.open(site.start(site.sender.task(function, blob)), NOW), '3.99')


# -- Results ---------------------------------------------------------------------------------------------------------


def test_results_and_failures_are_sealed_for_who_asked() -> None:
    site = Site()
    start = site.start()
    outcome = payload.encode_outcome(payload.Outcome(True, payload.dump_value(42)))
    header, result = site.gate.result(start.info, 2, Status.SUCCESS, outcome, 77)
    assert header == codec.result_header(result.header)
    assert (header.task_id, header.epoch, header.attempt, header.status, header.body) == (start.info.task_id, 3, 2, Status.SUCCESS, 77)
    assert payload.load_outcome(site.sender.outcome(result).data) == 42
    failed = site.gate.failure(start.info, 1, WorkerLost('signal 9')).result
    with pytest.raises(WorkerLost, match='signal 9'):
        payload.load_outcome(site.sender.outcome(failed).data)
    cancelled = site.gate.failure(start.info, 1, TaskCancelled('before it ran'), Status.CANCELLED)
    assert cancelled.info.status is Status.CANCELLED


def test_what_cannot_be_sealed_says_why_and_is_no_success() -> None:
    site = Site()
    start = site.start()
    site.gate.drop(site.sender.grant.hash)
    header, result = site.gate.result(start.info, 1, Status.SUCCESS, b'outcome')
    assert header == codec.result_header(result.header)
    assert result.payload == b''
    assert (header.status, header.reason.split(':')[0]) == (Status.FAILED, 'denied')


def test_a_dropped_function_must_come_again() -> None:
    site = Site()
    site.gate.open(site.start(), NOW)
    site.gate.drop(site.function.hash)
    with pytest.raises(TaskRejected, match='function cannot be used'):
        site.gate.open(site.start(), NOW)


# -- New keys --------------------------------------------------------------------------------------------------------


def renewed(*old: bytes) -> Keys:
    return Keys(SITE.identity, new_curve(), new_curve(), old)


def test_grants_to_an_old_key_hold_while_it_counts_and_then_nothing_begins_under_them() -> None:
    site = Site()
    first, running = site.start(), site.start()
    site.gate.renew(renewed(SITE.sealing))
    assert site.gate.open(first, NOW).function.blob == BLOB
    assert site.gate.lapsed(NOW) == set()
    late = Sender(ALICE, CARD, NOW)
    assert site.gate.keep(late.grant_object, NOW) == '', 'who has not heard of the new card yet'
    site.gate.renew(renewed())
    with pytest.raises(Refusal, match='a key of this endpoint that was replaced'):
        site.gate.open(first, NOW)
    assert site.gate.lapsed(NOW) == {site.sender.grant.hash, late.grant.hash}
    assert 'not boxed' in site.gate.keep(Sender(ALICE, CARD, NOW).grant_object, NOW)
    ended = site.gate.result(running.info, 1, Status.SUCCESS, payload.encode_outcome(payload.Outcome(True, payload.dump_value(42))))
    assert payload.load_outcome(site.sender.outcome(ended.result).data) == 42, 'what ran is still answered'
