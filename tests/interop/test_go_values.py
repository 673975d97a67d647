"""A struct that Go's encoding/json wrote is read by a function, and what the function's call writes is read by Go."""

import subprocess
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from interop.build import binaries
from rota import GoBytes, GoDuration, Rota


class Item(BaseModel):
    name: str = ""
    tags: list[str] = []
    meta: dict[str, str] = {}


async def act(
    at: datetime,
    item: Item,
    count: int = 0,
    big: int = 0,
    ratio: float = 0.0,
    wait: GoDuration = timedelta(0),
    data: GoBytes = b"",
    tags: list[str] = [],  # noqa: B006
    limits: dict[str, int] = {},  # noqa: B006
    by_id: dict[int, str] = {},  # noqa: B006
    note: str = "none",
    items: list[Item] = [],  # noqa: B006
    pointer: Item | None = None,
    any: Any = None,
    text: str = "",
) -> None: ...


def values(*words: str, lines: str = "") -> list[str]:
    done = subprocess.run([binaries() / "values", *words], input=lines, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_function_reads_what_go_writes() -> None:
    task = Rota().task("test:act")(act)
    full, zero = (task.handler.arguments.received(line.encode()) for line in values())

    assert (full["count"], full["big"], full["ratio"]) == (-(2**63), 2**64 - 1, 0.1)
    assert (full["wait"], full["data"]) == (timedelta(seconds=90, microseconds=1), b"\x00\xff>")
    assert full["at"].isoformat() == "2030-01-02T03:04:05.123456+02:00"
    assert (full["tags"], full["limits"], full["by_id"]) == (["b", "a"], {"z": 1, "a": 2}, {7: "x"})
    assert (full["note"], full["any"], full["text"]) == ("n", [1], "<a> & \u2028 ä\x00")
    assert (full["item"], full["items"], full["pointer"]) == (Item(name="i", tags=["t"]), [Item(name="j")], Item())
    # Every nil slice, map and pointer is null in Go's JSON.
    assert (zero["tags"], zero["limits"], zero["by_id"], zero["items"]) == ([], {}, {}, [])
    assert (zero["note"], zero["pointer"], zero["data"], zero["wait"]) == ("none", None, b"", timedelta(0))
    assert (zero["item"], zero["at"].year) == (Item(), 1)


def test_go_reads_what_a_call_writes() -> None:
    task = Rota().task("test:act")(act)
    payload = task.plan(
        datetime.fromisoformat("2030-01-02T03:04:05.000006+02:00"), Item(name="i", tags=["t"], meta={"k": "v"}),
        -(2**63), 2**64 - 1, 0.1, timedelta(seconds=90, microseconds=1), b"\x00\xff>", ["b"], {"z": 1}, {7: "x"},
    ).payload  # fmt: skip

    assert values("-read", lines=payload.decode() + "\n") == [
        "-9223372036854775808 18446744073709551615 0.1 1m30.000001s [0 255 62] 2030-01-02T03:04:05.000006+02:00 "
        "[b] map[z:1] map[7:x] {i [t] map[k:v]}"
    ]
