"""What all simulated processes share: turns, crashes between two steps, pauses, restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.world import World


class Crash(Exception):
    """The process dies here, at this very step."""


class Process:
    """One party's process over all its lives; `kind` is `client`, `relay` or `endpoint`."""

    kind = ''
    points: tuple[str, ...] = ()
    """The steps at which it can be crashed."""
    statements: tuple[str, ...] = ()
    """The statements of its store, each of which may fail."""
    period = 1.5
    """Seconds between turns in which nothing arrived."""

    def __init__(self, world: World, name: str) -> None:
        """It is not running yet: call `start`."""
        self.world, self.clock, self.name = world, world.clock, name
        self.up = False
        self.life = 0
        self.paused_until = 0.0
        self.doom: dict[str, int] = {}
        self.stay_down = False
        self.failing: dict[str, int] = {}
        self.dirty = False
        self._next_turn = float('inf')
        self.version = 0
        """Of its program, relative to this one: each start may be with another."""
        self.error = self.skew = self.ahead = 0.0
        """Seconds that the clock of its host is off now, was off when this life began, and was off at most when one began."""

    @property
    def now(self) -> float:
        """Seconds since 1970, as it goes by them: what its host said at its start, and steady from then on, as in the product."""
        return self.clock.now + self.skew

    @property
    def latest(self) -> float:
        """The latest that any of its lives could take it to be."""
        return self.clock.now + self.ahead

    def set_clock(self, error: float) -> None:
        """The clock of its host is put on or back, and is off by so much from now on."""
        if error != self.error:
            self.clock.tally.faults[f'{self.kind} clock {"on" if error > self.error else "back"}'] += 1
            self.clock.log('the clock of %s is off by %.0f s', self.name, error)
        self.error = error

    # -- to be filled in ------------------------------------------------------

    def boot(self) -> None:
        """Come to life from what is stored."""

    def die(self) -> None:
        """Lose everything that is not stored."""

    def step(self) -> None:
        """One turn of the loop."""

    def bodies(self) -> dict[Any, bytes]:
        """What is in its spool."""
        return {}

    # -- turns ----------------------------------------------------------------

    def start(self) -> None:
        """Come to life, unless alive or meant to stay down."""
        if self.up or self.stay_down:
            return
        self.up, self.life = True, self.life + 1
        self.paused_until = 0.0
        self._next_turn = float('inf')
        self.version = self.world.installed()
        self.world.boot_clock(self)
        self.skew = self.error
        self.ahead = max(self.ahead, self.skew)
        self.clock.log('%s starts (life %d)', self.name, self.life)
        if self.guard(self.boot):
            self.wake(0.0)

    def wake(self, delay: float | None = None) -> None:
        """Have a turn soon: something arrived."""
        when = max(self.clock.now + (self.world.scale.turn if delay is None else delay), self.paused_until)
        if self.up and when < self._next_turn:
            self._next_turn = when
            self.clock.at(when, self._turn, self.life, when)

    def _turn(self, life: int, when: float) -> None:
        if not self.up or life != self.life or when != self._next_turn:
            return
        self._next_turn = float('inf')
        if self.clock.now < self.paused_until:
            self.wake()
            return
        if self.guard(self.step):
            self.wake(self.period * (0.5 + self.clock.random.random()))

    # -- faults ---------------------------------------------------------------

    def guard(self, do: object, *args: object) -> bool:
        """Call it; a crash in the middle ends this life. Says whether the process lives on."""
        life, self.dirty = self.life, True
        try:
            do(*args)  # type: ignore[operator]
        except Crash as crash:
            self.kill(str(crash))
        return self.up and life == self.life

    def point(self, step: str) -> None:
        """A step at which the process may be doomed to die. Raises Crash."""
        left = self.doom.get(step)
        if left is not None:
            if left > 0:
                self.doom[step] = left - 1
            else:
                del self.doom[step]
                raise Crash(step)

    def fails(self, statement: str) -> bool:
        """Whether this statement of the process's store is meant to fail: the n-th of its name."""
        self.clock.tally.statements[f'{self.kind} {statement}'] += 1
        left = self.failing.get(statement)
        if left is None:
            return False
        self.failing[statement] = left - 1
        if left > 0:
            return False
        del self.failing[statement]
        self.clock.tally.faults[f'{self.kind} {statement}'] += 1
        self.clock.log('%s fails to store at %s', self.name, statement)
        return True

    def kill(self, step: str) -> None:
        """End this life, as SIGKILL does, and have another after a while."""
        if not self.up:
            return
        self.clock.log('%s dies at %s', self.name, step)
        self.clock.tally.crashed[self.kind, step] += 1
        self.halt()
        random = self.clock.random
        self.clock.after(random.choice((0.05, 1.0, 5.0, 20.0)) * (0.5 + random.random()), self.start)

    def halt(self) -> None:
        """Be gone, without a next life."""
        self.up = False
        self.die()

    def pause(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long."""
        if self.up:
            self.clock.log('%s pauses for %.1f s', self.name, seconds)
            self.clock.tally.faults['pause'] += 1
            self.paused_until = self.clock.now + seconds
            self._next_turn = float('inf')
            self.wake(seconds)
