"""Follows a page of the docs as a reader would: creates its files, runs its commands, and looks at their output.

How a page is read:

- A `python` or `toml` block is a file. The last paragraph before it names the file in backticks.
- A `console` block holds commands after `$ `, each with its output. `rota dev`, `rota worker` and programs that do not
  end run on in the first terminal, a pseudo-terminal, until the next such command; the page tells the reader to press
  Ctrl-C there.
- A `text` block is what the first terminal shows. Its lines are awaited, in any order, because tasks run side by side.

Differences that a reader expects are removed from both sides: IDs, times, process numbers, versions of the server, the
folder, the address of the server, and how long and wide the output of pytest is.
"""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import wait_until

FOLLOWED = (
    "docs/first-schedule.md",
    "docs/stored-schedule.md",
    "docs/tutorial.md",
    "docs/project-layout.md",
    "docs/logging.md",
    "docs/testing.md",
    "docs/time-zones.md",
    "docs/holidays.md",
)
"""The pages that `test_pages.py` follows."""

FOLDER = "/home/ann/try"
URL = "redis://localhost:6379/0"
IN_FIRST_TERMINAL = ("rota dev", "rota worker", "python nightly.py", "python flaky.py")
DEADLINE_SECONDS = 45.0

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w/.-]+\.\w+)`")
_COMMENT = re.compile(r"<!--.*?-->")
_DIFFERENT = [
    (re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]"), ""),
    (re.compile(r"\^C"), ""),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r"Worker [0-9a-f]{12}"), "Worker <id>"),
    (re.compile(r"^(\d\d:\d\d:\d\d| {8}) (?=[A-Z]+ +\[)"), "<time> "),
    (re.compile(r"\[\d+\]"), "[<process>]"),
    (re.compile(r"(?<= )\d+(\.\d+)? (ms|s)\b"), "<duration>"),
    (re.compile(r" +(?=\[ *\d+%\]$)"), " "),
    (re.compile(r"(={3,}|_{3,})"), "---"),
    (re.compile(r"(?<=in )\d+\.\d+s\b"), "<duration>"),
    (re.compile(r"(Redis|Valkey) \d+(\.\d+)+"), "<server>"),
]
_LEFT_OUT = ("Using the server of `rota dev`", "Executing <")
"""Lines that only some readers see. unittest turns on the debug mode of asyncio, so a busy machine prints the second
one: a step of the event loop took more than 100 ms."""


@dataclass(frozen=True)
class Block:
    """A fenced block, with the text between it and the block before."""

    language: str
    content: str
    before: str

    @property
    def file(self) -> str | None:
        """The file that the last paragraph before the block names."""
        paragraphs = [text for text in _COMMENT.sub("", self.before).split("\n\n") if text.strip()]
        names = _FILE.findall(paragraphs[-1]) if paragraphs else []
        return names[-1] if names else None


def blocks(page: str) -> Iterator[Block]:
    end = 0
    for match in _BLOCK.finditer(page):
        yield Block(match[1], match[2], page[end : match.start()])
        end = match.end()


def commands(console: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command with the lines that it is said to print."""
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        command, *output = part.splitlines()
        yield command, output


class Walk:
    """One reader, in a folder of their own, with two terminals."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("ROTA_", "PYTHON", "PYTEST_"))
        }
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        # A warning in a program of a page is an error, as it is in these tests.
        self.environment = {**kept, "PATH": path, "TERM": "xterm", "COLUMNS": "300", "PYTHONWARNINGS": "error"}
        self.terminal: Terminal | None = None

    def follow(self, page: str) -> None:
        for block in blocks(page):
            if block.language in ("python", "toml"):
                assert block.file is not None, f"this snippet does not name its file:\n{block.content}"
                (self.folder / block.file).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / block.file).write_text(block.content)
            elif block.language == "console":
                for command, output in commands(block.content):
                    self._run(command, [self.plain(line) for line in output])
            elif block.language == "text":
                assert self.terminal is not None
                self.terminal.shows([self.plain(line) for line in block.content.splitlines()])

    def plain(self, line: str) -> str:
        line = line.rstrip().replace(self.url, URL).replace(str(self.folder), FOLDER)
        for pattern, text in _DIFFERENT:
            line = pattern.sub(text, line)
        return line.rstrip()

    def leave(self) -> None:
        if self.terminal is not None:
            self.terminal.interrupt()
        self.terminal = None

    def _run(self, command: str, expected: list[str]) -> None:
        if command == f"export ROTA_URL={URL}":
            self.environment["ROTA_URL"] = self.url
        elif command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self.environment[name] = value
        elif command.startswith(IN_FIRST_TERMINAL):
            self.leave()
            self.terminal = Terminal(command, self)
            self.terminal.shows(expected)
        else:
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=DEADLINE_SECONDS,
            )
            lines = [line for line in done.stdout.splitlines() if not line.startswith(_LEFT_OUT)]
            assert [self.plain(line) for line in lines] == expected, f"{command}\n{done.stdout}"


class Terminal:
    """A command on a wide pseudo-terminal."""

    def __init__(self, command: str, walk: Walk) -> None:
        self._walk = walk
        self._text = ""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 300, 0, 0))
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            cwd=walk.folder,
            env=walk.environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def shows(self, expected: list[str]) -> None:
        """Wait until each of the lines has appeared, as often as it is expected."""
        wanted = Counter(expected)

        def is_there() -> bool:
            assert self._process.poll() is None, self._text
            return wanted <= Counter(self._lines())

        try:
            wait_until(is_there, DEADLINE_SECONDS)
        except TimeoutError as error:
            missing = "\n".join((wanted - Counter(self._lines())).elements())
            raise AssertionError(f"The terminal lacks:\n{missing}\n\nIt shows:\n{self._text}") from error

    def interrupt(self) -> None:
        """Press Ctrl-C, which reaches every process of the terminal, and wait for the end."""
        os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(DEADLINE_SECONDS)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._reader.join(DEADLINE_SECONDS)
            os.close(self._master)

    def _lines(self) -> list[str]:
        return [self._walk.plain(line) for line in self._text.splitlines()]

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # the last process has closed the other side
                return
            if not data:
                return
            self._text += data.decode(errors="replace")
