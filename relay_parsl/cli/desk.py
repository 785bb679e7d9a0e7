"""Which relay a command asks, and as whom."""

from __future__ import annotations

import os

import click

from relay_parsl.client.admin import TIMEOUT, Desk
from relay_parsl.client.enrol import confirm
from relay_parsl.errors import AccessDenied, RelayError, with_article
from relay_parsl.home import CREDENTIALS, Credentials, Home, RelayEntry


def open_desk(relay: str | None, credentials: str | None, roles: tuple[str, ...] = (), *, timeout: float = TIMEOUT) -> Desk:
    """A connection to the relay that was meant, as an account that may do what is to be done. Whoever joined meanwhile is confirmed by the way.

    Args:
        relay: Its name or URL, or None for the only one.
        credentials: A key file, or None: then the account that is used there, or another one of this home that has one of `roles`.
        roles: Roles that may do it; empty: any.
        timeout: Seconds for each answer.

    Raises:
        AccessDenied: no account of this home has one of `roles`.
        ConfigError, HomeError, RelayUnavailable: there is no such relay, its files cannot be used, it does not answer.
    """
    home = Home.find()
    desk = Desk(*choose(home, relay, credentials, roles), timeout=timeout, home=home)
    try:
        confirm(home, desk)
    except RelayError as error:
        click.echo(f'note: who joined by an invitation of yours is not confirmed: {error}', err=True)
    except BaseException:
        desk.close()
        raise
    return desk


def choose(home: Home, relay: str | None, credentials: str | None, roles: tuple[str, ...]) -> tuple[RelayEntry, Credentials]:
    """The relay, and the credentials that fit. Raises AccessDenied."""
    entry, own = home.find_relay(relay, credentials)
    if not roles or own.role in roles or credentials or os.environ.get(CREDENTIALS):
        return entry, own
    others = [other for other in accounts(home) if other.role in roles]
    if len(others) != 1:
        fits, wanted = ' or '.join(roles), ' or '.join(map(with_article, roles))
        names = ', '.join(other.name for other in others) or 'none here'
        raise AccessDenied(
            f'this takes {wanted} of relay {entry.name!r}, and {own.name!r} is {with_article(own.role)}: give --credentials FILE ({fits}: {names})'
        )
    return entry, others[0]


def may_ask(home: Home, relay: RelayEntry) -> bool:
    """Whether this home knows the relay and has an account that may ask about endpoints: that of an endpoint alone has neither."""
    known = any(entry.is_that_of(relay) for entry in home.relays().values())
    return known and (bool(os.environ.get(CREDENTIALS)) or any(each.role in ('user', 'operator') for each in accounts(home)))


def accounts(home: Home) -> list[Credentials]:
    """Every account whose keys are in this home."""
    return [Credentials.load(path) for path in sorted(home.directory('accounts').glob('[!.]*.key'))]
