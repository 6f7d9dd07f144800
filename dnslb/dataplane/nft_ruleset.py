"""What is in an nftables table, and the commands that turn one content into another in a single transaction; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Chain:
    """Rules in their order."""

    rules: tuple[str, ...]
    declaration: str = ""
    "of a base chain: type, hook, priority and policy; it can't change"


@dataclass(frozen=True, slots=True)
class Set:
    """A set, or a map."""

    declaration: str
    "`type ...` or `typeof ...`, size, flags, comment"
    elements: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    "key to value; of a set, which has no values, to an empty one. Elements that rules add are not here"
    is_map: bool = True

    @property
    def kind(self) -> str:
        """The keyword that makes it."""
        return "map" if self.is_map else "set"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """The content of a table. Counters outlive what uses them: they are never removed."""

    chains: Mapping[str, Chain] = field(default_factory=lambda: MappingProxyType({}))
    sets: Mapping[str, Set] = field(default_factory=lambda: MappingProxyType({}))
    counters: frozenset[str] = frozenset()


def changes(table: str, old: Ruleset, new: Ruleset) -> list[str]:
    """The commands; `table` is its family and name. Only what differs is touched, of sets only single elements."""
    replaced = {name for name, each in old.sets.items() if not _stays(each, new.sets.get(name))}
    rewritten = [name for name, each in new.chains.items() if old.chains.get(name) != each]
    return [
        *(f"flush chain {table} {name}" for name, each in old.chains.items() if new.chains.get(name) != each),
        *(
            f"delete element {table} {name} {{ {', '.join(gone)} }}"
            for name, each in old.sets.items()
            if name not in replaced and (gone := list(_missing(each, new.sets[name])))
        ),
        *(f"delete {old.sets[name].kind} {table} {name}" for name in old.sets if name in replaced),
        *(f"delete chain {table} {name}" for name in old.chains if name not in new.chains),
        *(f"add counter {table} {name}" for name in sorted(new.counters - old.counters)),
        *(_add_chain(table, name, new.chains[name]) for name in rewritten if name not in old.chains),
        *(
            f"add {each.kind} {table} {name} {{ {each.declaration}; }}"
            for name, each in new.sets.items()
            if name not in old.sets or name in replaced
        ),
        *(f"add rule {table} {name} {rule}" for name in rewritten for rule in new.chains[name].rules),
        *(
            f"add element {table} {name} {{ {', '.join(added)} }}"
            for name, each in new.sets.items()
            if (added := list(_added(None if name in replaced else old.sets.get(name), each)))
        ),
    ]


def _stays(old: Set, new: Set | None) -> bool:
    return new is not None and (new.declaration, new.is_map) == (old.declaration, old.is_map)


def _missing(old: Set, new: Set) -> Iterable[str]:
    """The keys that are gone or have another value."""
    if old.elements is new.elements:
        return ()
    return (key for key, value in old.elements.items() if new.elements.get(key) != value)


def _added(old: Set | None, new: Set) -> Iterator[str]:
    """The elements that are new or have another value."""
    before: Mapping[str, str] = old.elements if old else {}
    if before is not new.elements:
        for key, value in new.elements.items():
            if before.get(key) != value:
                yield f"{key} : {value}" if value else key


def _add_chain(table: str, name: str, chain: Chain) -> str:
    return f"add chain {table} {name}" + (f" {{ {chain.declaration}; }}" if chain.declaration else "")
