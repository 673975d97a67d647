"""Questions before something is changed, and what a profile with `confirm` asks in addition."""

import os

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
        said = _asked(translated(question), guarded)
    except typer.Abort:
        answer = "--yes" if guarded is None else f"{CONFIRM_VARIABLE}={guarded}"
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


def _asked(question: str, guarded: str | None) -> bool:
    if guarded is None:
        return typer.confirm(printable(question), err=True)
    order = translated(f"Type {guarded!r} to confirm")
    answer: str = typer.prompt(printable(f"{question} {order}"), default="", show_default=False, err=True)
    return answer.strip() == guarded
