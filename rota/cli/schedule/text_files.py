"""Reads and writes the text files that commands name: a path, or `-` for standard input."""

import sys
from pathlib import Path

import typer

from rota.errors import ConfigError


def source_of(file: str) -> str:
    """Return the name of a file for messages."""
    return "standard input" if file == "-" else file


def read_text(file: str) -> str:
    """Return the text of a file. Raises ConfigError if it cannot be read or is not UTF-8."""
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source_of(file)} is not UTF-8: byte {error.start} is {data[error.start]:#04x}.") from None


def write_text(text: str, file: Path | str | None) -> None:
    """Write a text as it is, to standard output if no file is named. Raises ConfigError if that fails."""
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        Path(file).write_bytes(text.encode())
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}.") from None
