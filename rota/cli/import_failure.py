"""What went wrong while a module of the user was imported: the error and the lines of code that lead to it.

The frames of Rota and of Python's import machinery say nothing to the user, so they are left out.
"""

import sysconfig
import traceback
from pathlib import Path

import rota
from rota.errors import ConfigError, RotaError

MOST_PLACES = 5
_OURS = str(Path(rota.__file__).parent)
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class ImportFailed(RotaError):
    """A module of the user raised an error while it was imported."""


def failure(module: str, error: BaseException) -> RotaError:
    """Return the error to raise instead: a ConfigError if it was one, as for a wrong option of a task."""
    text = _describe(module, error)
    return ConfigError(text) if isinstance(error, ConfigError) else ImportFailed(text)


def _describe(module: str, error: BaseException) -> str:
    """Return one sentence, then a line for each place in the user's code, the innermost last."""
    return "\n".join([_sentence(module, error), *(f"  {place}" for place in _places(error))])


def _sentence(module: str, error: BaseException) -> str:
    if isinstance(error, ConfigError):
        return str(error)
    if isinstance(error, SystemExit):
        return (
            f"The module {module} ended the program while it was imported: sys.exit({error.code!r}). Put what is to "
            'run only as a program below `if __name__ == "__main__":`.'
        )
    text = error.msg if isinstance(error, SyntaxError) else _text(error)
    return f"The module {module} cannot be imported: {type(error).__name__}: {text}".rstrip(": ")


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "its text cannot be read"


def _places(error: BaseException) -> list[str]:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_machinery(frame.filename)]
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    shown = own[-MOST_PLACES:]
    if frames and frames[-1] not in shown:
        shown.append(frames[-1])  # the place in a library where it was raised
    places = [_place(frame.filename, frame.lineno, frame.line) for frame in shown]
    if isinstance(error, SyntaxError) and error.filename is not None:
        places.append(_place(error.filename, error.lineno, error.text))
    return places


def _is_machinery(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen")) or "/importlib/" in filename


def _place(filename: str, line: int | None, text: str | None) -> str:
    path = Path(filename)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    code = (text or "").strip()
    return f"{shown}:{line}: {code}" if code else f"{shown}:{line}"
