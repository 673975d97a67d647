"""Typed arguments as one JSON object keyed by parameter name, and results as JSON.

Both sides validate: binding errors come at enqueue, and a payload from elsewhere is checked before the function runs.
At enqueue unknown arguments are refused. At run unknown keys are ignored, so that a newer producer does not break an
older worker.
"""

from collections.abc import Callable, Mapping
from typing import Any, NotRequired, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import PydanticSerializationError, to_json
from typing_extensions import TypedDict

from rota.errors import OptionError, PayloadError
from rota.signature import MISSING, Parameter, Signature
from rota.suggestion import did_you_mean

_NOTHING = (b"", b"null")  # Go's nil payload, and what json.Marshal(nil) gives


class Arguments:
    """The arguments of one function: prepared once, then written and read by compiled validators."""

    def __init__(self, signature: Signature) -> None:
        self._name = signature.name
        self._injected = {*signature.context_names, *signature.dependencies}
        self._names = tuple(parameter.name for parameter in signature.parameters)
        self._positional = tuple(parameter.name for parameter in signature.parameters if not parameter.keyword_only)
        self._required = tuple(parameter.name for parameter in signature.parameters if parameter.required)
        self._defaults = {item.name: item.default for item in signature.parameters if not item.required}
        self._adapter = _adapter(signature.name, _object_type(signature))
        self.validate: Callable[[bytes], dict[str, Any]] = self._adapter.validator.validate_json
        """The quick way to read a payload: raises pydantic's ValidationError, which `recover` takes."""
        self._check, self._dump = self._adapter.validator.validate_python, self._adapter.serializer.to_json
        self._has_aliases = _has_aliases(self._adapter, self._names)
        _check_defaults(signature)

    def read(self, payload: bytes) -> dict[str, Any]:
        """Return the keyword arguments that a payload holds. Absent ones are left to the function's defaults."""
        try:
            return self.validate(payload)
        except ValidationError as error:
            return self.recover(payload, error)

    def recover(self, payload: bytes, error: ValidationError) -> dict[str, Any]:
        """Accept an empty payload where no argument is needed; else raise PayloadError."""
        if not self._required and payload.strip() in _NOTHING:
            return {}
        raise PayloadError(
            f"The payload does not fit {self._name}: {_reasons(error)}. "
            "Compare what the producer sends with the function's parameters."
        ) from error

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Name the arguments of a call, add the defaults, and refuse what the function does not take."""
        if not kwargs and len(args) == len(self._names) == len(self._positional):
            return dict(zip(self._names, args, strict=True))
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
            raise PayloadError(f"{self._name} lacks {', '.join(map(repr, missing))}.")
        return {**self._defaults, **given}

    def _advice(self, name: str) -> str:
        if name in self._injected:
            return "The worker fills it; only a direct call may give it."
        return did_you_mean(name, self._names)

    def bind_object(self, payload: object) -> dict[str, Any]:
        """Name the arguments given as one mapping or model."""
        if payload is None:
            return self.bind((), {})
        if isinstance(payload, BaseModel):
            payload = dict(payload)
        if not isinstance(payload, Mapping):
            raise PayloadError(
                f"{self._name} takes its arguments by name, so give them as a mapping, not as {type(payload).__name__}."
            )
        return self.bind((), cast("Mapping[str, Any]", payload))

    def write(self, values: Mapping[str, Any]) -> bytes:
        """Return the payload of bound arguments: checked, converted, in the order of the parameters."""
        try:
            if self._has_aliases:
                return self._dump(self._check(values, by_alias=False, by_name=True), by_alias=True)
            return self._dump(self._check(values), by_alias=True)
        except ValidationError as error:
            raise PayloadError(f"The arguments do not fit {self._name}: {_reasons(error)}.") from error
        except PydanticSerializationError as error:
            raise PayloadError(f"The arguments of {self._name} cannot be written as JSON: {error}.") from error

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the payload."""
        return self._adapter.json_schema()


