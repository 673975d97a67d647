"""Writes and reads typed arguments as one JSON object keyed by parameter name, and results as JSON.

Both sides validate. The enqueue raises an error for arguments that do not fit, and the worker checks a payload from
another program before the function runs. The enqueue refuses unknown arguments. The worker ignores unknown keys, so
that a newer producer does not break an older worker.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, NotRequired, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from rota.core.text import did_you_mean
from rota.errors import OptionError, PayloadError
from rota.tasks.codec import Codec, Write, reasons
from rota.tasks.options import NAMES as OPTION_NAMES
from rota.tasks.signature import MISSING, Parameter, Signature
from rota.tasks.untyped import loose_payload

_NOTHING = (b"", b"null")  # Go's nil payload, and the result of json.Marshal(nil)


class Arguments:
    """The arguments of one function. The validators are compiled once and then write and read each payload."""

    def __init__(self, signature: Signature) -> None:
        self._name = signature.name
        self._injected = {*signature.context_names, *signature.dependencies}
        self._names = tuple(parameter.name for parameter in signature.parameters)
        self._positional = tuple(parameter.name for parameter in signature.parameters if not parameter.keyword_only)
        self._most_usual = len(self._names) if self._names == self._positional else -1
        """The number of arguments of a call that gives all by position; -1 if that is not possible."""
        self._required = tuple(parameter.name for parameter in signature.parameters if parameter.required)
        self._defaults = {item.name: item.default for item in signature.parameters if not item.required}
        self._context_advice = _context_advice(signature)
        self._signature = signature
        self._codec = Codec(signature.name, _object_type(signature), "arguments")
        self._keys = _keys(signature.name, self._codec)
        self.validate: Callable[[bytes], dict[str, Any]] = self._codec.validate
        """The fast path of `read`. Raises pydantic's ValidationError; call `recover` with it."""
        self.write: Write = self._write_by_key if self._keys else self._codec.write
        """Return the payload of bound arguments: validated, converted, in the order of the parameters."""
        _defaults(signature, self._keys)  # a default that cannot travel is refused at import

    def read(self, payload: bytes) -> dict[str, Any]:
        """Return the keyword arguments in a payload. Arguments that are absent get the function's defaults."""
        try:
            return self.validate(payload)
        except ValidationError as error:
            return self.recover(payload, error)

    def recover(self, payload: bytes, error: ValidationError) -> dict[str, Any]:
        """Accept an empty payload if no argument is required, and Go's nulls. Otherwise raise PayloadError."""
        if not self._required and payload.strip() in _NOTHING:
            return {}
        try:
            return cast("dict[str, Any]", self._codec.read_again(payload, error))
        except ValidationError:
            raise PayloadError(
                f"The payload does not fit {self._name}: {reasons(error)}. "
                "Compare what the producer sends with the function's parameters."
            ) from error

    def received(self, payload: bytes) -> dict[str, Any]:
        """Return all arguments as the function will receive them, defaults included."""
        return {**self._defaults, **self.read(payload)}

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Map the arguments of a call to their names, add the defaults, and refuse arguments the function lacks."""
        if not kwargs and len(args) == self._most_usual:
            return dict(zip(self._names, args))  # noqa: B905 - as long, and `strict` takes as long as the rest
        if len(args) > len(self._positional):
            raise PayloadError(
                f"{self._name} takes {len(self._positional)} arguments by position, but got {len(args)}."
            )
        given = dict(zip(self._positional, args, strict=False))
        for name, value in kwargs.items():
            if name not in self._names:
                raise PayloadError(f"{self._name} takes no argument {name!r}. {self._advice(name)}")
            if name in given:
                raise PayloadError(f"{self._name} got {name!r} twice: by position and by name.")
            given[name] = value
        if missing := [name for name in self._required if name not in given]:
            raise PayloadError(f"{self._name} lacks {', '.join(map(repr, missing))}.{self._context_advice}")
        return {**self._defaults, **given}

    def _advice(self, name: str) -> str:
        if name in self._injected:
            return "The worker fills it; only a direct call may give it."
        if name in OPTION_NAMES:
            return (
                f"It is an option: say it before the call, task.options({name}=...).enqueue(...), or by name, "
                f"app.enqueue(type, payload, {name}=...)."
            )
        return did_you_mean(name, self._names)

    def bind_object(self, payload: object) -> dict[str, Any]:
        """Bind the arguments from one mapping or model."""
        if payload is None:
            return self.bind((), {})
        if isinstance(payload, BaseModel):
            payload = dict(payload)
        if not isinstance(payload, Mapping):
            raise PayloadError(
                f"{self._name} takes its arguments by name, so give them as a mapping, not as {type(payload).__name__}."
            )
        for name in cast("Mapping[object, object]", payload):
            if not isinstance(name, str):
                raise PayloadError(f"{self._name} takes its arguments by name, but {name!r} is not a name.")
        return self.bind((), cast("Mapping[str, Any]", payload))

    def _write_by_key(self, value: Mapping[str, Any], *, fixed_order: bool = False) -> bytes:
        keyed = {self._keys.get(name, name): each for name, each in value.items()}
        return self._codec.write(keyed, fixed_order=fixed_order)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the payload, with the defaults of the function."""
        schema = self._codec.adapter.json_schema()
        for key, written in _defaults(self._signature, self._keys).items():
            schema["properties"][key]["default"] = from_json(written)[key]
        return schema


