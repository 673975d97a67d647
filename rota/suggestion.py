"""What somebody may have meant by a word that is unknown here."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a sentence that names the nearest known word, else all of them."""
    choices = sorted(known)
    near = nearest(word, choices)
    if near is not None:
        return f"Did you mean {near!r}?"
    return f"Known: {', '.join(choices)}." if choices else "None is known."


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like this one; None if no word is much like it."""
    return next(iter(get_close_matches(word, sorted(known), n=1, cutoff=0.6)), None)
