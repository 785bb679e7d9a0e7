"""What passes: grants of trusted signers, tasks whose seal holds, functions that the policy allows. Nothing here runs or unpickles anything.

Everything that cannot be believed is refused without a seal (`Refusal`): it might be the relay's own invention, and then nobody may read
a sealed word about it. What a trusted signer sent and may not run fails under the seal, as a result like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from typing import Any, NamedTuple

from relay_parsl.endpoint.effects import WORDS, Ended, Start
from relay_parsl.endpoint.policy import FunctionPolicy
from relay_parsl.endpoint.shares import Shares
from relay_parsl.errors import ProtocolError, RelayError, SealError, TaskRejected
from relay_parsl.wire import codec, payload
from relay_parsl.wire.messages import INLINE, Body, Hash, Object, Result, ResultHeader, Status, TaskHeader
from relay_parsl.wire.payload import Call, FunctionInfo, Outcome
from relay_parsl.wire.seal import Grant, Keys, is_boxed_to, open_grant, sealed_size, uuid_of

ALLOWED = 'allowed_serializers'
"""The option that tells a runner what arguments may be made of; never the sender's own."""
TAG = 64
"""Bytes by which a seal makes a payload longer, at most."""


class Refusal(RelayError):
    """The task cannot be believed; `args[0]` is why, in the clear, for the relay and the user."""


@dataclass(frozen=True)
class Function:
    """A function that came: its blob, the SHA-256 of that, and what it says of itself."""

    blob: bytes
    digest: bytes
    info: FunctionInfo


class Opened(NamedTuple):
    """A task that passed: its call, its function, and under which grant it came."""

    grant: Grant
    call: Call
    function: Function