class WholePayload:
    """The single argument that takes the whole payload: a model, or the bytes as they are."""

    def __init__(self, signature: Signature, parameter: Parameter) -> None:
        self._function = signature.name
        self._parameter = parameter
        self._raw = _is_bytes(parameter.annotation)
        self._codec = Codec(signature.name, parameter.annotation, "argument")
        self.validate: Callable[[bytes], dict[str, Any]] = self._read_raw if self._raw else self._read_model
        if not parameter.required:
            try:
                self.write({parameter.name: parameter.default})
            except PayloadError as error:
                raise _wrong_default(signature.name, parameter, error) from error

    def _read_raw(self, payload: bytes) -> dict[str, Any]:
        return {self._parameter.name: payload}

    def _read_model(self, payload: bytes) -> dict[str, Any]:
        return {self._parameter.name: self._codec.validate(payload)}

    def read(self, payload: bytes) -> dict[str, Any]:
        """Return the keyword argument made of the payload."""
        try:
            return self.validate(payload)
        except ValidationError as error:
            return self.recover(payload, error)

    def recover(self, payload: bytes, error: ValidationError) -> dict[str, Any]:
        """Accept an empty payload if the parameter has a default, and Go's nulls. Otherwise raise PayloadError."""
        if not self._parameter.required and payload.strip() in _NOTHING:
            return {}
        try:
            return {self._parameter.name: self._codec.read_again(payload, error)}
        except ValidationError:
            raise PayloadError(f"The payload does not fit {self._function}: {reasons(error)}.") from error

    def received(self, payload: bytes) -> dict[str, Any]:
        """Return the argument as the function will receive it."""
        return {self._parameter.name: self._parameter.default, **self.read(payload)}

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Map the single argument of a call to its name."""
        name = self._parameter.name
        given = [*args, *kwargs.values()]
        if set(kwargs) - {name} or len(given) > 1 or (not given and self._parameter.required):
            raise PayloadError(f"{self._function} takes one argument, {name!r}: the whole payload.")
        return {name: given[0] if given else self._parameter.default}

    def bind_object(self, payload: object) -> dict[str, Any]:
        """Bind the whole payload."""
        return self.bind((), {}) if payload is None else self.bind((payload,), {})

    def write(self, value: Mapping[str, Any], *, fixed_order: bool = False) -> bytes:
        """Return the payload of the bound argument."""
        given = value[self._parameter.name]
        return self._codec.check(given) if self._raw else self._codec.write(given, fixed_order=fixed_order)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the payload; empty for bytes."""
        return {} if self._raw else self._codec.adapter.json_schema()


