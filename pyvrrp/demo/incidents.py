"""What happens to servers while clients ask them: what the clients feel of each incident, and the table at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyvrrp.demo.lab import eventually
from pyvrrp.demo.stream import Stream
from pyvrrp.demo.timeline import Timeline

LEAD = 0.5
"seconds before an incident that are shown too"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the clients felt of an incident."""

    what: str
    asked: int
    lost: int
    last: float
    "seconds from the incident to the last query that had no answer"
    moved: int
    "clients that have another server than before, although theirs was not touched"

    def __str__(self) -> str:
        if not self.lost:
            return f"none of {self.asked} queries lost"
        return f"{self.lost} of {self.asked} queries lost, the last of them {self.last:.2f} s after that"


class Incidents:
    """Tells incidents as they happen, and sums them up."""

    def __init__(self, timeline: Timeline, stream: Stream, names: Sequence[str]) -> None:
        """`names` are the DNS servers."""
        self._timeline = timeline
        self._stream = stream
        self._names = names
        self._outcomes: list[Outcome] = []

    def happens(
        self, what: str, how: str, act: Callable[[], object], over: Callable[[], bool], touched: str = ""
    ) -> Outcome:
        """Do it, wait until it is over, and tell what became of the clients' questions meanwhile.

        `what` is for the table, `how` continues it in the story; `touched` is the DNS server whose clients must move.
        """
        before = self._stream.round()
        self._timeline.add()
        began = self._timeline.say(f"==> {what}{how}")
        act()
        eventually(over, f"{what}: it is over", timeout=30, every=0.05)
        after = self._stream.round()
        time.sleep(0.4)
        until = time.monotonic() - Stream.PATIENCE
        lost = [question.asked - began for question in self._stream.lost(began, until)]
        moved = sum(by not in (touched, after.get(client)) for client, by in before.items())
        outcome = Outcome(what, len(self._stream.questions(began, until)), len(lost), max(lost, default=0.0), moved)
        self._outcomes.append(outcome)
        self._timeline.say(f"{outcome}")
        shown = self._stream.questions(began - LEAD, until)
        self._timeline.shares(shown, self._names, began - LEAD, began, until)
        return outcome

    def clients(self) -> Counter[str]:
        """How many clients each server has now."""
        return Counter(self._stream.round().values())

    def sum_up(self) -> None:
        """Write the table."""
        self._timeline.add()
        self._timeline.say("in short")
        rows = [("", "last query lost", "lost", "asked", "others moved")]
        for each in self._outcomes:
            last = f"after {each.last:.2f} s" if each.lost else "none"
            rows.append((each.what, last, f"{each.lost}", f"{each.asked}", f"{each.moved}"))
        self._timeline.table(rows)
