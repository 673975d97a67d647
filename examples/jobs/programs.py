"""Runs the dump and restore programs of database servers, with their data in pipes.

The data passes through this process, so that a program whose worker was killed finds a closed pipe and ends too.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from os import environ
from tempfile import TemporaryFile
from typing import IO, Protocol

CHUNK_BYTES = 1 << 20
_SHOWN_BYTES = 2000


class Readable(Protocol):
    """The part of a file that is read here."""

    def read(self, size: int, /) -> bytes: ...


class ProgramFailed(Exception):
    """A program ended with an error. The text has its name, exit code and last words."""


def find_program(*names: str) -> str:
    """Return the first of these programs that this machine has."""
    for name in names:
        if path := shutil.which(name):
            return path
    raise ProgramFailed(f"{' or '.join(names)} is not installed on this machine, or is not in the PATH of the worker.")


def read_from(command: list[str], secrets: Mapping[str, str], take: Callable[[bytes], object]) -> None:
    """Run a program and hand on what it prints. Raises ProgramFailed if its exit code is not 0."""
    with _running(command, secrets, stdout=subprocess.PIPE) as process:
        output = process.stdout
        assert output is not None
        while chunk := output.read(CHUNK_BYTES):
            take(chunk)


def write_to(command: list[str], secrets: Mapping[str, str], chunks: Iterable[bytes]) -> None:
    """Run a program and give it the chunks to read. Raises ProgramFailed if its exit code is not 0."""
    with _running(command, secrets, stdin=subprocess.PIPE) as process:
        inlet = process.stdin
        assert inlet is not None
        try:
            for chunk in chunks:
                inlet.write(chunk)
            inlet.close()
        except BrokenPipeError:
            process.wait()  # the program has ended early, and its exit code and last words say why


def chunks_of(file: Readable) -> Iterator[bytes]:
    """Yield the content of a file in pieces of bounded size."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


@contextmanager
def _running(
    command: list[str], secrets: Mapping[str, str], *, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    # A file takes any amount of messages, where a second pipe could fill up and block the program.
    with TemporaryFile() as messages:
        process = subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=messages, env={**environ, **secrets, "LC_ALL": "C"}
        )
        try:
            yield process
            code = process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            for pipe in (process.stdin, process.stdout):
                if pipe and not pipe.closed:
                    _close(pipe)
            process.wait()
        if code:
            messages.seek(max(0, messages.tell() - _SHOWN_BYTES))
            raise ProgramFailed(f"{command[0]} ended with exit code {code}: {messages.read().decode(errors='replace')}")


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return  # what was left in the buffer has no reader
