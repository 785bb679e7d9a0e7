"""A promise, and a break of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Promise:
    """What the documents promise.

    Attributes:
        text: The promise.
        kept: How it is kept.
        tests: Files with the tests that fail without it, besides those of the mutations.
    """

    text: str
    kept: str
    tests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mutation:
    """A few characters of the product that are others, so that a promise does not hold.

    Attributes:
        breaks: The key of the promise.
        what: What is wrong then.
        file: The file of the product, from the root.
        old: Text that stands in it exactly once.
        new: What stands there instead.
        caught: Tests that must fail: files or node ids, without parameters.
        more: Further pairs of old and new text, where one alone would break everything.
    """

    breaks: str
    what: str
    file: str
    old: str
    new: str
    caught: tuple[str, ...]
    more: tuple[tuple[str, str], ...] = ()

    @property
    def changes(self) -> tuple[tuple[str, str], ...]:
        """All pairs of old and new text."""
        return ((self.old, self.new), *self.more)

    def text(self) -> str:
        """The broken file. Raises ValueError when an old text is not there exactly once."""
        whole = (ROOT / self.file).read_text()
        for old, new in self.changes:
            if whole.count(old) != 1:
                raise ValueError(f'{self.file} has {whole.count(old)} times: {old}')
            whole = whole.replace(old, new)
        return whole
