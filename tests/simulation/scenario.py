"""A simulation as data: machines, their configuration, faults; and as text."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any, Self

from pyvrrp.core.events import State
from pyvrrp.core.parameters import OWNER, Parameters
from tests.simulation.faults import KINDS, Fault, Standstill
from tests.simulation.node import Pause, Traits

FILES = Path(__file__).parent / "scenarios"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One node."""

    name: str
    number: int
    priority: int = 100
    advert_int: float = 1.0
    starts: float = 0.0
    traits: Traits = field(default_factory=Traits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Two runs of the same scenario are the same."""

    seed: int
    "of what is not written down: the delays of packets, the kernels' lateness"
    why: str = ""
    "what it is kept for"
    shows: str = ""
    "the entry of known.py that it is the example of"
    vrids: tuple[int, ...] = (51,)
    "more than one: a sync group"
    version: int = 2
    family: int = 4
    nopreempt: bool = False
    preempt_delay: float = 0.0
    gated: bool = False
    machines: tuple[Machine, ...] = ()
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        """JSON, a machine or a fault on each line."""
        lines = []
        for name, value in _plain(self).items():
            if name in ("machines", "faults"):
                lines.append(f'"{name}": [\n  ' + ",\n  ".join(json.dumps(each) for each in value) + "\n ]")
            else:
                lines.append(f'"{name}": {json.dumps(value)}')
        return "{\n " + ",\n ".join(lines) + "\n}"

    @classmethod
    def read(cls, path: Path) -> Self:
        """What __str__ wrote."""
        members = json.loads(path.read_text())
        machines = [
            Machine(**{**each, "traits": Traits(**_tuples(each.get("traits", {})))}) for each in members["machines"]
        ]
        faults = [_fault(each) for each in members.get("faults", [])]
        return cls(**_tuples({**members, "machines": machines, "faults": faults}))

    def parameters(self, machine: Machine) -> list[Parameters]:
        """The virtual routers of a machine."""
        return [
            Parameters(
                vrid=vrid,
                version=self.version,
                family=self.family,
                priority=machine.priority,
                advert_int=machine.advert_int,
                initial_state=State.MASTER if machine.priority == OWNER else State.BACKUP,
                nopreempt=self.nopreempt and machine.priority != OWNER,
                preempt_delay=self.preempt_delay,
                gated=self.gated,
                gate_timeout=5.0,
                gate_cool_down=2.0,
            )
            for vrid in self.vrids
        ]


def words(fault: Fault) -> str:
    """One line, for the timeline."""
    return " ".join(f"{name} {value}" for name, value in _plain(fault).items() if name not in ("fault", "at"))


def _plain(value: Any) -> Any:
    """Without what is as usual."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if not hasattr(value, "__dataclass_fields__"):
        return value
    plain = {"fault": type(value).__name__} if isinstance(value, Fault) else {}
    for each in fields(value):
        content = getattr(value, each.name)
        usual = each.default_factory() if each.default_factory is not MISSING else each.default
        if content != usual:
            plain[each.name] = _plain(content)
    return plain


def _fault(members: Mapping[str, Any]) -> Fault:
    found = _tuples({name: value for name, value in members.items() if name != "fault"})
    kind = KINDS[members["fault"]]
    if kind is Standstill:
        found["what"] = Pause[found["what"]]
    return kind(**found)


def _tuples(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in members.items()}
