"""LVM, mount and DRBD as a backup meets them, played in memory: what is real in these tests is the order of things."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drbdctl.backup.surroundings import Node
from drbdctl.status.state import Status
from drbdctl.steps.command import Outcome

GENERATION = "3C6A6FC2E3A8D2D0:0000000000000000:0000000000000000:0000000000000000:1:1:0:1:0:0:0\n"


@dataclass
class Lvm:
    """LVM and mount as a run meets them: a snapshot is a directory's copy, a mount puts it in place."""

    volume: Path
    tags: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    invalid: bool = False

    async def run(self, argv: Sequence[str], deadline: float) -> Outcome:
        self.commands.append(argv[0])
        match argv[0]:
            case "lvs":
                return self.lvs(argv[-1])
            case "lvcreate":
                name = argv[argv.index("--name") + 1]
                self.tags[name] = ",".join(argv[at + 1] for at, word in enumerate(argv) if word == "--addtag")
            case "lvremove":
                del self.tags[argv[-1].partition("/")[2]]
            case "blkid":
                return self.outcome("ext4\n")
            case "mount":
                shutil.copytree(self.volume, argv[-1], dirs_exist_ok=True)
            case "drbdadm":
                return self.outcome(GENERATION)
        return self.outcome("")

    def lvs(self, where: str) -> Outcome:
        rows = [self.row("data", "", "-wi-ao----")]
        letter = "I" if self.invalid else "a"
        rows += [self.row(name, tags, f"swi-{letter}-s---") for name, tags in self.tags.items()]
        if "/" in where and not where.startswith("/dev"):
            rows = [row for row in rows if row["lv_name"] == where.partition("/")[2]]
            if not rows:
                return Outcome(argv=("lvs",), status=5, output="  Failed to find logical volume", seconds=0.0)
        if where.startswith("/dev"):
            rows = rows[:1]
        return self.outcome(json.dumps({"report": [{"lv": rows}]}))

    def row(self, name: str, tags: str, attr: str) -> dict[str, str]:
        return {
            "vg_name": "vg", "lv_name": name, "lv_size": "1073741824", "pool_lv": "", "origin": "", "lv_tags": tags,
            "vg_free": "1073741824", "data_percent": "", "metadata_percent": "", "lv_attr": attr,
        }  # fmt: skip

    def outcome(self, output: str) -> Outcome:
        return Outcome(argv=("x",), status=0, output=output, seconds=0.0)


@dataclass(frozen=True)
class Played(Node):
    """A node whose DRBD is in a state of our choice, in turn."""

    states: Sequence[Status] = ()

    def status(self) -> Status:
        states = list(self.states)
        now = states.pop(0) if len(states) > 1 else states[0]
        object.__setattr__(self, "states", states)
        return now
