"""`datacite`: mints a DOI at DataCite's REST API.

Once: a request whose earlier call may have reached the server looks the DOI up before it mints. So that this is possible, a request that leaves
the suffix to the server is given one that follows from the request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from relay_parsl.errors import HomeError
from relay_parsl.flows.actions import keys
from relay_parsl.flows.actions.base import ActionUnableToRun, Call, Description
from relay_parsl.flows.actions.bodies import Fields
from relay_parsl.flows.actions.kept import Confidential, Row
from relay_parsl.flows.definition import Json
from relay_parsl.flows.messages import ActionStatus
from relay_parsl.home import read_private

HOSTED, TEST = 'https://api.datacite.org', 'https://api.test.datacite.org'
PATIENCE = 30.0
"""Seconds that the server may take over each answer."""
LONGEST = 1 << 20
"""Bytes of an answer."""
KIND = 'application/vnd.api+json'
_LOOPBACK = ('127.0.0.1', '::1', 'localhost')


@dataclass(frozen=True)
class Registry:
    """Where DOIs are minted, and as whom."""

    url: str
    username: str = ''
    password: str = field(default='', repr=False)

    def ask(self, method: str, path: str, document: Json = None) -> tuple[int, Json]:
        """Status and document of the answer, None for one that is no JSON. Redirects are not followed. Raises OSError, HTTPException."""
        parts = urlsplit(self.url)
        kind: Any = HTTPSConnection if parts.scheme == 'https' else HTTPConnection
        more = {'context': ssl.create_default_context()} if parts.scheme == 'https' else {}
        connection = kind(parts.hostname, parts.port, timeout=PATIENCE, **more)
        try:
            body = None if document is None else json.dumps(document).encode()
            connection.request(method, f'{parts.path.rstrip("/")}{path}', body, self._headers())
            answer = connection.getresponse()
            return answer.status, _parsed(answer.read(LONGEST))
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        token = base64.b64encode(f'{self.username}:{self.password}'.encode()).decode()
        return {'Content-Type': KIND, 'Accept': KIND, **({'Authorization': f'Basic {token}'} if self.username else {})}


class Datacite(Confidential):
    """Settings: `url` (else DataCite's own systems), `username` and `password_file`, for requests that have none of their own."""

    settings_keys: ClassVar[keys.Keys] = {'url': keys.text, 'username': keys.text, 'password_file': keys.text}

    secrets: ClassVar[tuple[str, ...]] = ('username', 'password')
    description = Description(
        name='datacite',
        title='Mint a DOI',
        urls=('https://actions.globus.org/datacite/mint/basic_auth', 'https://actions.automate.globus.org/datacite/mint/basic_auth'),
        synchronous=True,
        input_schema={
            'type': 'object',
            'properties': {
                'as_test': {'type': 'boolean', 'description': "Whether it goes to DataCite's test system, whose DOIs lead nowhere."},
                'username': {'type': 'string'},
                'password': {'type': 'string'},
                'Doi': {
                    'type': 'object',
                    'properties': {'id': {'type': 'string'}, 'type': {'type': 'string'}, 'attributes': {'type': 'object'}},
                    'required': ['attributes'],
                },
            },
            'required': ['Doi'],
        },
    )

    def check(self, call: Call) -> Row:
        """Raises ActionUnableToRun."""
        self._registry(call.body)
        return {'doi': _doi(call.body, call.request_id), 'body': self.open_part(call.body)}

    def begin(self, action_id: str, row: Row, *, again: bool) -> ActionStatus:
        """Mint it; one that is there already is ours only if we may have minted it, and it says what we say."""
        registry, document = self._registry(self.given(action_id, row)), _document(row)
        try:
            if again and (found := _found(registry, row)) is not None:
                return self.succeeded(action_id, row, found)
            status, answer = registry.ask('POST', '/dois', document)
        except (OSError, HTTPException) as error:
            return self._unheard(action_id, row, registry, error)
        if status == 201 and isinstance(answer, dict):
            return self.succeeded(action_id, row, answer)
        return self.failed(action_id, row, 'NotMinted', f'{registry.url}: {_refusal(status, answer)}', http_status=status, doi=row['doi'])

    def _unheard(self, action_id: str, row: Row, registry: Registry, error: Exception) -> ActionStatus:
        """The connection broke: it may have been minted all the same."""
        try:
            found = _found(registry, row)
        except (OSError, HTTPException):
            found = None
        if found is not None:
            return self.succeeded(action_id, row, found)
        return self.failed(action_id, row, 'NotMinted', f'{registry.url}: {str(error) or type(error).__name__}', doi=row['doi'])

    def _registry(self, body: Json) -> Registry:
        """Raises ActionUnableToRun with everything that is wrong with a body."""
        settings, fields = self.surroundings.settings, Fields(body)
        own = str(settings.get('url') or '')
        if not own and 'as_test' not in fields:
            fields.fault('as_test', "is missing: true for DataCite's test system; what false mints stays for ever")
        url = own or (TEST if fields.flag('as_test', False) else HOSTED)
        fields.flag('as_test', False)
        username, password = fields.text('username', ''), fields.text('password', '')
        doi = fields.object('Doi')
        doi.mapping('attributes'), doi.text('id', ''), doi.choice('type', ('dois',), 'dois')
        doi.only()
        fields.only()
        fields.done()
        return Registry(_safe(url), username, password) if username else Registry(_safe(url), *self._account())

    def _account(self) -> tuple[str, str]:
        file = self.surroundings.settings.get('password_file')
        try:
            password = read_private(Path(file).expanduser()).decode().strip() if file else ''
        except (HomeError, UnicodeDecodeError) as error:
            raise ActionUnableToRun(f'datacite: password_file: {error}') from None
        return str(self.surroundings.settings.get('username') or ''), password


def _doi(body: Json, request_id: str) -> str:
    """The DOI that is meant. Raises ActionUnableToRun."""
    fields = Fields(body['Doi'], 'Doi')
    attributes = Fields(fields.mapping('attributes'), 'Doi.attributes', fields.faults)
    named = attributes.text('doi', '') or fields.text('id', '')
    prefix = attributes.text('prefix', '') or named.partition('/')[0]
    if not prefix.startswith('10.') or ('/' in named and not named.partition('/')[2]):
        attributes.fault('doi', f'is a DOI, 10.PREFIX/SUFFIX, or give the prefix alone, not {(named or prefix)[:80]!r}')
    fields.done()
    if '/' in named:
        return named
    return f'{prefix}/{base64.b32encode(hashlib.sha256(request_id.encode()).digest())[:12].decode().lower()}'


def _document(row: Row) -> Json:
    attributes = {name: value for name, value in row['body']['Doi']['attributes'].items() if name != 'prefix'}
    return {'data': {'id': row['doi'], 'type': 'dois', 'attributes': {**attributes, 'doi': row['doi']}}}


def _found(registry: Registry, row: Row) -> Json:
    """The DOI as the server has it, None where it has none, or another's. Raises OSError, HTTPException."""
    status, answer = registry.ask('GET', f'/dois/{quote(row["doi"])}')
    there = answer.get('data', {}).get('attributes') if status == 200 and isinstance(answer, dict) else None
    wanted = row['body']['Doi']['attributes']
    same = isinstance(there, dict) and all(_told(there.get(name)) == _told(wanted[name]) for name in ('titles', 'url') if name in wanted)
    return answer if same else None


def _told(value: Json) -> Json:
    """Titles without what a server adds to them."""
    return [each.get('title') if isinstance(each, dict) else each for each in value] if isinstance(value, list) else value


def _parsed(data: bytes) -> Json:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _refusal(status: int, answer: Json) -> str:
    if 300 <= status < 400:
        return f'it sends elsewhere ({status}), where credentials are not taken'
    errors = answer.get('errors') if isinstance(answer, dict) else None
    titles = [str(each.get('title') or each) for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    return f'{status} {"; ".join(titles)[:500] or "refused"}'


def _safe(url: str) -> str:
    """A password goes over https alone, or stays on this machine. Raises ActionUnableToRun."""
    parts = urlsplit(url)
    if parts.hostname and (parts.scheme == 'https' or (parts.scheme == 'http' and parts.hostname in _LOOPBACK)):
        return url
    raise ActionUnableToRun(f'datacite: url: {url[:200]!r} is no https:// address')
