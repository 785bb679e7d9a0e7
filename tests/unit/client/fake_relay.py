"""A relay and an endpoint in one thread: real sockets, codec and seals; what it answers can be bent by a test."""

from __future__ import annotations

import io
import threading
import time
from hashlib import sha256
from pathlib import Path

from relay_parsl.client.defaults import Target
from relay_parsl.home import Credentials, Home, Pin, RelayEntry
from relay_parsl.transport import Peer, Router
from relay_parsl.wire import codec, payload
from relay_parsl.wire import messages as m
from relay_parsl.wire.messages import INLINE, SEGMENT, Body, Delivered, Object, Rejection, ResultHeader, Status, Task, TaskHeader
from relay_parsl.wire.seal import Grant, Keys, new_body_key, open_body, open_grant, seal_body, sealed_size

YEAR = 365 * 86400.0


class FakeRelay:
    """Accepts, runs, delivers. `accepts`, `runs` and `report` are the test's to change."""

    def __init__(self, home: Home, *, port: int = 0, keys: Keys | None = None) -> None:
        """Its account's home is `home`; `port` and `keys` are those of the one that it replaces."""
        now = time.time()
        self.home = home
        self.keys = keys or Keys.generate()
        path = home.credentials_path('ada')
        self.user = Credentials.load(path) if path.exists() else Credentials.create('ada', 'user', now=now, lifetime=YEAR)
        if not path.exists():
            self.user.save(path)
        self.endpoint = Credentials.create('polaris', 'endpoint', now=now, lifetime=YEAR)
        home.pin(Pin('polaris', self.endpoint.keys.identity_public, 'endpoint'), replace=True)
        self.accepts = self.runs = True
        self.report = {'python': payload.PYTHON}
        self.rejects: tuple[str, str] | tuple[str, str, float] | None = None
        self.state = m.State.RUNNING
        self.succession = b''
        self.seen: list[m.Message] = []
        self.calls: dict[bytes, tuple[TaskHeader, payload.Call]] = {}
        self._held: list[tuple[Peer, Task]] = []
        self._objects: dict[bytes, Object] = {}
        self._grants: dict[bytes, Grant] = {}
        self._bodies: dict[bytes, tuple[Task, bytearray]] = {}
        self._results: dict[bytes, tuple[Delivered, bytes]] = {}
        self.functions: dict[bytes, bytes] = {}
        self._session = 0
        self._over = False
        self._router = Router(f'tcp://127.0.0.1:{port}', self.keys.curve, lambda key: key == self.user.keys.curve_public)
        self.port = self._router.port
        self._thread = threading.Thread(target=self._run, name='fake relay')
        self._thread.start()

    @property
    def target(self) -> Target:
        """What an executor takes for `relay=`."""
        return Target(RelayEntry('fake', f'tcp://127.0.0.1:{self.port}', self.keys.curve_public, 'accounts/ada.key'), self.user, self.home)

    def close(self) -> None:
        """End the thread."""
        self._over = True
        self._router.wake()
        self._thread.join(10)

    def of(self, kind: type) -> list:
        """What came, of one type."""
        return [each for each in list(self.seen) if isinstance(each, kind)]

    def _run(self) -> None:
        while not self._over:
            self._router.wait(0.05)
            for peer, message in self._router.receive():
                assert not isinstance(message, Exception), message
                self.seen.append(message)
                handler = getattr(self, f'_on_{type(message).__name__.lower()}', None)
                if handler is not None and (self._session or isinstance(message, m.Hello)):
                    handler(peer, message)
                elif handler is not None:
                    self._router.send(peer.routing, m.Goodbye('who', hello=True))
            if self.runs and self._held and self._session:
                held, self._held = self._held, []
                for peer, task in held:
                    self._execute(peer, task)
        self._router.close()

    def _on_hello(self, peer: Peer, _message: m.Hello) -> None:
        self._session += 1
        self._router.send(peer.routing, m.Welcome(self._session, time.time(), {'body': 1 << 26}, succession=self.succession))

    def _on_ping(self, peer: Peer, _message: m.Ping) -> None:
        self._router.send(peer.routing, m.Pong())

    def _on_list(self, peer: Peer, message: m.List) -> None:
        wanted = message.filter
        if message.what == 'functions':
            self._list_functions(peer, message)
            return
        row = {
            'id': bytes(self.endpoint.id),
            'name': 'polaris',
            'owner': bytes(self.user.id),
            'online': True,
            'report': self.report,
            'role': 'endpoint',
        }
        fits = wanted.get('id', row['id']) == row['id']
        rows: list[dict] = []
        if message.what == 'cards' and fits:
            rows = [{**row, 'card': self.endpoint.card.data, 'mac': b''}]
        elif message.what == 'endpoints' and fits:
            rows = [row]
        elif message.what == 'tasks':
            known = [(header, 'success' if header.task_id in self._results else 'running') for header, _ in self.calls.values()]
            rows = [{'id': bytes(header.task_id), 'group': bytes(header.group), 'state': state} for header, state in known]
            rows = [each for each in rows if all(each[key] == value for key, value in wanted.items())]
        half = len(rows) // 2 if not message.page else 0
        page = rows[:half] if half else rows[int(message.page or 0) :]
        self._router.send(peer.routing, m.Listing(message.request, tuple(page), str(half) if half else ''))

    def _list_functions(self, peer: Peer, message: m.List) -> None:
        rows = [{'id': each, 'size': len(data), 'registered': 1.5} for each, data in self.functions.items()]
        if 'id' in message.filter:
            rows = [{**row, 'data': self.functions[row['id']]} for row in rows if row['id'] == message.filter['id']]
            if not rows:
                self._router.send(peer.routing, m.Refused('not-found', 'no such function', message.request))
                return
        self._router.send(peer.routing, m.Listing(message.request, tuple(rows)))

    def _on_admin(self, peer: Peer, message: m.Admin) -> None:
        name = message.args.get('id', b'')
        if message.verb == 'register':
            self.functions[name] = message.args['data']
        elif message.verb == 'unregister' and self.functions.pop(name, None) is None:
            self._router.send(peer.routing, m.Refused('not-found', 'no such function', message.request))
            return
        if message.verb in ('register', 'unregister'):
            self._router.send(peer.routing, m.Done(message.request, {'id': name}))
            return
        self._router.send(peer.routing, m.Refused('denied', f'no {message.verb} here', message.request))

    def _on_objects(self, _peer: Peer, message: m.Objects) -> None:
        for each in message.objects:
            assert sha256(each.data).digest() == each.hash
            self._objects[each.hash] = each

    def _on_need(self, peer: Peer, message: m.Need) -> None:
        self._router.send(peer.routing, m.Objects(tuple(self._objects[each] for each in message.hashes if each in self._objects)))

    def _on_submit(self, peer: Peer, message: m.Submit) -> None:
        if not self.accepts:
            return
        headers = [codec.task_header(task.header) for task in message.tasks]
        if self.rejects:
            self._router.send(peer.routing, m.Rejected(tuple(Rejection(each.task_id, *self.rejects) for each in headers)))
            return
        missing = {digest for each in headers for digest in (each.grant, each.function) if digest not in self._objects}
        if missing:
            self._router.send(peer.routing, m.Need(tuple(missing)))
            return
        for task, header in zip(message.tasks, headers):
            if header.body:
                self._bodies[header.task_id] = (task, bytearray())
                self._router.send(peer.routing, m.Fetch(header.task_id, 0, 'task', 0, SEGMENT))
            else:
                self._take(peer, task, header)

    def _on_segment(self, peer: Peer, message: m.Segment) -> None:
        task, body = self._bodies[message.task_id]
        if message.total < 0:
            self._router.send(peer.routing, m.Rejected((Rejection(message.task_id, 'body', 'the arguments are gone'),)))
            return
        body += message.data
        if len(body) < message.total:
            self._router.send(peer.routing, m.Fetch(message.task_id, 0, 'task', len(body), SEGMENT))
        else:
            self._take(peer, task, codec.task_header(task.header))

    def _take(self, peer: Peer, task: Task, header: TaskHeader) -> None:
        self._router.send(peer.routing, m.Accepted((header.task_id,)))
        if header.task_id not in self.calls:
            grant = self._grants.get(header.grant)
            if grant is None:
                data = self._objects[header.grant].data
                grant = open_grant(data, self.endpoint.keys, now=time.time(), trusted=[self.user.keys.identity_public])
                self._grants[header.grant] = grant
            self.calls[header.task_id] = (header, payload.decode_call(grant.open('task', task.header, task.payload)))
            self._held.append((peer, task))

    def _execute(self, peer: Peer, task: Task) -> None:
        header, call = self.calls[codec.task_header(task.header).task_id]
        grant = self._grants[header.grant]
        blob = grant.open('function', b'', self._objects[header.function].data)
        assert sha256(blob).digest() == call.function
        arguments = call.arguments
        if call.body_key:
            arguments = b''.join(open_body(call.body_key, call.length, io.BytesIO(self._bodies[header.task_id][1])))
        try:
            args, kwargs = payload.load_arguments(arguments)
            value = payload.load_function(blob)(*args, **kwargs)
            ok, data = True, payload.dump_value(value, call.options.get('result_serializers', ['cloudpickle']))
        except BaseException as error:  # noqa: BLE001  the user's
            ok, data = False, payload.dump_failure(error)
        self._deliver(peer, header, grant, ok, data)

    def _deliver(self, peer: Peer, header: TaskHeader, grant: Grant, ok: bool, data: bytes) -> None:
        body = b''
        outcome = payload.Outcome(ok, data)
        if len(data) > INLINE:
            key, target = new_body_key(), io.BytesIO()
            seal_body(key, len(data), io.BytesIO(data), target)
            body, outcome = target.getvalue(), payload.Outcome(ok, b'', key, len(data))
            assert len(body) == sealed_size(len(data))
        status = Status.SUCCESS if ok else Status.FAILED
        result = ResultHeader(header.grant, header.sequence, header.task_id, header.endpoint, 1, 1, status, body=len(body))
        encoded = codec.encode_header(result)
        sealed = grant.seal('result', encoded, payload.encode_outcome(outcome))
        delivered = Delivered(header.task_id, status, encoded, '', Body(sealed))
        self._results[header.task_id] = (delivered, body)
        self._router.send(peer.routing, m.Deliver((delivered,)))

    def _on_fetch(self, peer: Peer, message: m.Fetch) -> None:
        body = self._results[message.task_id][1]
        data = body[message.offset : message.offset + message.length]
        self._router.send(peer.routing, m.Segment(message.task_id, message.attempt, 'result', message.offset, len(body), Body(data)))

    def _on_follow(self, peer: Peer, message: m.Follow) -> None:
        self._held = [(peer, task) for _, task in self._held]
        for task_id in message.ids:
            if task_id in self._results:
                self._router.send(peer.routing, m.Deliver((self._results[task_id][0],)))
            elif task_id not in self.calls:
                self._router.send(peer.routing, m.Rejected((Rejection(task_id, 'unknown', 'no such task'),)))

    def _on_cancel(self, peer: Peer, message: m.Cancel) -> None:
        for each in message.tasks:
            self._held = [held for held in self._held if codec.task_header(held[1].header).task_id != each.task_id]
            self._router.send(peer.routing, m.Deliver((Delivered(each.task_id, Status.CANCELLED, b'', 'cancelled', Body(b'')),)))

    def _on_watch(self, peer: Peer, message: m.Watch) -> None:
        self._router.send(peer.routing, m.States(tuple(m.TaskState(each, self.state, {'host': 'nid1'}) for each in message.ids)))


def a_home(path: Path) -> Home:
    """An empty home."""
    return Home(path / 'home')