class Result:
    """The result of one function as JSON by its return annotation. `bytes` are stored as they are.

    A handler in Asynq's style (`is_raw`) may return bytes, or any value that JSON can express.
    """

    def __init__(self, name: str, annotation: Any, *, is_raw: bool = False) -> None:
        self._name = name
        self._is_loose = is_raw
        self._raw = is_raw or _is_bytes(annotation)
        self._codec = Codec(name, Any if annotation is MISSING else annotation, "result")

    def write(self, value: Any) -> bytes | None:
        """Return the bytes to store, or None if there is no result. Raises PayloadError."""
        if value is None:
            return None
        if self._is_loose:
            return loose_payload(self._name, value, noun="result")
        return self._codec.check(value) if self._raw else self._codec.write(value)

    def read(self, stored: bytes) -> Any:
        """Read a stored result."""
        if self._raw:
            return stored
        if not stored:
            return None
        try:
            return self._codec.read(stored)
        except ValidationError as error:
            raise PayloadError(
                f"The stored result is not what {self._name} is said to return: {reasons(error)}."
            ) from error


def arguments_of(signature: Signature) -> Arguments | WholePayload:
    """Prepare the reading and writing of a function's payload."""
    return Arguments(signature) if signature.whole is None else WholePayload(signature, signature.whole)


def _context_advice(signature: Signature) -> str:
    """Return advice about a parameter that is named like the context but not annotated, so a call has to pass it."""
    for item in signature.parameters:
        if item.name in ("ctx", "context") and item.annotation is Any:
            return f" Annotate {item.name!r} as Context if the worker is to fill it."
    return ""


def _object_type(signature: Signature) -> Any:
    keys = {
        item.name: item.annotation if item.required else NotRequired[item.annotation] for item in signature.parameters
    }
    # A TypedDict, because pydantic reads it into a plain dict, which is more than twice as fast as a model. Type
    # checkers cannot follow a TypedDict that is made at run time.
    made: Any = cast("Any", TypedDict)(signature.name.rpartition(".")[2], keys)
    made.__pydantic_config__ = ConfigDict(extra="ignore")
    return made


def _keys(owner: str, codec: Codec) -> dict[str, str]:
    """Return the payload keys of the parameters whose key differs from their name.

    Raises OptionError for a parameter that is written under one key and read under another.
    """
    schema = cast("dict[str, Any]", codec.adapter.core_schema)
    fields: dict[str, dict[str, Any]] = schema.get("schema", schema)["fields"]
    keys = {name: field.get("serialization_alias", name) for name, field in fields.items()}
    for name, field in fields.items():
        alias: str | list[str] | list[list[str]] = field.get("validation_alias", name)
        read = [alias] if isinstance(alias, str) else alias
        if not any(choice in (keys[name], [keys[name]]) for choice in read):
            raise OptionError(
                f"{owner} writes {name!r} as {keys[name]!r} and reads it as {alias!r}: give one alias for both, "
                f"Field(alias=...)."
            )
    if len(set(keys.values())) < len(keys):
        raise OptionError(f"{owner} writes two parameters under one key: {', '.join(sorted(keys.values()))}.")
    return {name: key for name, key in keys.items() if name != key}


def _defaults(signature: Signature, keys: Mapping[str, str]) -> dict[str, bytes]:
    """Return an object as JSON for each default, by its key. Raises OptionError if a default cannot be written."""
    optional = tuple(item for item in signature.parameters if not item.required)
    if not optional:
        return {}
    codec = Codec(signature.name, _object_type(replace(signature, parameters=optional)), "default")
    written: dict[str, bytes] = {}
    for item in optional:
        key = keys.get(item.name, item.name)
        try:
            written[key] = codec.write({key: item.default}, fixed_order=True)
        except PayloadError as error:
            raise _wrong_default(signature.name, item, error) from error
    return written


def _wrong_default(owner: str, parameter: Parameter, error: PayloadError) -> OptionError:
    instead = (
        "Add `| None` to the annotation" if parameter.default is None else "Use a default that fits the annotation"
    )
    return OptionError(
        f"The default of {parameter.name!r} in {owner} cannot travel: {error} {instead}, or inject it with "
        "Annotated[..., Depends(...)] = INJECTED."
    )


def _is_bytes(annotation: Any) -> bool:
    """Whether values are stored as they are: the annotation is `bytes`, without a pydantic serializer of its own."""
    if annotation is bytes:
        return True
    is_annotated = get_origin(annotation) is Annotated and get_args(annotation)[0] is bytes
    return is_annotated and not any(hasattr(mark, "__get_pydantic_core_schema__") for mark in get_args(annotation)[1:])
