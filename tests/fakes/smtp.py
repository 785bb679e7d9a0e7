"""A small SMTP server for tests: it keeps what it is given. STARTTLS where it has a certificate, AUTH where it has accounts."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from types import TracebackType
from typing import Any, BinaryIO


@dataclass
class Received:
    sender: str
    recipients: list[str]
    message: Message
    encrypted: bool
    account: str


@dataclass
class SmtpServer:
    """Use it as a context manager. `answers`: what to say in place of the usual to a command (`RCPT TO:<x@y>` or a beginning of it)."""

    certificate: ssl.SSLContext | None = None
    accounts: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)

    def __enter__(self) -> SmtpServer:
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                Talk(owner, self.request).run()

        self._server = socketserver.ThreadingTCPServer(('127.0.0.1', 0), Handler)
        self._server.daemon_threads = False
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Talk:
    """One connection."""

    def __init__(self, owner: SmtpServer, connection: Any) -> None:
        self.owner, self.connection = owner, connection
        self.encrypted, self.account = False, ''
        self.sender, self.recipients = '', []
        self.file: BinaryIO = connection.makefile('rb')

    def say(self, text: str) -> None:
        self.connection.sendall(text.encode() + b'\r\n')

    def run(self) -> None:
        self.say('220 test')
        while raw := self.file.readline():
            line = raw.decode().strip()
            other = next((text for begin, text in self.owner.answers.items() if line.upper().startswith(begin.upper())), None)
            if other is not None:
                self.say(other)
            elif not self.command(line):
                break
        self.file.close()
        self.connection.close()

    def command(self, line: str) -> bool:
        word = line.upper()
        if word.startswith(('EHLO', 'HELO')):
            offers = ['STARTTLS'] * (self.owner.certificate is not None and not self.encrypted) + ['AUTH PLAIN'] * bool(self.owner.accounts)
            for each in ['test', *offers]:
                self.say(f'250-{each}')
            self.say('250 8BITMIME')
        elif word == 'STARTTLS' and self.owner.certificate is not None:
            self.say('220 go')
            self.connection = self.owner.certificate.wrap_socket(self.connection, server_side=True)
            self.file, self.encrypted = self.connection.makefile('rb'), True
        elif word.startswith('AUTH PLAIN'):
            _, name, password = base64.b64decode(line.split()[2]).decode().split('\0')
            good = self.owner.accounts.get(name) == password
            self.account = name if good else ''
            self.say('235 ok' if good else '535 wrong password')
        elif word.startswith('MAIL FROM:'):
            self.sender, self.recipients = line[10:].split('>', maxsplit=1)[0].strip('< '), []
            self.say('250 ok')
        elif word.startswith('RCPT TO:'):
            self.recipients.append(line[8:].strip('<> '))
            self.say('250 ok')
        elif word == 'DATA':
            self.data()
        else:
            self.say('221 bye' if word == 'QUIT' else '250 ok')
            return word != 'QUIT'
        return True

    def data(self) -> None:
        self.say('354 go')
        lines = [raw.removeprefix(b'.') for raw in iter(self.file.readline, b'.\r\n')]
        message = message_from_bytes(b''.join(lines))
        self.owner.received.append(Received(self.sender, self.recipients, message, self.encrypted, self.account))
        self.say('250 taken')
