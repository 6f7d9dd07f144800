"""A history as data: how the pair is configured, what fails when; and as text, which is how one is kept."""

import json
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Self, get_args, get_origin, get_type_hints

from tests.simulation.storage.cluster import Setting
from tests.simulation.storage.faults import KINDS, Fault

FILES = Path(__file__).parent / "histories"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One simulation; two runs of it are the same."""

    seed: int
    "of what is not written down: delays, who is faster"
    why: str = ""
    "what it is kept for"
    setting: Setting
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        """JSON, a fault on each line."""
        lines = [f'"{name}": {json.dumps(value)}' for name, value in _plain(self).items() if name != "faults"]
        faults = ",\n  ".join(json.dumps({"fault": type(each).__name__, **_plain(each)}) for each in self.faults)
        return "{\n " + ",\n ".join([*lines, f'"faults": [\n  {faults}\n ]']) + "\n}"

    @classmethod
    def read(cls, path: Path) -> Self:
        """What __str__ wrote."""
        members = json.loads(path.read_text())
        faults = tuple(_read(KINDS[each.pop("fault")], each) for each in members.pop("faults"))
        setting = _read(Setting, members.pop("setting"))
        return cls(**members, setting=setting, faults=faults)


def _plain(value: Any) -> Any:
    """Without what is as usual."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if not is_dataclass(value):
        return value
    plain = {}
    for each in fields(value):
        content = getattr(value, each.name)
        usual = each.default_factory() if each.default_factory is not MISSING else each.default
        if content != usual:
            plain[each.name] = _plain(content)
    return plain


def _read(kind: Any, value: Any) -> Any:
    """The value of a type again."""
    if isinstance(kind, UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        return tuple(_read(inner[0], each) for each in value)
    if is_dataclass(kind):
        types = get_type_hints(kind)
        return kind(**{name: _read(types[name], each) for name, each in value.items()})
    return kind(value) if isinstance(kind, type) and issubclass(kind, Enum) else value
