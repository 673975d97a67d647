"""The record that a worker of Rota writes about itself, beside its record in Asynq's format, which has no room for it.

The script of the heartbeat writes it, so it costs no further request. It stands on the node of the server's record,
lives as long as that, and is read with it. Any program can write to its key, so nothing in it is taken on trust.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, cast

from rota.wire.names import clean_text

MOST_BYTES = 4096
"""A longer record is not Rota's and is not read."""
_MOST_TEXT_BYTES = 500
_MOST_MEMORY = 2**53
"""A larger number is not read, because many readers of JSON do not keep it exactly."""
_MOST_SECONDS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerAbout:
    """The versions and the memory of a worker, and what blocks its event loop. None means not known."""

    version: str | None = None
    python: str | None = None
    memory_bytes: int | None = None
    blocked_by: str | None = None
    blocked_seconds: float | None = None
    last_blocked_seconds: float | None = None

    def to_json(self) -> bytes:
        """Return the record as JSON, with long texts cut."""
        fields = {name: _text(value) or value for name, value in asdict(self).items() if value is not None}
        return json.dumps(fields, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes | None) -> "WorkerAbout":
        """Read what `to_json` wrote. A value of another kind is read as None, and nothing raises an error."""
        try:
            found: Any = json.loads(data or b"{}")
        except (ValueError, RecursionError):
            return cls()
        fields = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        return cls(
            version=_text(fields.get("version")),
            python=_text(fields.get("python")),
            memory_bytes=_whole(fields.get("memory_bytes")),
            blocked_by=_text(fields.get("blocked_by")),
            blocked_seconds=_number(fields.get("blocked_seconds")),
            last_blocked_seconds=_number(fields.get("last_blocked_seconds")),
        )


def _text(value: object) -> str | None:
    return clean_text(value, _MOST_TEXT_BYTES) if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST_MEMORY else None


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value <= _MOST_SECONDS else None  # NaN is neither
