"""Parts of sentences in texts that are put together: plurals, one full stop at the end, what may have been meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun: `1 task`, `2 tasks`, `0 queues`."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def unstopped(text: object) -> str:
    """Return a text, or that of an error, without the full stop at its end, to put it inside of a sentence."""
    return str(text).rstrip().removesuffix(".")


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
