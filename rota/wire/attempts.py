"""The records of the attempts at a task, in the field `rota_attempts` of its hash: written, and read again.

Each record is a line of JSON. Its members are `n` (the number of the attempt), `worker`, `host`, `pid`, `started` and
`ended` (milliseconds since 1970), `outcome`, `error` and `traceback`; a member that is not known is left out. The
scripts number the records and limit their size (`lua/attempts.lua`). Here each error and traceback is cut.
"""

import json
from collections.abc import Mapping
from json.encoder import encode_basestring as quoted
from typing import Any, cast

from rota.core import tracebacks
from rota.wire.names import clean_text

LIMIT_BYTES = 16 * 1024
MOST_ERROR_BYTES = 1024
MOST_TRACEBACK_BYTES = 2048


def members(error: str = "", traceback: str = "", **others: str | int | None) -> bytes:
    """Return the members of a record as JSON without braces. Members that are empty or None are left out."""
    if error:
        others["error"] = clean_text(error, MOST_ERROR_BYTES)
    if traceback:
        others["traceback"] = tracebacks.last_lines(traceback, MOST_TRACEBACK_BYTES)
    known = (f'"{name}":{_json(value)}' for name, value in others.items() if value)
    return ",".join(known).encode("utf-8", "replace")


def _json(value: str | int) -> str:
    # `json.dumps` for all members together would take twice the time, and this is done for each failed attempt.
    return quoted(value) if isinstance(value, str) else str(value)


def records(raw: bytes) -> list[Mapping[str, Any]]:
    """Read the records, oldest first. A line that is not a record is skipped."""
    found = (_record(line) for line in raw.splitlines())
    return [record for record in found if record is not None]


def _record(line: bytes) -> Mapping[str, Any] | None:
    try:
        record: Any = json.loads(line)
        match record:
            case {"n": int() as number} if number is not True and number is not False:
                return cast("Mapping[str, Any]", record)
            case _:
                return None
    except (ValueError, RecursionError):
        return None
