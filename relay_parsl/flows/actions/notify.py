"""`notify`: a mail by SMTP.

What is sent once: a row says that it is about to be sent, then the server takes it, then a row says so. Only a crash between the last two, some
milliseconds, leaves a doubt; then the mail is sent again, under the same Message-ID, by which servers and readers know it for the same.
"""

from __future__ import annotations

import io
import smtplib
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from relay_parsl.errors import HomeError
from relay_parsl.flows.actions import keys
from relay_parsl.flows.actions.base import ActionUnableToRun, Call, Description
from relay_parsl.flows.actions.kept import Confidential, Row
from relay_parsl.flows.actions.mail import Mail, Server, message_of, read_mail
from relay_parsl.flows.definition import Json
from relay_parsl.flows.messages import ActionStatus
from relay_parsl.home import read_private

PATIENCE = 30.0
"""Seconds that the server may take over each answer."""
TALK = 120.0
"""Seconds that it may take over all of them: a server is whoever a definition names, and a thread waits for it."""
WORDS = 1 << 16
"""Bytes that it may say: replies may have any number of lines, and smtplib keeps them all."""


class Notify(Confidential):
    """Settings: `host`, `port`, `sender`, `starttls`, `username`, `password_file`. A `host` there is used whatever a request's credentials say."""

    settings_keys: ClassVar[keys.Keys] = {
        'host': keys.text,
        'port': keys.port,
        'sender': keys.address,
        'starttls': keys.flag,
        'username': keys.text,
        'password_file': keys.text,
    }

    description = Description(
        name='notify',
        title='Send a mail',
        urls=('https://actions.globus.org/notification/notify', 'https://actions.automate.globus.org/notification/notify'),
        synchronous=True,
        input_schema={
            'type': 'object',
            'properties': {
                'destination': {'type': ['string', 'array'], 'description': 'Addresses: a list, or text with commas.'},
                'sender': {'type': 'string'},
                'subject': {'type': 'string'},
                'body_template': {'type': 'string', 'description': '`$name` stands for a value of body_variables.'},
                'body_variables': {'type': ['object', 'null']},
                'body_mimetype': {'type': 'string', 'enum': ['text/plain', 'text/html']},
                'notification_method': {'type': 'string', 'enum': ['email', 'any']},
                'notification_priority': {'type': 'string', 'enum': ['high', 'low', 'normal']},
                'send_credentials': {'type': 'array', 'description': 'Of type smtp: hostname, username, password. Others are passed over.'},
            },
            'required': ['destination', 'body_template'],
        },
    )

    secrets: ClassVar[tuple[str, ...]] = ('send_credentials',)

    def check(self, call: Call) -> Row:
        """Raises ActionUnableToRun."""
        self._secrets(self._read(call.body))
        return {'request': call.request_id, 'body': self.open_part(call.body)}

    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        """Hand it in."""
        mail = self._read(self.given(action_id, row))
        server = self._secrets(mail)
        message = message_of(mail, row['request'], row['time'])
        try:
            refused = _send(server, mail, message)
        except (smtplib.SMTPException, OSError, ValueError, OverflowError) as error:  # the last two: of hosts and ports that there cannot be
            return self.failed(action_id, row, 'MailNotSent', f'{server.host}:{server.port}: {_said(error)}', message_id=message['Message-ID'])
        return self.succeeded(action_id, row, {'message_id': message['Message-ID'], 'recipients': list(mail.recipients), 'refused': refused})

    def _read(self, body: Json) -> Mail:
        return read_mail(body, str(self.surroundings.settings.get('sender') or ''))

    def _secrets(self, mail: Mail) -> Server:
        """The server with its password. Raises ActionUnableToRun."""
        settings = self.surroundings.settings
        if mail.server is not None and not settings.get('host'):
            return mail.server
        server = Server(str(settings.get('host') or 'localhost'), int(settings.get('port') or 25), settings.get('starttls'))
        file = settings.get('password_file')
        try:
            password = read_private(Path(file).expanduser()).decode().strip() if file else ''
        except (HomeError, UnicodeDecodeError) as error:
            raise ActionUnableToRun(f'notify: password_file: {error}') from None
        return replace(server, username=str(settings.get('username') or ''), password=password)


class _Talk(smtplib.SMTP):
    """A conversation that comes to an end, whatever the server does."""

    def __init__(self, host: str, port: int) -> None:
        self._end, self._left = time.monotonic() + TALK, WORDS
        super().__init__(host, port, timeout=PATIENCE)

    def getreply(self) -> tuple[int, bytes]:
        """The next reply. Raises SMTPServerDisconnected, also where it takes too long or has no end."""
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(_Ear(self, self.sock))
        return super().getreply()

    def hear(self, connection: socket.socket, into: memoryview) -> int:
        """Some bytes of the server's. Raises OSError when it has had its time, or has said enough."""
        connection.settimeout(max(0.001, min(PATIENCE, self._end - time.monotonic())))
        try:
            count = connection.recv_into(into)
        except TimeoutError:
            count = 0
            if time.monotonic() < self._end:
                raise
        if time.monotonic() >= self._end:
            raise TimeoutError(f'the server is not done after {TALK:g} s')
        self._left -= count
        if self._left < 0:
            raise OSError(f'the server says more than {WORDS} bytes')
        return count


class _Ear(io.RawIOBase):
    """What smtplib reads from, in place of the bare connection."""

    def __init__(self, talk: _Talk, connection: socket.socket) -> None:
        self._talk, self._connection = talk, connection

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        return self._talk.hear(self._connection, memoryview(into))


def _send(server: Server, mail: Mail, message: Any) -> Json:
    """Who was refused, and why; raises where all were, or nothing was sent."""
    smtp = _Talk(server.host, server.port)
    try:
        if server.starttls or (server.starttls is None and server.password):
            smtp.starttls(context=ssl.create_default_context())
        if server.username:
            smtp.login(server.username, server.password)
        refused = smtp.send_message(message, mail.sender, list(mail.recipients))
        with suppress(smtplib.SMTPException, OSError):  # it has the mail: how the goodbye goes is nothing to us
            smtp.quit()
    finally:
        smtp.close()
    return {address: f'{code} {text.decode(errors="replace")}' for address, (code, text) in refused.items()}


def _said(error: Exception) -> str:
    """In one line; a server's answers are bytes."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return '; '.join(f'{address}: {code} {text.decode(errors="replace")}' for address, (code, text) in error.recipients.items())
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        return f'{error.smtp_code} {text.decode(errors="replace") if isinstance(text, bytes) else text}'
    return str(error) or type(error).__name__
