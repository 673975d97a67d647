"""The task types that a worker handles, as it publishes them, so that they can be shown without importing the app.

`describe` makes the `TypeRecord` of one handler, `pack` the bytes of all records, and `unpack` reads them. Processes
that run the same code write the same bytes, so the digest of the bytes is the name under which they are stored
(`rota.wire.server_record`). Nothing in a record may depend on the process: no memory address, no order of a set.

The bytes are bounded, because an app may have schemas of any size:

1. A schema of more than `MAX_SCHEMA_BYTES` is left out, and a docstring is cut after `MAX_DOC_CHARACTERS`.
2. If all records together have more than `MAX_BYTES`, all schemas are left out; if that is not enough, all docstrings.
3. If that is not enough either, types are left out, the last ones by name. `TypeRecords.omitted` counts them.

`TypeRecord.notes` says in sentences what was left out and why.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import to_json

from rota.core.canonical import is_mapping, is_sequence
from rota.core.text import counted, unstopped
from rota.errors import PayloadError
from rota.tasks.callback import Run
from rota.tasks.handler import Handler
from rota.tasks.policy import Debounce, Retry, Unique
from rota.tasks.routing import Matching
from rota.wire.enqueue import DEFAULT_MAX_RETRY, DEFAULT_QUEUE, DEFAULT_TIMEOUT_S

MAX_SCHEMA_BYTES = 64 * 1024
MAX_DOC_CHARACTERS = 4096
MAX_BYTES = 1024 * 1024
MAX_NOTE_CHARACTERS = 300

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDefaults:
    """When a failed task runs again. `only` and `never` are names of error classes, `delay_by` of a function."""

    backoff: str = "asynq"
    base: timedelta = timedelta(seconds=10)
    cap: timedelta | None = None
    jitter: float = 0.0
    delay: timedelta | None = None
    delay_by: str | None = None
    only: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UniqueDefaults:
    """Which tasks are the same; the fields are those of `Unique`."""

    scope: str
    ttl: timedelta | None = None
    key: str | None = None
    on_conflict: str = "return"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebounceDefaults:
    """Which calls are joined; the fields are those of `Debounce`."""

    key: str
    wait: timedelta
    max_wait: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeDefaults:
    """The options of an enqueue that gives none, and how the function runs. `concurrency` is for each process."""

    queue: str = DEFAULT_QUEUE
    timeout: timedelta = timedelta(seconds=DEFAULT_TIMEOUT_S)
    max_retry: int = DEFAULT_MAX_RETRY
    retry: RetryDefaults = field(default_factory=RetryDefaults)
    retention: timedelta | None = None
    unique: UniqueDefaults | None = None
    debounce: DebounceDefaults | None = None
    delay: timedelta | None = None
    group: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    run: Run = "loop"
    concurrency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRecord:
    """One task type as its handler describes it.

    `type` is a name, or a pattern that ends with `:`. `schema` is the JSON Schema of the payload; None if the payload
    is plain bytes (`is_raw`), or if `notes` says why there is none. `source` is `module:function`.
    """

    type: str
    doc: str = ""
    schema: Mapping[str, Any] | None = None
    defaults: TypeDefaults = field(default_factory=TypeDefaults)
    is_raw: bool = False
    deprecated: str | None = None
    """The text of the function's `@deprecated`; None if it has none."""
    source: str = ""
    notes: tuple[str, ...] = ()

    @property
    def is_pattern(self) -> bool:
        """Whether `type` is a pattern like `email:`, which matches all types that start with it."""
        return self.type.endswith(":")

    @property
    def summary(self) -> str:
        """The first paragraph of the docstring, in one line."""
        return " ".join(re.split(r"\n\s*\n", self.doc, maxsplit=1)[0].split())


@dataclass(frozen=True, slots=True)
class TypeRecords:
    """All types of one app. `matching` is how their names match, `omitted` how many types did not fit."""

    types: tuple[TypeRecord, ...]
    matching: Matching = "segments"
    omitted: int = 0

    __pydantic_config__ = ConfigDict(ser_json_timedelta="float")


class PublishedTypes(NamedTuple):
    """The bytes of `TypeRecords`, and the digest under which they are stored."""

    digest: str
    data: bytes


def published_types(handlers: Iterable[Handler], matching: Matching = "segments") -> PublishedTypes:
    """Describe the handlers. Calls code of the app (the schemas of its own types), so it may take long."""
    return pack([describe(handler) for handler in sorted(handlers, key=lambda each: each.type)], matching)


def describe(handler: Handler) -> TypeRecord:
    """Describe one handler."""
    function, (schema, notes) = handler.function, _schema(handler)
    doc = inspect.getdoc(function) or ""
    if len(doc) > MAX_DOC_CHARACTERS:
        notes += (f"The docstring is cut: it has {len(doc)} characters, more than {MAX_DOC_CHARACTERS}.",)
    return TypeRecord(
        type=handler.type,
        doc=doc[:MAX_DOC_CHARACTERS],
        schema=schema,
        defaults=_defaults(handler),
        is_raw=not handler.is_typed,
        deprecated=getattr(function, "__deprecated__", None),
        source=_function_name(function),
        notes=notes,
    )