class Gate:
    """Grants and functions of this process, and the checks on what comes under them."""

    def __init__(
        self, keys: Keys, epoch: int, policy: FunctionPolicy, trusted: Callable[[], Collection[bytes]], shares: Shares | None = None
    ) -> None:
        """`trusted` gives the identity keys that may send tasks now: one that is taken off is refused from then on, with its services.

        `shares` are the guests besides: each for itself, not for its services, and for the functions that its share names.
        """
        endpoint = uuid_of(keys.identity_public)
        self._keys = keys
        self._endpoint = endpoint
        self._epoch = epoch
        self._policy = policy
        self._trusted = trusted
        self._shares = shares or Shares(endpoint, trusted)
        self._lapsed: set[Hash] = set()
        self._void: set[Hash] = set()
        """Grants to a sealing key that is gone: results of what runs under them are still sealed, and nothing else begins."""
        self._grants: dict[Hash, Grant] = {}
        self._sealed: dict[Hash, bytes] = {}
        self._functions: dict[tuple[Hash, Hash], Function] = {}

    # -- Objects -----------------------------------------------------------------------------------------------------

    def keep(self, found: Object, now: float) -> str:
        """Take an object; returns why it is of no use, or ''."""
        if sha256(found.data).digest() != found.hash:
            return 'denied: an object came with the hash of another'
        if found.kind != 'grant':
            self._sealed[found.hash] = found.data
            return ''
        try:
            trusted = {*self._trusted(), *self._shares.identities(now)}
            grant = open_grant(found.data, self._keys, now=now, trusted=trusted)
            if not self._may(grant, now):
                raise SealError(f'a service of account {uuid_of(grant.voucher.signer).hex() if grant.voucher else "?"}, which is a guest itself')
            self._grants[found.hash] = grant
        except SealError as error:
            return f'denied: {error}'
        return ''

    def renew(self, keys: Keys) -> None:
        """The endpoint has new keys. Grants to those before hold while `keys` says so, by its old ones."""
        self._keys = keys
        for each, grant in self._grants.items():
            if not is_boxed_to(grant.data, keys):
                self._void.add(each)

    def about(self, each: Hash) -> dict[str, Any]:
        """Whose a grant is, for the record."""
        grant = self._grants[each]
        about = {'grant': each.hex(), 'account': grant.account.hex(), 'label': grant.label, 'until': grant.not_after}
        voucher = grant.voucher
        if not grant.trusted_by(self._trusted(), grant.not_before):
            about['guest_by'] = self._shares.serial
        return about if voucher is None else {**about, 'name': voucher.name, 'voucher_of': uuid_of(voucher.signer).hex()}

    def drop(self, each: Hash) -> None:
        """The object is not needed now."""
        self._grants.pop(each, None)
        self._lapsed.discard(each)
        self._void.discard(each)
        self._sealed.pop(each, None)
        for key in [key for key in self._functions if each in key]:
            del self._functions[key]

    # -- Tasks -------------------------------------------------------------------------------------------------------

    def open(self, start: Start, now: float) -> Opened:
        """The call in a task, every check passed that needs no worker.

        Raises:
            Refusal: grant, address or seal do not hold.
            TaskRejected: the sender is known and this may not run here.
        """
        grant = self._grant(start.info, now)
        try:
            call = payload.decode_call(grant.open('task', start.header, start.payload))
        except (SealError, ProtocolError) as error:
            raise Refusal(f'denied: {error}') from None
        if call.options and (reason := _odd(call.options)):
            raise TaskRejected(reason)
        function = self._function(grant, start.info.function)
        if function.digest != call.function:
            raise TaskRejected('the function that came is not the one that the call names')
        policies = self._policies(grant, now)
        for whose, policy in policies:
            if not policy.allows(function.digest, function.info.how, function.info.name):
                raise TaskRejected(policy.refusal(function.digest, call.name or function.info.name, whose))
        if bool(call.body_key) != bool(start.info.body) or (call.body_key and sealed_size(call.length) != start.info.body):
            raise TaskRejected('the spooled arguments are not as long as the call says')
        call.options.pop(ALLOWED, None)
        for whose, policy in policies:
            if policy.serializers is not None:
                call.options[ALLOWED] = list(policy.serializers)
                if 'launcher_options' in (call.options.get('resource_specification') or {}):
                    raise TaskRejected(f'{whose} (function policy: {policy.kind}) takes no launcher_options: a launcher would start what they name')
        return Opened(grant, call, function)

    def python(self, opened: Opened, worker: str | None) -> None:
        """Raises VersionMismatch when the workers' Python is known and cannot run this function's bytecode."""
        if worker:
            info = opened.function.info
            payload.check_python(opened.call.name or info.name, opened.call.python or info.python, worker)

    def _grant(self, info: TaskHeader, now: float) -> Grant:
        if info.grant in self._sealed and info.grant not in self._grants:
            self.keep(Object(info.grant, 'grant', Body(self._sealed[info.grant])), now)  # what an object is, says the task that refers to it
        grant = self._grants.get(info.grant)
        if grant is None or info.endpoint != self._endpoint:
            raise Refusal('denied: the task is not addressed to this endpoint under a grant that it has')
        if info.grant in self._void:
            raise Refusal('denied: its grant was made to a key of this endpoint that was replaced: send the task again')
        if now > grant.not_after:
            raise Refusal('denied: its grant has expired')
        if not self._may(grant, now):
            raise Refusal('denied: this endpoint does not trust its signer any more, nor whoever vouches for it, and is not shared with it')
        self._lapsed.discard(info.grant)  # let in again, for a moment perhaps: when that is over, what begins now is taken back too
        return grant

    def _may(self, grant: Grant, now: float) -> bool:
        return grant.trusted_by(self._trusted(), now) or self._shares.guest(grant.signer, now) is not None

    def _policies(self, grant: Grant, now: float) -> list[tuple[str, FunctionPolicy]]:
        """All of which must allow a function: the endpoint's, and of a guest its own."""
        policies = [('this endpoint', self._policy)]
        if self._shares.current is None:
            return policies
        guest = None if grant.trusted_by(self._trusted(), now) else self._shares.guest(grant.signer, now)
        if guest is not None:
            policies.append(('the share of this endpoint with your account', FunctionPolicy(guest.policy, frozenset(guest.functions))))
        return policies

    def lapsed(self, now: float) -> set[Hash]:
        """Grants that counted when this was last asked and do not any more: their signers may not, or they were made to a key that is gone."""
        gone = self._void | {each for each, grant in self._grants.items() if not self._may(grant, now)}
        new, self._lapsed = gone - self._lapsed, gone
        return new

    def expelled(self, now: float) -> set[Hash]:
        """Grants under which also what runs is to end, whenever they lapsed. Told once."""
        out = self._shares.expelled()
        return {each for each, grant in self._grants.items() if grant.signer in out and not self._may(grant, now)} if out else set()

    def _function(self, grant: Grant, name: Hash) -> Function:
        found = self._functions.get((grant.hash, name))
        if found is None:
            try:
                blob = grant.open('function', b'', self._sealed[name])
                found = Function(blob, sha256(blob).digest(), payload.describe(blob))
            except (SealError, ProtocolError, KeyError) as error:
                raise TaskRejected(f'its function cannot be used: {error}') from None
            self._functions[grant.hash, name] = found
        return found

    # -- Results -----------------------------------------------------------------------------------------------------

    def result(self, info: TaskHeader, attempt: int, status: Status, outcome: bytes, body: int = 0) -> Ended:
        """Seal how a task ended. `body`: bytes of its sealed result file."""
        grant = self._grants.get(info.grant)
        if grant is None:
            return self.refusal(info, attempt, 'denied: its grant is not here any more', status)
        said = self._header(info, attempt, status, body=body)
        header = codec.encode_header(said)
        try:
            return Ended(said, Result(header, Body(grant.seal('result', header, outcome))))
        except SealError as error:
            return self.refusal(info, attempt, f'seal: {error}', Status.FAILED)

    def failure(self, info: TaskHeader, attempt: int, error: BaseException, status: Status = Status.FAILED) -> Ended:
        """Seal that a task ended by this error."""
        outcome = payload.encode_outcome(Outcome(False, payload.dump_failure(error)))
        return self.result(info, attempt, status, outcome)

    def refusal(self, info: TaskHeader, attempt: int, reason: str, status: Status = Status.FAILED) -> Ended:
        """An end that cannot be sealed: only its reason, in the clear."""
        status = Status.FAILED if status is Status.SUCCESS else status
        said = self._header(info, attempt, status, reason=reason[:WORDS])
        return Ended(said, Result(codec.encode_header(said), Body(b'')))

    def _header(self, info: TaskHeader, attempt: int, status: Status, *, body: int = 0, reason: str = '') -> ResultHeader:
        return ResultHeader(info.grant, info.sequence, info.task_id, self._endpoint, self._epoch, attempt, status, body=body, reason=reason)


def _odd(options: dict[str, Any]) -> str:
    """Why these options cannot be worked with, whichever engine gets them; '' when they can. A seal says who wrote them, not that they make sense."""
    for name in ('resource_specification', 'user_endpoint_config'):
        if type(options.get(name)) not in (dict, type(None)):
            return f'{name}: a map is needed, not {str(options[name])[:80]}'
    timeout = options.get('timeout')
    if timeout is not None and (type(timeout) not in (int, float) or not 0 < timeout < inf):
        return f'timeout: a positive number of seconds is needed, not {str(timeout)[:80]}'
    retries, serializers = options.get('retries'), options.get('result_serializers')
    if retries is not None and (type(retries) is not int or retries < 0):
        return f'retries: a whole number of 0 or more is needed, not {str(retries)[:80]}'
    if serializers is not None and (type(serializers) is not list or any(type(each) is not str for each in serializers)):
        return f'result_serializers: a list of names is needed, not {str(serializers)[:80]}'
    return ''


def fits(outcome: bytes) -> bool:
    """Whether a sealed outcome may travel in a message."""
    return len(outcome) + TAG <= INLINE
