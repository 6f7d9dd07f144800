"""What happened in a simulation, to be read by a person."""

from dataclasses import dataclass

_SHOWN = 200
"lines, the last ones"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: when, on which node, what."""

    time: float
    node: str
    text: str


class Timeline:
    """Entries in order of their times; repeated ones of a node are folded when printed."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, time: float, node: str, text: str) -> None:
        self.entries.append(Entry(time, node, text))

    def since(self, time: float, word: str) -> list[Entry]:
        """The entries at or after `time` whose text has `word`."""
        return [entry for entry in self.entries if entry.time >= time and word in entry.text]

    def __str__(self) -> str:
        lines: list[str] = []
        routine: dict[tuple[str, str], int] = {}
        for entry in self.entries:
            key = (entry.node, entry.text)
            if entry.text.startswith("advertises"):
                routine[key] = routine.get(key, 0) + 1
                if routine[key] > 2:
                    continue
            else:
                lines += [f"{'':>12}  {node:<6} ({text}: {n - 2} more)" for (node, text), n in routine.items() if n > 2]
                routine.clear()
            lines.append(f"{entry.time:12.4f}  {entry.node:<6} {entry.text}")
        lines += [f"{'':>12}  {node:<6} ({text}: {n - 2} more)" for (node, text), n in routine.items() if n > 2]
        return "\n".join(lines[-_SHOWN:])
