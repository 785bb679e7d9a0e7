"""The submitting side: `Executor`, `TaskFuture`, `Client`, and the one thread of a process and relay that speaks for them.

Reading order: `reactor` (what is decided, pure) · `session` (the I/O thread) · `trust` (names, pins, grants) · `executor` · `client`.
"""
