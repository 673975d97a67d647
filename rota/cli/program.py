"""The command-line program and its standard streams. `frame` has the table of its commands."""

import logging
import os
import sys
from collections.abc import Sequence

import typer

from rota.cli import output, version
from rota.cli.frame import Frame
from rota.cli.language import translated
from rota.errors import RotaError
from rota.settings.origin import read_project_file
from rota.settings.values import as_utf8

program = typer.Typer(
    name="rota",
    cls=Frame,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
program.callback()(version.option)


def main() -> None:
    """Run the command line. An error that Rota itself raises is printed as one line without a traceback."""
    prepare_streams()
    prepare_warnings()
    read_project_file(_tell_of_dev_server)
    try:
        words, second_program = split_words(sys.argv[1:])
        program(words, obj=second_program, prog_name="rota")  # also for `python -m rota.cli`
    except RotaError as error:
        sys.exit(output.explain(error))


def prepare_warnings() -> None:
    """Print warnings in the language of the locale, and none into the line that a shell completes."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(Translating())
        logging.lastResort.setLevel(logging.CRITICAL + 1 if "_ROTA_COMPLETE" in os.environ else logging.WARNING)


class Translating(logging.Formatter):
    """Gives warnings of a command, which has no log of its own, the language of the locale."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a warning, with its traceback if it has one."""
        return translated(super().format(record))


def _tell_of_dev_server() -> None:
    if not any(name.startswith("_ROTA_COMPLETE") for name in os.environ):  # a note would stand in the line being typed
        output.note("Using the server of `rota dev` in this folder.")


def split_words(words: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Split the words of `rota dev shop:app -- uvicorn web:app` at the `--`; None if there is no second program."""
    if words[:1] != ["dev"] or "--" not in words:
        return list(words), None
    start = words.index("--")
    return list(words[:start]), list(words[start + 1 :])


def prepare_streams() -> None:
    """Open the standard streams that the caller closed, and cope with a locale that is not UTF-8.

    A closed stream is opened on the null device, because otherwise the first printed line would end the command, and
    the next file or socket would get the number of the stream. A character that the encoding of an output lacks is
    written as an escape. Arguments are decoded as UTF-8.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # opens the lowest free number, which is `number`
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if callable(reconfigure := getattr(stream, "reconfigure", None)):
            reconfigure(errors="backslashreplace")
    sys.argv[1:] = map(as_utf8, sys.argv[1:])
