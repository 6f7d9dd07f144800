"""What happened when, in plain text: a line for each event, and a strip that shows who answered."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Sequence
from typing import TextIO

from pyvrrp.demo.stream import Question

WIDTH = 100
MARGIN = " " * 10
STEP = 0.1
"seconds for each character of a strip"


class Timeline:
    """Writes lines with the seconds since it was made in front."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._began = time.monotonic()

    def say(self, text: str) -> float:
        """Write a line with the time, wrapped where it is long; return the time (time.monotonic)."""
        now = time.monotonic()
        self._write(f"{now - self._began:7.1f} s {text}")
        return now

    def add(self, text: str = "") -> None:
        """Write a line that belongs to the one before."""
        self._write(f"{MARGIN}{text}" if text else "")

    def strip(self, questions: list[Question], since: float, event: float, until: float) -> None:
        """Show a stretch of time: for each tenth of a second the last letter of the name that answered, or a dot.

        An exclamation mark stands at the `event`.
        """
        steps = round((until - since) / STEP)
        by = ["."] * steps
        for question in questions:
            step = int((question.asked - since) / STEP)
            if question.answered is not None and 0 <= step < steps:
                by[step] = question.by[-1:] or "?"
        by.insert(round((event - since) / STEP), "!")
        self.add("".join(by))

    def shares(self, questions: list[Question], names: Sequence[str], since: float, event: float, until: float) -> None:
        """Show a stretch of time, a line for each name: of ten questions in a tenth of a second, how many it answered.

        The last line is of those that had no answer. None is a dot, ten a star; an exclamation mark is at the `event`.
        What is too long for a line is cut off at its end.
        """
        steps = min(round((until - since) / STEP), WIDTH - len(MARGIN) - 10)
        counts = {name: [0] * steps for name in (*names, "")}
        for question in questions:
            step = int((question.asked - since) / STEP)
            by = question.by if question.answered is not None else ""
            if 0 <= step < steps and by in counts:
                counts[by][step] += 1
        asked = [sum(of_step) for of_step in zip(*counts.values(), strict=True)]
        for name, of_name in counts.items():
            digits = [_of_ten(count, total) for count, total in zip(of_name, asked, strict=True)]
            digits.insert(round((event - since) / STEP), "!")
            self.add(f"{name or 'nobody':8} {''.join(digits)}")

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Write rows as columns: the first one begins at the left, the others end at the right."""
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for first, *others in rows:
            cells = [first.ljust(widths[0]), *map(str.rjust, others, widths[1:])]
            self.add("  ".join(cells).rstrip())

    def _write(self, text: str) -> None:
        lines = textwrap.wrap(text, WIDTH, subsequent_indent=MARGIN, drop_whitespace=True, break_on_hyphens=False)
        print("\n".join(lines), file=self._out, flush=True)


def _of_ten(count: int, total: int) -> str:
    """A tenth of the total is 1; the least that is not nothing is 1 too."""
    tenths = max(round(10 * count / total), 1) if count else 0
    return ".123456789*"[tenths]
