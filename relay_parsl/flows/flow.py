"""A flow as a script has it: read from a file or an object, checked, and run.

`Flow.from_file('definition.json').validate().warnings` says what is dangerous in a flow.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay_parsl.errors import DefinitionInvalid
from relay_parsl.flows.catalogue import Catalogue, here
from relay_parsl.flows.definition import Action, Definition, Json
from relay_parsl.flows.language import documents, reading, schema
from relay_parsl.flows.language.faults import MOST, Fault, Faults
from relay_parsl.flows.language.lints import lint
from relay_parsl.flows.language.routes import Routes, Traversals
from relay_parsl.flows.language.scopes import scopes

if TYPE_CHECKING:
    from relay_parsl.flows.run import Run
    from relay_parsl.home import Home

NO_WAY = Traversals(0, True, ())


@dataclass(frozen=True)
class Validation:
    """What is to be said of a definition.

    Attributes:
        faults: Why it cannot be run.
        warnings: What is legal but dangerous, or has no effect; empty where there are faults that hide it.
        scopes: What each role would have to consent to at the hosted service: `{'User': ['https://…']}`.
        traversals: The ways from the start to an end that pass no state twice.
        actions: The names of the actions that it calls.
    """

    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    scopes: Mapping[str, list[str]] | None = None
    traversals: Traversals = NO_WAY
    actions: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether it can be run."""
        return not self.faults

    def need(self) -> None:
        """Raises DefinitionInvalid, with a line for each fault, where there is one."""
        if self.faults:
            raise DefinitionInvalid('\n'.join(map(str, self.faults)))


class Flow:
    """A definition with its input schema. What is wrong with it, `validate` says; whatever needs it to be right raises DefinitionInvalid."""

    def __init__(self, read: reading.Reading, catalogue: Catalogue) -> None:
        self._read, self._catalogue = read, catalogue

    @classmethod
    def from_file(cls, path: str | Path, *, input_schema: Json = None, title: str = '', catalogue: Catalogue | None = None) -> Flow:
        """The flow in a file, JSON or YAML: a bare definition, or an object with `definition`, `input_schema` and `title`.

        Args:
            path: The file.
            input_schema: Stands in for the file's own; a definition and its schema are often two files.
            title: Stands in for the file's own.
            catalogue: Which actions there are; where it is left out ours, the installed ones, and those of this home's `flows.yaml`.

        Raises:
            OSError: The file cannot be read.
            ConfigError: A plug-in cannot be loaded, or `flows.yaml` has mistakes.
        """
        faults = Faults()
        return cls._of(documents.load(path, faults), faults, input_schema, title, catalogue)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], *, input_schema: Json = None, title: str = '', catalogue: Catalogue | None = None) -> Flow:
        """The flow in an object, as `from_file` has it. The object is copied."""
        faults = Faults()
        return cls._of(documents.plain(document, faults), faults, input_schema, title, catalogue)

    @classmethod
    def from_text(cls, text: str | bytes, *, input_schema: Json = None, title: str = '', catalogue: Catalogue | None = None) -> Flow:
        """The flow in a text, JSON or YAML, as `from_file` has it."""
        faults = Faults()
        return cls._of(documents.parse(text, faults), faults, input_schema, title, catalogue)

    @classmethod
    def _of(cls, document: Any, faults: Faults, input_schema: Json, title: str, catalogue: Catalogue | None) -> Flow:
        known = catalogue or here()
        read = reading.read(document, known.find, faults=faults, unknown=known.unknown, clean=True)
        given = read.input_schema if input_schema is None else documents.plain(input_schema, faults, '$.input_schema')
        given = None if given is documents.NOTHING else given
        return cls(replace(read, input_schema=given, title=title or read.title), known)

    @cached_property
    def definition(self) -> Definition:
        """The definition, checked.

        Raises:
            DefinitionInvalid: It is not of the language; a line for each fault.
        """
        found = Validation(self._faults)
        found.need()
        return self._read.definition()

    @cached_property
    def _faults(self) -> tuple[Fault, ...]:
        return (*self._read.faults.faults, *schema.check(self.input_schema))

    @property
    def title(self) -> str:
        """For people; '' where nobody said."""
        return self._read.title

    @property
    def input_schema(self) -> Json:
        """JSON Schema of a run's body; None takes any object."""
        return self._read.input_schema

    @cached_property
    def flow_id(self) -> str:
        """The UUID of what the flow does: it follows from definition and input schema, so that every machine has the same for the same flow."""
        return flow_id(self._read.document, self.input_schema)

    def validate(self, strict: bool = False) -> Validation:
        """Everything that can be said of the flow without running it.

        Args:
            strict: Warnings are faults, too.
        """
        faults = self._read.faults
        if self._faults:
            return Validation(self._faults, tuple(faults.warnings))
        definition = self.definition
        routes = Routes(definition)
        warnings = (*faults.warnings, *islice(lint(definition, routes, self._catalogue), MOST))
        names = tuple(sorted({state.action for state in definition.states.values() if isinstance(state, Action)}))
        found = Validation((), warnings, scopes(definition), routes.traversals(), names)
        return replace(found, faults=warnings, warnings=()) if strict else found

    def check(self, body: Any) -> dict[str, Json]:
        """The body of a run, as plain JSON of its own, if the input schema takes it.

        Raises:
            DefinitionInvalid: The flow itself is wrong.
            InputInvalid: The schema does not take it; a line for each violation.
        """
        return schema.need(body, self.definition.input_schema)

    def run(
        self, body: Any, *, label: str = '', tags: Iterable[str] = (), run_id: str | None = None, home: Home | None = None, serve: bool = True
    ) -> Run:
        """Start a run. It is on the disk when this returns; where no other engine runs flows, one in this process does, as long as it lives.

        Args:
            body: What the run starts with, an object.
            label: For people, up to 64 characters; the flow's title where it is left out.
            tags: For finding it again, each of up to 64 characters.
            run_id: A UUID; if there is such a run already, it is that one, and nothing is begun.
            home: Whose journal; that of `$RELAY_PARSL_HOME` where it is left out.
            serve: Whether this process is to run flows.

        Raises:
            DefinitionInvalid: The flow is not of the language.
            InputInvalid: The input schema does not take the body, or label or tags are too long; no run was made.
            ConfigError: `flows.yaml` is wrong.
            StoreError: The journal cannot be written.
        """
        from relay_parsl.flows.run import start  # noqa: PLC0415  to read and check flows takes no journal

        definition, taken = self.definition, schema.need(body, self.input_schema)
        return start(definition, taken, label=label, tags=tags, run_id=run_id, flow_id=self.flow_id, home=home, serve=serve)


def flow_id(document: Mapping[str, Json], input_schema: Json = None) -> str:
    """The UUIDv8 of the SHA-256 of definition and input schema, as canonical JSON."""
    text = json.dumps([document, input_schema], sort_keys=True, separators=(',', ':'), ensure_ascii=False)
    raw = bytearray(hashlib.sha256(b'relay-parsl flow 1\0' + text.encode()).digest()[:16])
    raw[6], raw[8] = raw[6] & 0x0F | 0x80, raw[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(raw)))
