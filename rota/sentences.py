"""Small rules of written English for texts that are put together: plurals, and one full stop at the end."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun: `1 task`, `2 tasks`, `0 queues`."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def unstopped(text: object) -> str:
    """Return a text, or that of an error, without the full stop at its end, to put it inside of a sentence."""
    return str(text).rstrip().removesuffix(".")
