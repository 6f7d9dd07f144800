"""The characters of a line: comments, then words and braces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pyvrrp.config import quoting
from pyvrrp.config.diagnostics import Diagnostics, Position
from pyvrrp.config.statements import Word
from pyvrrp.config.text import Text


@dataclass(frozen=True, slots=True)
class Brace:
    """A brace outside quotes."""

    opens: bool
    position: Position


# A quote that is not closed on its line is an ordinary character here, so that a comment behind it is still cut.
_BEFORE_COMMENT = re.compile(r'(?:"(?:\\.|[^"\\])*"|\\.|[^#!])*', re.DOTALL)
_ESCAPED_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|(\\[#!])|\\.', re.DOTALL)

_REFERENCE = r"\$\{[A-Za-z_]\w*(?:[ \t]+[^\s{}]+)*[ \t]*\}"
_PLAIN = re.compile(rf'"(?P<quoted>[^"]*)"|(?:[^\s{{}}"$]+|{_REFERENCE}|\$)+|[{{}}"]', re.ASCII)
_ESCAPING = re.compile(rf"""(?:{_REFERENCE}|{quoting.WORD_PART})+|[{{}}"']""", re.ASCII | re.DOTALL)
_SLASH_COMMENT = re.compile(r"//[^/]*")
_LOOKALIKES = re.compile("[\xa0\xad\u200b-\u200f\u2018-\u201f\u2028\u2029\u202f\u2060\u3000\ufeff]")


def without_comment(line: Text, diagnostics: Diagnostics) -> Text:
    r"""The line up to the first `#` or `!` outside double quotes; `\#` and `\!` become the character itself."""
    text = line.text
    if "#" not in text and "!" not in text:
        return line
    match = _BEFORE_COMMENT.match(text)
    line = line.part(0, match.end()) if match else line
    if "\\#" in line.text or "\\!" in line.text:
        cuts = [found.start() for found in _ESCAPED_COMMENT.finditer(line.text) if found[1]]
        for cut in cuts:
            warn_of_comment_character(line.position(cut), line.text[cut + 1], diagnostics)
        starts, ends = [0, *(cut + 1 for cut in cuts)], [*cuts, len(line)]
        line = Text.joined(line.part(start, end) for start, end in zip(starts, ends, strict=True))
    return line


def warn_of_comment_character(position: Position, character: str, diagnostics: Diagnostics) -> None:
    """A `#` or `!` that is meant as itself, but not in double quotes."""
    diagnostics.warning(
        position,
        "escaped-comment-character",
        f"{character} is read as itself here, but keepalived 2.2 starts a comment at it",
        "put the word into double quotes, which every version reads alike",
    )


def tokens(line: Text, diagnostics: Diagnostics) -> Iterator[Word | Brace]:
    """Split a line without its comment into words and braces.

    How quotes are read depends on the first word of each statement (see `quoting`).
    """
    text = line.text
    first, escaping = True, False
    at = 0
    while match := (_ESCAPING if escaping else _PLAIN).search(text, at):
        start, at = match.span()
        raw, position = match[0], line.position(start)
        if raw in ("{", "}"):
            first, escaping = True, False
            yield Brace(raw == "{", position)
        elif raw == '"' or (raw == "'" and escaping):
            diagnostics.error(
                position,
                "unterminated-quote",
                f"the {raw} is not closed on its line",
                f"add the closing {raw}, or remove this one",
            )
        elif _is_slash_comment(raw, first, escaping):
            diagnostics.error(
                position,
                "slash-comment",
                "// does not start a comment in this language",
                "start the comment with # or !",
            )
            return
        else:
            if not raw.isascii() and (lookalike := _LOOKALIKES.search(raw)):
                _warn_of_lookalike(lookalike[0], line.position(start + lookalike.start()), diagnostics)
            if escaping:
                _warn_of_odd_braces(raw, position, diagnostics)
                yield Word(quoting.unquoted(raw), position, raw[0] in "\"'")
            else:
                _warn_of_odd_quotes(text, match, position, diagnostics)
                quoted = match["quoted"]
                yield Word(raw if quoted is None else quoted, position, quoted is not None)
            if first:
                first, escaping = False, raw in quoting.QUOTED_KEYWORDS


def _is_slash_comment(raw: str, first: bool, escaping: bool) -> bool:
    if not raw.startswith("//"):
        return False
    return first or raw == "//" or (not escaping and _SLASH_COMMENT.fullmatch(raw) is not None)


def _warn_of_odd_quotes(text: str, match: re.Match[str], position: Position, diagnostics: Diagnostics) -> None:
    start, end = match.span()
    if match[0][0] == "'":
        diagnostics.warning(
            position,
            "single-quote",
            "a ' is an ordinary character here, it does not quote",
            'quote with "..."',
        )
    elif match["quoted"] is not None and (
        text[start - 1 : start].strip(" \t{}") or text[end : end + 1].strip(" \t\r{}")
    ):
        diagnostics.warning(
            position,
            "quote-inside-word",
            "a quoted part is a word of its own, also where no blank stands beside it",
            "quote the whole word, or separate them by a blank",
        )


def _warn_of_odd_braces(raw: str, position: Position, diagnostics: Diagnostics) -> None:
    if ("{" in raw or "}" in raw) and ('\\"' in raw or raw[0] == "'"):
        diagnostics.warning(
            position,
            "brace-in-script",
            "keepalived takes a brace after \\\" or between '...' for the start or end of a block",
            'put the braces between two " without \\" before them, or move the command into a file',
        )


def _warn_of_lookalike(character: str, position: Position, diagnostics: Diagnostics) -> None:
    diagnostics.warning(
        position,
        "lookalike-character",
        f"U+{ord(character):04X} is part of the word here: it is neither a blank nor a quote",
        "type the blank or the quote again; it was probably pasted from a document",
    )
