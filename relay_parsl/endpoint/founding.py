"""Everybody of a private home at once: a relay, a user, endpoints of the user. No invitation is needed where one hand makes all keys."""

from __future__ import annotations

import time
from collections.abc import Mapping

from relay_parsl.endpoint.place import Place
from relay_parsl.home import Credentials, Home, Pin
from relay_parsl.wire.messages import Id
from relay_parsl.wire.seal import Card

USER = 'user'
LIFETIME = 30 * 86400.0
"""Seconds that the keys hold."""


def found(home: Home, files: Mapping[str, bytes]) -> tuple[Credentials, Credentials]:
    """Make keys for all, and let everybody know whom to trust.

    Args:
        home: Empty until now.
        files: The endpoint files, by the endpoints' names.

    Returns:
        The credentials of the relay and of the user.
    """
    now = time.time()
    relay = Credentials.create('relay', 'relay', now=now, lifetime=LIFETIME)
    relay.save(home.directory('relay') / 'relay.key')
    user = Credentials.create(USER, 'user', now=now, lifetime=LIFETIME)
    user.save(home.credentials_path(USER))
    for name, text in files.items():
        place = Place(home, name)
        made = Credentials.create(name, 'endpoint', now=now, lifetime=LIFETIME)
        place.configure(text)
        made.save(place.key)
        place.trust(Pin(USER, user.card.identity, 'user'))
        home.pin(Pin(name, made.card.identity, 'endpoint'))
    return relay, user


def founders(home: Home) -> list[tuple[str, str, Card, Id | None]]:
    """Who must be in the relay's store from the start: name, role, card, owner."""
    user = Credentials.load(home.credentials_path(USER))
    endpoints = [Credentials.load(place.key) for place in Place.all(home)]
    return [(user.name, user.role, user.card, None), *((each.name, each.role, each.card, user.id) for each in endpoints)]
