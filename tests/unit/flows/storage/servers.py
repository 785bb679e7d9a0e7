"""Real servers on loopback: SFTP by asyncssh, HTTPS by aiohttp with a certificate of its own."""

import asyncio
import ipaddress
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import asyncssh
from aiohttp import web as web_api
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@contextmanager
def loop() -> Iterator[Callable[[Awaitable[Any]], Any]]:
    """A loop in a thread; what is yielded runs a coroutine in it."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever, daemon=True)
    thread.start()
    try:
        yield lambda step: asyncio.run_coroutine_threadsafe(step, made).result(30)  # type: ignore[arg-type]
    finally:
        made.call_soon_threadsafe(made.stop)
        thread.join(10)
        made.close()


class _Server(asyncssh.SSHServer):
    connections: list[Any]

    def connection_made(self, conn: Any) -> None:
        self.connections.append(conn)


async def _command(process: Any) -> None:
    """What an account with a shell may do."""
    child = await asyncio.create_subprocess_shell(process.command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
    output, _ = await child.communicate()
    process.stdout.write(output)
    process.exit(child.returncode)


class Sftp:
    """An SFTP server and what a collection needs to know of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.connections: list[Any] = []
        self.port = 0
        self.host_key, self.key = asyncssh.generate_private_key('ssh-ed25519'), asyncssh.generate_private_key('ssh-ed25519')
        self.key.write_private_key(directory / 'key')
        (directory / 'key').chmod(0o600)
        self.key.write_public_key(directory / 'authorized_keys')

    def collection(self, root: Path, **fields: Any) -> dict[str, Any]:
        known = self.directory / 'known_hosts'
        known.write_text(f'[127.0.0.1]:{self.port} {self.host_key.export_public_key().decode()}')
        place = {'root': f'sftp://me@127.0.0.1:{self.port}{root}', 'private_key': str(self.directory / 'key'), 'known_hosts': str(known)}
        return place | fields

    async def listen(self, shell: bool, sftp_factory: Any) -> Any:
        server = type('Server', (_Server,), {'connections': self.connections})
        keys = str(self.directory / 'authorized_keys')
        options: dict[str, Any] = {'process_factory': _command, 'encoding': None} if shell else {}
        acceptor = await asyncssh.listen(
            '127.0.0.1',
            self.port,
            server_host_keys=[self.host_key],
            authorized_client_keys=keys,
            server_factory=server,
            sftp_factory=sftp_factory,
            **options,
        )
        self.port = acceptor.get_port()
        return acceptor

    def cut(self, run: Callable[[Awaitable[Any]], Any]) -> None:
        """Break all connections, as a network does."""

        async def abort() -> None:
            for connection in self.connections:
                connection.abort()
            self.connections.clear()

        run(abort())


@contextmanager
def sftp(directory: Path, shell: bool = True, sftp_factory: Any = True) -> Iterator[tuple[Sftp, Callable[[Awaitable[Any]], Any]]]:
    """An SFTP server that serves this whole machine to one key."""
    directory.mkdir(parents=True, exist_ok=True)
    with loop() as run:
        server = Sftp(directory)
        acceptor = run(server.listen(shell, sftp_factory))
        try:
            yield server, run
        finally:

            async def end() -> None:
                server_connections = list(server.connections)
                acceptor.close()
                for connection in server_connections:
                    connection.abort()
                await acceptor.wait_closed()
                await asyncio.sleep(0)

            run(end())


def certificate(directory: Path) -> tuple[str, str]:
    """A certificate for 127.0.0.1 that nobody but who is told of it trusts: files of itself and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, '127.0.0.1')])
    now = datetime.now(timezone.utc)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address('127.0.0.1'))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / 'server.pem', directory / 'server.key'
    paths[0].write_bytes(built.public_bytes(serialization.Encoding.PEM))
    no_password = serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password))
    return str(paths[0]), str(paths[1])


@contextmanager
def web(directory: Path, handler: Callable[[web_api.Request], Awaitable[web_api.StreamResponse]], secure: bool = True) -> Iterator[dict[str, Any]]:
    """A server that asks `handler` everything; yields what a collection at `/pub` needs."""
    directory.mkdir(parents=True, exist_ok=True)
    ca_file, key = certificate(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if secure else None
    if context is not None:
        context.load_cert_chain(ca_file, key)
    app = web_api.Application()
    app.router.add_route('*', '/{path:.*}', handler)
    runner = web_api.AppRunner(app, shutdown_timeout=0.1)

    async def begin() -> int:
        await runner.setup()
        site = web_api.TCPSite(runner, '127.0.0.1', 0, ssl_context=context)
        await site.start()
        return int(runner.addresses[0][1])

    with loop() as run:
        port = run(begin())
        try:
            yield {'root': f'{"https" if secure else "http"}://127.0.0.1:{port}/pub', 'ca_file': ca_file}
        finally:
            run(runner.cleanup())