def pack(records: Sequence[TypeRecord], matching: Matching = "segments") -> PublishedTypes:
    """Return the bytes of some records, `MAX_BYTES` at most: see the steps above."""
    kept = list(records)
    for lighten in (_same, _without_schema, _without_doc):
        kept = [lighten(record) for record in kept]
        data = _written(TypeRecords(tuple(kept), matching))
        if len(data) <= MAX_BYTES:
            return PublishedTypes(_digest(data), data)
    data = _written(_fitting(kept, matching))
    return PublishedTypes(_digest(data), data)


def unpack(data: bytes) -> TypeRecords:
    """Read what `pack` has written. Raises PayloadError."""
    try:
        return _adapter().validate_json(data)
    except ValidationError as error:
        raise PayloadError(f"Not a record of task types ({counted(len(data), 'byte')}): {unstopped(error)}.") from error


@cache
def _adapter() -> TypeAdapter[TypeRecords]:
    return TypeAdapter(TypeRecords)


def _written(records: TypeRecords) -> bytes:
    return _adapter().dump_json(records)


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()[:32]


def _same(record: TypeRecord) -> TypeRecord:
    return record


def _without_schema(record: TypeRecord) -> TypeRecord:
    if record.schema is None:
        return record
    note = f"The schema is left out: the types of this app together need more than {MAX_BYTES} bytes."
    return replace(record, schema=None, notes=(*record.notes, note))


def _without_doc(record: TypeRecord) -> TypeRecord:
    if not record.doc:
        return record
    note = f"The docstring is left out: the types of this app together need more than {MAX_BYTES} bytes."
    return replace(record, doc="", notes=(*record.notes, note))


def _fitting(records: Sequence[TypeRecord], matching: Matching) -> TypeRecords:
    left = MAX_BYTES - len(_written(TypeRecords((), matching, len(records))))
    kept: list[TypeRecord] = []
    for record in records:
        size = len(to_json(record, timedelta_mode="float")) + 1  # a comma
        if size <= left:
            kept.append(record)
            left -= size
    return TypeRecords(tuple(kept), matching, len(records) - len(kept))


def _schema(handler: Handler) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
    try:
        schema = _in_fixed_order(handler.arguments.schema()) or None
        size = len(to_json(schema))
    except BaseException as error:  # code of the app, which may even call sys.exit()
        reason = _ADDRESS.sub("", unstopped(error)).partition("\n")[0][:MAX_NOTE_CHARACTERS]
        return None, (f"There is no JSON Schema of the arguments: {reason}.",)
    if size > MAX_SCHEMA_BYTES:
        return None, (f"The schema is left out: it has {size} bytes, more than {MAX_SCHEMA_BYTES}.",)
    return schema, ()


def _in_fixed_order(schema: Any) -> Any:
    """Sort the default values of sets, whose order differs between processes."""
    if is_sequence(schema):
        return [_in_fixed_order(each) for each in schema]
    if not is_mapping(schema):
        return schema
    ordered = {key: _in_fixed_order(each) for key, each in schema.items()}
    if ordered.get("uniqueItems") is True and is_sequence(ordered.get("default")):
        ordered["default"] = sorted(ordered["default"], key=to_json)
    return ordered


def _defaults(handler: Handler) -> TypeDefaults:
    options, debounce = handler.options, handler.options.debounce
    return TypeDefaults(
        queue=options.queue or DEFAULT_QUEUE,
        timeout=options.timeout or timedelta(seconds=DEFAULT_TIMEOUT_S),
        max_retry=DEFAULT_MAX_RETRY if options.max_retry is None else options.max_retry,
        retry=_retry(handler.retry),
        retention=options.retention,
        unique=None if options.unique is None else _unique(options.unique),
        debounce=None if debounce is None else _debounce(debounce),
        delay=options.delay,
        group=options.group,
        headers=dict(options.headers),
        run=handler.run,
        concurrency=handler.concurrency,
    )


def _retry(retry: Retry) -> RetryDefaults:
    by_function = callable(retry.delay)
    return RetryDefaults(
        backoff=retry.backoff,
        base=retry.base,
        cap=retry.cap,
        jitter=retry.jitter,
        delay=None if by_function else cast("timedelta | None", retry.delay),
        delay_by=_function_name(cast("Callable[..., Any]", retry.delay)) if by_function else None,
        only=tuple(_class_name(each) for each in retry.only),
        never=tuple(_class_name(each) for each in retry.never),
    )


def _unique(unique: Unique) -> UniqueDefaults:
    return UniqueDefaults(scope=unique.scope, ttl=unique.ttl, key=unique.key, on_conflict=unique.on_conflict)


def _debounce(debounce: Debounce) -> DebounceDefaults:
    return DebounceDefaults(key=debounce.key, wait=debounce.wait, max_wait=debounce.max_wait)


def _class_name(error: type[BaseException]) -> str:
    return error.__qualname__ if error.__module__ == "builtins" else f"{error.__module__}.{error.__qualname__}"


def _function_name(function: Callable[..., Any]) -> str:
    """Return `module:function`; the class for an object that can be called, whose text would hold its address."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"
