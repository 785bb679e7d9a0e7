"""The relay: routes, stores, forgets; never opens a payload.

`server` (the loop) ─► `reactor` (decides, pure) ─► `store` (what is true): `sqlite` on disk, `MemoryStore` in tests.
"""
