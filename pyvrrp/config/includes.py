"""`include FILE` and its stricter kinds: which files a pattern names, and what may be missing."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from enum import Flag, auto
from itertools import pairwise

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.text import BLANKS, Text


class Check(Flag):
    """What `include_check` and the kinds of `include` demand; keepalived refuses to start where it is not met."""

    NONE = 0
    READABLE = auto()
    "what is found must be a readable file"
    MATCH = auto()
    "a name without wildcards must exist"
    WILDCARD_MATCH = auto()
    "some file must be found, wildcards or not"
    BRACE_MATCH = auto()
    "each alternative of {a,b} must find a file"
    ALL = READABLE | MATCH | WILDCARD_MATCH | BRACE_MATCH


KINDS = {
    "include": Check.NONE,
    "includer": Check.READABLE,
    "includem": Check.READABLE | Check.MATCH,
    "includew": Check.READABLE | Check.WILDCARD_MATCH,
    "includeb": Check.READABLE | Check.BRACE_MATCH,
    "includea": Check.ALL,
}
_OPTIONS = {
    "readable": Check.READABLE,
    "match": Check.READABLE | Check.MATCH,
    "wildcard_match": Check.READABLE | Check.WILDCARD_MATCH,
    "brace_match": Check.READABLE | Check.BRACE_MATCH,
}
MOST_ALTERNATIVES = 1_000
"of one pattern with {a,b}"
_LONGEST_PATH = 4096  # Linux: PATH_MAX

INCLUDE = re.compile(r"(include[rmwba]?)(?:\s+(.*))?$", re.ASCII | re.DOTALL)
INCLUDE_CHECK = re.compile(r"include_check(?:\s|$)", re.ASCII)


def set_checks(line: Text, checks: Check, diagnostics: Diagnostics) -> Check:
    """What holds after a line `include_check [OPTIONS]`: all without options, `+` adds, `-` takes away."""
    options = line.text.split()[1:]
    if not options:
        return Check.ALL
    if options[0][0] not in "+-":
        checks = Check.NONE
    for option in options:
        check = _OPTIONS.get(option.lstrip("+-"))
        if check is None:
            diagnostics.error(
                line.position(),
                "bad-include-check",
                f"include_check has no option {option}",
                f"choose of {', '.join(_OPTIONS)}",
            )
        elif option[0] == "-":
            checks &= ~check | Check.READABLE
        else:
            checks |= check
    return checks


def included_files(line: Text, directory: str, checks: Check, diagnostics: Diagnostics) -> Iterator[str]:
    """The files that an include line names, relative to `directory`, in keepalived's order.

    A name without wildcards is returned only if something is there.
    """
    match = INCLUDE.match(line.text)
    pattern = (match[2] or "").strip(BLANKS) if match else ""
    if match is None or not pattern:
        diagnostics.error(line.position(), "include-without-file", "include needs a file name", "add it, or remove it")
        return
    checks |= KINDS[match[1]]
    alternatives = _alternatives(pattern)
    missing: list[str] = []
    for alternative in alternatives:
        found = _matches(os.path.join(directory, alternative))
        if not found:
            missing.append(alternative)
        yield from found
    if missing:
        _report_missing(line, missing, all_missing=len(missing) == len(alternatives), checks=checks, to=diagnostics)


def report_unreadable(line: Text, file: str, error: Exception, checks: Check, diagnostics: Diagnostics) -> None:
    """A file that is there, but can't be read."""
    match = INCLUDE.match(line.text)
    reason = error.strerror if isinstance(error, OSError) else error
    message, hint = f"{file} can't be read: {reason}", "correct its permissions, or remove the include"
    if match and Check.READABLE in checks | KINDS[match[1]]:
        diagnostics.error(line.position(), "include-unreadable", message, hint, fatal=True)
    else:
        diagnostics.warning(line.position(), "include-unreadable", message, hint)


def _matches(path: str) -> list[str]:
    if len(path) > _LONGEST_PATH:
        return []
    try:
        if glob.has_magic(path):
            return sorted(glob.glob(path))
        return [path] if os.path.lexists(path) else []
    except (OSError, ValueError, re.error):
        return []


def _report_missing(line: Text, missing: list[str], *, all_missing: bool, checks: Check, to: Diagnostics) -> None:
    plain = [name for name in missing if not glob.has_magic(name)]
    refused = (
        (Check.BRACE_MATCH in checks and "{" in line.text)
        or (Check.WILDCARD_MATCH in checks and all_missing)
        or (Check.MATCH in checks and all_missing and bool(plain))
    )
    names = missing if refused else plain
    if not names:
        return
    message = f"there is no file {', '.join(name[:200] for name in names[:3])}" + (
        f" and {len(names) - 3} more" if len(names) > 3 else ""
    )
    hint = "create it, or remove it from the include"
    if any(name[0] in "\"'" for name in names if name):
        hint = "write the name without quotes: they are taken as part of it"
    if refused:
        to.error(line.position(), "include-missing", message, hint, fatal=True)
    else:
        to.warning(line.position(), "include-missing", message, hint)


def _alternatives(pattern: str) -> list[str]:
    """`{foo/{,cat},bar}` as csh has it: foo/, foo/cat, bar. Braces that don't pair stay as they are."""
    done: list[str] = []
    todo = [pattern]
    while todo and len(done) + len(todo) <= MOST_ALTERNATIVES:
        text = todo.pop()
        choices = _choices(text)
        if choices is None:
            done.append(text)
        else:
            start, end, words = choices
            todo += [text[:start] + word + text[end:] for word in reversed(words)]
    return done + todo


def _choices(text: str) -> tuple[int, int, list[str]] | None:
    """The first {...} of a pattern: where it starts and ends, and what stands between its commas."""
    start = text.find("{")
    depth, cuts = 0, [start]
    for at in range(max(start, 0), len(text)):
        match text[at]:
            case "{":
                depth += 1
            case "," if depth == 1:
                cuts.append(at)
            case "}" if depth == 1:
                cuts.append(at)
                return start, at + 1, [text[a + 1 : b] for a, b in pairwise(cuts)]
            case "}" if depth:
                depth -= 1
            case _:
                pass
    return None
