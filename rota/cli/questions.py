"""Questions before something is changed, and what a profile with `confirm` asks in addition."""

import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

import typer

from rota.cli import output
from rota.cli.language import translated
from rota.core.text import printable
from rota.settings.origin import CONFIRM_VARIABLE, current_profile


def agreed(question: str, *, yes: bool) -> bool:
    """Ask a question before something is changed: it names the action and how many things it changes.

    Without a terminal the answer is no, and a note names `--yes`. For a profile with `confirm`, `--yes` is not enough:
    the answer is the name of the profile, typed or in ROTA_CONFIRM.
    """
    profile = current_profile()
    guarded = profile.name if profile is not None and profile.confirm else None
    if yes if guarded is None else os.environ.get(CONFIRM_VARIABLE) == guarded:
        return True
    try:
        said = confirmed(question) if guarded is None else _named(question, guarded)
    except typer.Abort:
        answer = "--yes" if guarded is None else f"{CONFIRM_VARIABLE}={guarded}"
        if sys.stdin.isatty():
            output.note("\nNothing was changed.")
        else:
            output.note(f"\nNothing was changed. Without a terminal, {answer} answers the question.")
        return False
    if not said:
        output.note("Nothing was changed.")
    return said


def guard(question: str) -> None:
    """Ask a question only for a profile with `confirm`, before a change that needs no answer otherwise.

    Every command that changes something calls this, or `agreed` with `yes` where it does not ask.
    """
    if not agreed(question, yes=True):
        raise typer.Exit(1)


def confirmed(question: str, *, default: bool = False) -> bool:
    """Ask until the answer is yes or no, in English or Chinese. Raises typer.Abort at the end of the input."""
    choices = "Y/n" if default else "y/N"
    while True:
        answer = _typed(f"{translated(question)} [{choices}]")
        if answer in _ANSWERS:
            return _ANSWERS[answer]
        if not answer:
            return default
        output.note("Answer y or n.")


_ANSWERS = dict.fromkeys(("y", "yes", "是"), True) | dict.fromkeys(("n", "no", "否"), False)


def _named(question: str, guarded: str) -> bool:
    return _typed(f"{translated(question)} {translated(f'Type {guarded!r} to confirm')}") == guarded


def _typed(question: str) -> str:
    with _ended_by_interrupt():
        answer: str = typer.prompt(printable(question), default="", show_default=False, err=True)
    answer = answer.strip()
    return answer.lower() if answer.lower() in _ANSWERS else answer


@contextmanager
def _ended_by_interrupt() -> Generator[None]:
    """Let Ctrl-C end the command at its question.

    Commands ask inside a loop of asyncio, whose own handler would only cancel the task. The question would stay, and
    take the next line that is typed as its answer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    was_interrupted = False

    def interrupt(number: int, frame: object) -> None:
        nonlocal was_interrupted
        was_interrupted = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except typer.Abort:
        if was_interrupted:  # typer.prompt makes no difference between Ctrl-C and the end of the input
            output.note("\nNothing was changed.")
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, before)
