"""Asynq's own command line, built from its module at the version of our Asynq, and what it prints as values."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from interop.build import BIN, HERE, go_build
from rota.broker.url import parse

PACKAGE = "github.com/hibiken/asynq/tools/asynq"
_SECONDS = 60


@cache
def tool() -> Path:
    """Build the tool and return its path. Its module is apart, so that the other programs do not get what it needs."""
    go_build(HERE / "asynq_cli", BIN / "asynq", PACKAGE)
    return BIN / "asynq"


class AsynqTool:
    """Runs `asynq` on one Redis, as its users do."""

    def __init__(self, url: str, home: Path) -> None:
        address = parse(url)
        assert address.mode == "single", "the tool does not know Sentinel, and shows other tables of a Cluster"
        self._server = ["-u", str(address.endpoints[0]), "-n", str(address.database)]
        for flag, value in (("-U", address.username), ("-p", address.password)):
            self._server += [flag, value] if value else []
        self._environment = {**os.environ, "HOME": str(home), "NO_COLOR": "1"}  # it reads .asynq.yaml of its home

    def lines(self, *words: str) -> list[str]:
        """Return the lines that a command prints."""
        done = subprocess.run(
            [tool(), *words, *self._server],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            env=self._environment,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    def json(self, *words: str) -> Any:
        """Return what a command prints with `--json`."""
        return json.loads("".join(self.lines(*words, "--json")))

    def rows(self, *words: str) -> list[dict[str, str]]:
        """Return the rows of all tables that a command prints, by the titles of their columns."""
        return rows_of(self.lines(*words))


def rows_of(lines: list[str]) -> list[dict[str, str]]:
    """Read tables: a line of titles, a line of dashes, and rows up to an empty line."""
    found: list[dict[str, str]] = []
    titles: list[tuple[str, int, int | None]] = []
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if not line.strip():
            titles = []
        elif following.strip() and set(following) <= {"-", " "}:
            titles = _columns(line, following)
        elif titles and not set(line) <= {"-", " "}:
            found.append({title: line[start:end].strip() for title, start, end in titles})
    return found


def _columns(titles: str, dashes: str) -> list[tuple[str, int, int | None]]:
    starts = [at for at, char in enumerate(dashes) if char == "-" and (at == 0 or dashes[at - 1] == " ")]
    ends: list[int | None] = [*starts[1:], None]
    return [(titles[start:end].strip(), start, end) for start, end in zip(starts, ends, strict=True)]
