from __future__ import annotations

from tests.unit.client.conftest import relay

__all__ = ['relay']
