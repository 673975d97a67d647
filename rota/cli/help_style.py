"""How Typer prints helps and errors: in the language of the locale, and folded where the terminal is narrow.

This imports what renders Markdown and tracebacks, which takes a quarter of the start of a command, so it is imported
when a help or an error is printed.
"""

from rich.text import Text
from typer import rich_utils

from rota.cli.language import translated_title

_TITLES = {
    name: getattr(rich_utils, name)
    for name in (
        "ARGUMENTS_PANEL_TITLE",
        "OPTIONS_PANEL_TITLE",
        "COMMANDS_PANEL_TITLE",
        "ERRORS_PANEL_TITLE",
        "DEFAULT_STRING",
        "REQUIRED_LONG_STRING",
        "RICH_HELP",
        "ABORTED_TEXT",
    )
    if hasattr(rich_utils, name)
}
"""The words that Typer itself prints in the help, and at the end of a command that was broken off."""


class _Folding(rich_utils.OptionHighlighter):
    """Lets a narrow terminal break a help text anywhere. Rich would cut one of Chinese words, which have no spaces."""

    def __call__(self, text: str | Text) -> Text:
        found = super().__call__(text)
        found.overflow = "fold"
        return found


_FOLDING = _Folding()


def apply() -> None:
    """Give Typer the words of the language of the locale."""
    for name, title in _TITLES.items():
        setattr(rich_utils, name, translated_title(title))
    rich_utils.highlighter = _FOLDING
