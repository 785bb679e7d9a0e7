"""A mail from a request: templates filled in, headers that cannot be more than headers. Pure."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, getaddresses
from string import Template
from typing import Any

from relay_parsl.flows.actions.bodies import Fields
from relay_parsl.flows.definition import Json

MOST = 100
"""Recipients of one mail."""
LONGEST = 200_000
"""Characters of a body."""
TYPES = ('text/plain', 'text/html')
DOMAIN = 'flows.relay-parsl'
"""Of message ids: they name a request, not a machine."""
_CONTROL = re.compile(r'[\x00-\x1f\x7f]')


@dataclass(frozen=True)
class Server:
    """Where mail is handed in. `starttls`: whether the way there must be encrypted; None: where there is a password."""

    host: str = 'localhost'
    port: int = 25
    starttls: bool | None = None
    username: str = ''
    password: str = ''


@dataclass(frozen=True)
class Mail:
    """What a request says. `server` is the request's own, None where it gives none that can be used."""

    sender: str
    recipients: tuple[str, ...]
    subject: str
    body: str
    mimetype: str
    priority: str
    server: Server | None


def read_mail(body: Json, sender: str) -> Mail:
    """The mail; `sender` is the settings'. Raises ActionUnableToRun with everything that is wrong."""
    fields = Fields(body)
    fields.choice('notification_method', ('email', 'any'), 'email')
    priority = fields.choice('notification_priority', ('high', 'low', 'normal'), 'normal')
    mimetype = fields.choice('body_mimetype', TYPES, 'text/plain')
    text = fill(fields.text('body_template'), fields.mapping('body_variables', {}), mimetype)
    if len(text) > LONGEST:
        fields.fault('body_template', f'makes {len(text)} characters, more than {LONGEST}')
    made = Mail(
        _sender(fields, sender),
        _recipients(fields),
        _header(fields, 'subject', fields.text('subject', '')),
        text,
        mimetype,
        priority,
        _server(fields),
    )
    fields.only()
    fields.done()
    return made


def fill(template: str, values: Mapping[str, Json], mimetype: str) -> str:
    """`$name` and `${name}` replaced; `$$` is a dollar, and what has no value stays as it is. In HTML a value is text, never markup."""
    texts = {name: value if isinstance(value, str) else _plain(value) for name, value in values.items()}
    if mimetype == 'text/html':
        texts = {name: html.escape(value) for name, value in texts.items()}
    return Template(template).safe_substitute(texts)


def message_of(mail: Mail, request_id: str, at: float) -> EmailMessage:
    """As it is sent; the same request makes the same message, by whose id a repetition can be told."""
    message = EmailMessage(policy=SMTP)
    message['From'], message['To'], message['Subject'] = mail.sender, ', '.join(mail.recipients), mail.subject
    message['Date'] = formatdate(at)
    message['Message-ID'] = f'<{hashlib.sha256(request_id.encode()).hexdigest()[:40]}@{DOMAIN}>'
    message['Auto-Submitted'] = 'auto-generated'
    if mail.priority != 'normal':
        message['Importance'] = mail.priority
    message.set_content(mail.body, subtype=mail.mimetype.removeprefix('text/'))
    return message


def _plain(value: Json) -> str:
    return {None: '', True: 'true', False: 'false'}[value] if value is None or isinstance(value, bool) else str(value)


def _header(fields: Fields, name: str, text: str) -> str:
    if _CONTROL.search(text):
        fields.fault(name, 'has a line break or another control character in it, which could begin another header')
        return ''
    return text


def _sender(fields: Fields, default: str) -> str:
    given = fields.text('sender', '') or default
    if not given:
        fields.fault('sender', 'is missing: an address, here or as `notify: sender:` in the settings')
        return ''
    found = _addresses(fields, 'sender', [given])
    if len(found) > 1:
        fields.fault('sender', 'is one address')
    return found[0] if found else ''


def _recipients(fields: Fields) -> tuple[str, ...]:
    """A list, or text with commas."""
    value: Any = fields.any('destination')
    given = value if isinstance(value, list) else [value] if isinstance(value, str) else []
    if not given or not all(isinstance(each, str) for each in given):
        fields.fault('destination', 'is missing: an address, several with commas, or a list of them')
        return ()
    found = _addresses(fields, 'destination', given)
    if len(found) > MOST:
        fields.fault('destination', f'has {len(found)} addresses, more than {MOST}')
    return tuple(dict.fromkeys(found))


def _addresses(fields: Fields, name: str, given: list[str]) -> list[str]:
    """Names are let go: a mail goes to addresses."""
    if any(not _header(fields, name, each) for each in given):
        return []
    found = []
    for _, address in getaddresses(given):
        try:
            known = Address(addr_spec=address)
            good = bool(known.username and known.domain) and address.isascii()
        except (ValueError, IndexError):  # what email raises for odd ones
            good = False
        if not good:
            fields.fault(name, f'{address or given[0]!r:.80} is no address: name@host')
        found.append(address)
    return found


def _server(fields: Fields) -> Server | None:
    """The first of the credentials that are of SMTP."""
    found = None
    for each in fields.objects('send_credentials', []):
        each.text('credential_method', '')
        kind = each.choice('credential_type', ('smtp', 'ses'))
        value = each.object('credential_value')
        if kind == 'smtp' and found is None:
            found = Server(
                value.text('hostname'), int(value.number('port', 587, least=1)), None, value.text('username', ''), value.text('password', '')
            )
    return found