class WholePayload:
    """The one argument that is the whole payload: a model, or the bytes as they are."""

    def __init__(self, signature: Signature, parameter: Parameter) -> None:
        self._function = signature.name
        self._parameter = parameter
        self._raw = _is_bytes(parameter.annotation)
        self._adapter = _adapter(signature.name, parameter.annotation)
        self.validate: Callable[[bytes], dict[str, Any]] = self._read_raw if self._raw else self._read_model

    def _read_raw(self, payload: bytes) -> dict[str, Any]:
        return {self._parameter.name: payload}

    def _read_model(self, payload: bytes) -> dict[str, Any]:
        return {self._parameter.name: self._adapter.validator.validate_json(payload)}

    def read(self, payload: bytes) -> dict[str, Any]:
        """Return the keyword argument that the payload is."""
        try:
            return self.validate(payload)
        except ValidationError as error:
            return self.recover(payload, error)

    def recover(self, payload: bytes, error: ValidationError) -> dict[str, Any]:
        """Accept an empty payload where the parameter has a default; else raise PayloadError."""
        if not self._parameter.required and payload.strip() in _NOTHING:
            return {}
        raise PayloadError(f"The payload does not fit {self._function}: {_reasons(error)}.") from error

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Name the one argument of a call."""
        name = self._parameter.name
        given = [*args, *kwargs.values()]
        if set(kwargs) - {name} or len(given) > 1 or (not given and self._parameter.required):
            raise PayloadError(f"{self._function} takes one argument, {name!r}: the whole payload.")
        return {name: given[0] if given else self._parameter.default}

    def bind_object(self, payload: object) -> dict[str, Any]:
        """Take the whole payload."""
        return self.bind((), {}) if payload is None else self.bind((payload,), {})

    def write(self, values: Mapping[str, Any]) -> bytes:
        """Return the payload of the bound argument."""
        value = values[self._parameter.name]
        if self._raw and isinstance(value, bytes | bytearray):
            return bytes(value)
        try:
            checked = self._adapter.validator.validate_python(value)
            return checked if self._raw else self._adapter.serializer.to_json(checked, by_alias=True)
        except ValidationError as error:
            raise PayloadError(f"The argument does not fit {self._function}: {_reasons(error)}.") from error
        except PydanticSerializationError as error:
            raise PayloadError(f"The argument of {self._function} cannot be written as JSON: {error}.") from error

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the payload; empty for bytes."""
        return {} if self._raw else self._adapter.json_schema()


class Result:
    """The result of one function as JSON by its return annotation. `bytes` are stored as they are."""

    def __init__(self, name: str, annotation: Any) -> None:
        self._name = name
        self._raw = _is_bytes(annotation)
        self._adapter = _adapter(name, Any if annotation is MISSING else annotation)

    def write(self, value: Any) -> bytes | None:
        """Return what to store; None where there is nothing. Raises PayloadError."""
        if value is None:
            return None
        if self._raw and isinstance(value, bytes | bytearray):
            return bytes(value)
        try:
            return self._adapter.serializer.to_json(value, warnings=False, by_alias=True)
        except PydanticSerializationError as error:
            raise PayloadError(f"The result of {self._name} cannot be written as JSON: {error}.") from error

    def read(self, stored: bytes) -> Any:
        """Read a stored result."""
        if self._raw:
            return stored
        if not stored:
            return None
        try:
            return self._adapter.validator.validate_json(stored)
        except ValidationError as error:
            raise PayloadError(
                f"The stored result is not what {self._name} is said to return: {_reasons(error)}."
            ) from error


def loose_payload(type: str, payload: object) -> bytes:
    """Write the payload of a task that is not known here: bytes as they are, nothing as nothing, the rest as JSON."""
    if payload is None:
        return b""
    if isinstance(payload, bytes | bytearray):
        return bytes(payload)
    try:
        return to_json(payload, by_alias=True)
    except PydanticSerializationError as error:
        raise PayloadError(f"The payload of {type} cannot be written as JSON: {error}.") from error


def arguments_of(signature: Signature) -> Arguments | WholePayload:
    """Prepare the reading and writing of a function's payload."""
    return Arguments(signature) if signature.whole is None else WholePayload(signature, signature.whole)


def _object_type(signature: Signature) -> Any:
    keys = {
        item.name: item.annotation if item.required else NotRequired[item.annotation] for item in signature.parameters
    }
    # A TypedDict made at run time is outside of what type checkers follow. Pydantic reads it into a plain dict, which
    # is more than twice as fast as into a model.
    made: Any = cast("Any", TypedDict)(signature.name.rpartition(".")[2], keys)
    made.__pydantic_config__ = ConfigDict(extra="ignore")
    return made


def _adapter(name: str, annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise OptionError(
            f"{name} has a type that JSON cannot carry: {str(error).splitlines()[0]} "
            "Use what pydantic knows; inject connections and the like with Annotated[..., Depends(...)]."
        ) from error


def _has_aliases(adapter: TypeAdapter[Any], names: tuple[str, ...]) -> bool:
    try:
        return set(adapter.json_schema().get("properties", {})) != set(names)
    except PydanticUserError:  # a type without a JSON Schema, which may have aliases
        return True


def _check_defaults(signature: Signature) -> None:
    for item in signature.parameters:
        if item.required:
            continue
        try:
            TypeAdapter(item.annotation).dump_json(item.default, warnings=False)
        except PydanticSerializationError as error:
            raise OptionError(
                f"The default of {item.name!r} in {signature.name} cannot travel as JSON ({error}): "
                "use None, or inject it with Annotated[..., Depends(...)] = INJECTED."
            ) from error


def _is_bytes(annotation: Any) -> bool:
    return annotation is bytes or getattr(annotation, "__origin__", None) is bytes


def _reasons(error: ValidationError) -> str:
    parts = [
        f"{'.'.join(map(str, item['loc'])) or 'it'}: {item['msg']}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)[:5]
    ]
    more = error.error_count() - len(parts)
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")
