"""Breaks lines of Chinese text where Chinese may be broken: between any two characters, but not before a full stop.

Rich knows only white space between words. It takes a Chinese sentence for one long word, moves the whole of it to the
next line, and leaves half of the line before it empty.
"""

import re

from rich import _wrap

_CHARACTER = "\u3400-\u4dbf\u4e00-\u9fff"
_OPENING, _CLOSING = "（《「『【“‘", "，。、；：！？）》」』】”’…"
_OTHERS = f"(?:(?![{_CHARACTER}{_OPENING}{_CLOSING}])\\S)+"
WORD = re.compile(rf"\s*[{_OPENING}]*(?:[{_CHARACTER}]|{_OTHERS}|[{_OPENING}{_CLOSING}])[{_CLOSING}]*\s*")
"""What stays on one line: a Chinese character or a word of other letters, with the marks that belong to it."""


def break_chinese_anywhere() -> None:
    """Let Rich break lines between Chinese characters."""
    _wrap.re_word = WORD
