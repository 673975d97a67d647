"""The language of the command line: English, or Chinese where the locale says so.

`ROTA_LANG` decides, then `LC_ALL`, `LC_MESSAGES` and `LANG`, as for other programs. The output of
`--json`, the names of states and options, and the names that users chose stay as they are in every language.

The code holds the English texts. A text is translated where it is printed: `translated` finds it in the catalogue
`zh.toml`, whose keys are the texts as the code writes them, with `{}` for each value. A value is
translated too if it is a text of the catalogue itself, such as "3 tasks". A text without a translation is
printed in English; a test finds every such text of the code.
"""

import os
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, cast

from rota.settings.origin import LANGUAGE_VARIABLE

Language = Literal["en", "zh"]
CATALOGUE = Path(__file__).with_name("zh.toml")
_VARIABLES = (LANGUAGE_VARIABLE, "LC_ALL", "LC_MESSAGES", "LANG")
_HOLE, _BULLET = "{}", "- "
_SENTENCE_END = re.compile(r"(?<=[.?!]) (?=[A-Z`-])")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
"""A name or a text of the user, which stays as it is."""
_CHINESE_MARKS = "。？！："
_VALUES = {"nouns": "[0-9][0-9,.]*", "lengths": "[0-9][0-9a-zA-Z,. ]*"}
"""The values that the templates of a table take, where any text would be too much: "{} task" would match sentences."""
_VAGUE = 8
"""Letters that a template has at least, to be tried before a text is split into sentences."""
_FEW_LETTERS = 12
"""A template of so few letters takes no value that is left in English: it would match every sentence with its words."""
_ENGLISH = re.compile(r"(?:[A-Za-z]+ ){3}[A-Za-z]+")
"""Four words in a row, which no list of names has."""
_DEEPEST = 4
"""How often a value of a text is translated inside another one."""


_CHARACTER = "\u3400-\u4dbf\u4e00-\u9fff"
_OPENING, _CLOSING = "（《「『【“‘", "，。、；：！？）》」』】”’…"
_OTHERS = f"(?:(?![{_CHARACTER}{_OPENING}{_CLOSING}])\\S)+"
WORD = re.compile(rf"\s*[{_OPENING}]*(?:[{_CHARACTER}]|{_OTHERS}|[{_OPENING}{_CLOSING}])[{_CLOSING}]*\s*")
"""A Chinese character or a word of other letters, with the marks that belong to it: it stays on one line."""


class Phrase(NamedTuple):
    """A text with placeholders for values, and its translation. A vague one has few words of its own."""

    pattern: re.Pattern[str]
    translation: str
    is_vague: bool
    has_few_letters: bool
    begins_with_value: bool


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The translations: titles of columns and panels, whole texts, and texts with placeholders for values."""

    titles: dict[str, str]
    texts: dict[str, str]
    templates: list[Phrase]

    @classmethod
    def read(cls, path: Path) -> "Catalogue":
        """Read a catalogue. Of several templates that match a text, the one with the longest words counts."""
        tables = cast("dict[str, dict[str, str]]", tomllib.loads(path.read_text(encoding="utf-8")))
        texts: dict[str, str] = {}
        found: list[tuple[int, Phrase]] = []
        for name, table in tables.items():
            if name != "titles":
                texts |= table
                found += [
                    (len(key), _template(key, text, _VALUES.get(name, ".*?")))
                    for key, text in table.items()
                    if _HOLE in key
                ]
        found.sort(key=lambda pair: -pair[0])
        return cls(tables["titles"], texts, [template for _, template in found])

    def translate(self, text: str, depth: int = 0) -> str:
        """Return the translation of a text, or the text itself if there is none.

        A text of several sentences, such as a fact and an advice, may be translated sentence by sentence.
        """
        if (found := self.texts.get(text)) is not None:
            return found
        if depth == _DEEPEST or not any(map(str.isalpha, text)) or _QUOTED.fullmatch(text):
            return text
        for is_vague in (False, True):
            for template in self.templates:
                if template.is_vague != is_vague or (match := template.pattern.fullmatch(text)) is None:
                    continue
                values = [self.translate(value, depth + 1) for value in match.groups()]
                if template.has_few_letters and any(map(_ENGLISH.search, values)):
                    continue
                if template.begins_with_value and ": " in _QUOTED.sub("", f"{match[1]} "):
                    continue  # "a.yaml:2: The schedule 'b': timezone" is a source line and a name, and not one value
                return template.translation.format(*values)
            if not is_vague and (whole := self._by_sentences(text, depth)) != text:
                return whole
        return text

    def _by_sentences(self, text: str, depth: int) -> str:
        sentences = _SENTENCE_END.split(text)
        if len(sentences) == 1:
            return text
        found = [self.translate(each, depth + 1) for each in sentences]
        return "".join(each if each[-1:] in _CHINESE_MARKS else f"{each} " for each in found).rstrip()


def language() -> Language:
    """Return the language of this process, from its environment."""
    name = next((value for variable in _VARIABLES if (value := os.environ.get(variable))), "")
    return "zh" if name.lower().startswith("zh") else "en"


def translated(text: str) -> str:
    """Return a text in the language of this process. Each line of several, or point of a list, is translated alone."""
    if language() == "en":
        return text
    return "\n".join(map(_translated_line, text.split("\n")))


def _translated_line(line: str) -> str:
    bullet = _BULLET if line.startswith(_BULLET) else ""
    return bullet + _catalogue().translate(line.removeprefix(bullet))


def translated_title(title: str) -> str:
    """Return the title of a column, a field or a panel in the language of this process."""
    return title if language() == "en" else _catalogue().titles.get(title, title)


def translated_help(text: str) -> str:
    """Return a help text in the language of this process. Its paragraphs are translated one by one."""
    if language() == "en":
        return text
    paragraphs = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    return "\n\n".join(_catalogue().translate(paragraph) for paragraph in paragraphs)


def break_lines_of_chinese() -> None:
    """Let Rich break lines between Chinese characters, but not before a full stop.

    Rich knows only white space between words. It takes a Chinese sentence for one long word, moves the whole of it to
    the next line, and leaves half of the line before it empty.
    """
    from rich import _wrap

    if language() != "en":
        _wrap.re_word = WORD


@cache
def _catalogue() -> Catalogue:
    return Catalogue.read(CATALOGUE)


def _template(key: str, translation: str, value: str) -> Phrase:
    words = key.split(_HOLE)
    pattern = re.compile(f"({value})".join(map(re.escape, words)), re.DOTALL)
    letters = sum(map(str.isalpha, key)) if value == ".*?" else _FEW_LETTERS
    return Phrase(pattern, translation, letters < _VAGUE, letters < _FEW_LETTERS, not words[0])
