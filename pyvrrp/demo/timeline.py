"""What happened when, in plain text: a line for each event, and a strip that shows who answered."""

from __future__ import annotations

import sys
import textwrap
import time
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

    def _write(self, text: str) -> None:
        lines = textwrap.wrap(text, WIDTH, subsequent_indent=MARGIN, drop_whitespace=True, break_on_hyphens=False)
        print("\n".join(lines), file=self._out, flush=True)
