"""The sides of a resource: `on`, `floating`, `stacked-on-top-of`, their volumes and addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from drbdctl.drbd_conf.model import Address, Host, Naming, Origin, Raw, Volume
from drbdctl.drbd_conf.reader import Statement
from drbdctl.drbd_conf.sections import Collector, children, raw, unknown
from drbdctl.drbd_conf.values import HIGHEST_VOLUME, address, device, number
from pyvrrp.config.diagnostics import Diagnostics, Position

VOLUME_WORDS = ("device", "disk", "meta-disk", "flexible-meta-disk", "tiebreaker", "skip")
HOST_WORDS = (*VOLUME_WORDS, "address", "volume", "node-id", "options", "proxy", "alternate-link-address")
HIGHEST_NODE_ID = 31


class Volumes:
    """Gathers the volumes of a resource or of one of its hosts."""

    def __init__(self, diagnostics: Diagnostics, base: Mapping[int, Volume] | None = None) -> None:
        self._diagnostics = diagnostics
        self.found: dict[int, Volume] = dict(base or {})
        "by number; those of `base` until they are overridden"
        self._explicit: bool | None = None

    def read_volume(self, statement: Statement) -> None:
        """`volume N { }`."""
        if len(statement.arguments) != 1 or statement.body is None:
            self._diagnostics.error(statement.position, "bad-block", "a volume has a number", "write volume 0 { ... }")
            return
        which = number(statement.arguments[0], 0, HIGHEST_VOLUME, "volume", self._diagnostics)
        if which is None:
            return
        self._mixed(statement, explicit=True)
        collector = Collector(self._diagnostics)
        base = self._volume(which)
        self.found[which] = replace(base, origin=_origin(statement, base.origin))
        for child in children(statement, VOLUME_WORDS, self._diagnostics):
            if child.name == "disk" and child.body is not None and not child.arguments:
                collector.read(child)
            elif child.name in VOLUME_WORDS:
                self._word(child, which)
            else:
                unknown(child, VOLUME_WORDS, "volume", self._diagnostics)
        options = collector.options("disk")
        self.found[which] = replace(self.found[which], options=options.over(self.found[which].options))

    def read_word(self, statement: Statement) -> None:
        """`device`, `disk` or `meta-disk` outside of a volume: of volume 0."""
        self._mixed(statement, explicit=False)
        self._word(statement, 0)

    def _mixed(self, statement: Statement, *, explicit: bool) -> None:
        if self._explicit is None:
            self._explicit = explicit
        elif self._explicit is not explicit:
            self._diagnostics.error(
                statement.position,
                "mixed-volumes",
                "a block has either volume N { } or device, disk and meta-disk of its own",
                "put these into volume 0 { }",
            )

    def _volume(self, which: int) -> Volume:
        return self.found.get(which, Volume(which))

    def _word(self, statement: Statement, which: int) -> None:
        volume = self._volume(which)
        volume = replace(volume, origin=_origin(statement, volume.origin))
        texts = [word.text for word in statement.arguments]
        match statement.name:
            case "skip":
                return
            case "device":
                if (found := device(statement.arguments, statement.position, self._diagnostics)) is not None:
                    volume = replace(volume, device=found[0], minor=found[1])
            case "disk" if self._one(statement, texts):
                volume = replace(volume, disk=texts[0])
            case "tiebreaker" if self._one(statement, texts):
                volume = replace(volume, tiebreaker=texts[0])
            case "meta-disk" | "flexible-meta-disk":
                if statement.name == "flexible-meta-disk":
                    self._diagnostics.note(
                        statement.position,
                        "legacy-keyword",
                        "flexible-meta-disk is the old way to say it",
                        "today it is meta-disk",
                    )
                if self._one(statement, ["".join(texts)] if texts else []):
                    volume = replace(volume, meta_disk="".join(texts))
            case _:
                return
        self.found[which] = volume

    def _one(self, statement: Statement, texts: list[str]) -> bool:
        if len(texts) == 1 and texts[0] and statement.body is None:
            return True
        self._diagnostics.error(
            statement.position,
            "wrong-number-of-words",
            f"{statement.name} wants one value, not {len(texts)}",
            "correct it, or write the ; that is missing",
        )
        return False


@dataclass(slots=True)
class _Found:
    address: Address | None = None
    node_id: int | None = None
    alternate: str = ""
    proxy: list[Raw] = field(default_factory=list)


def read_host(statement: Statement, base: Mapping[int, Volume], diagnostics: Diagnostics) -> Host | None:
    """One side of a resource, with the volumes that the resource gives to all; None when it has no name."""
    naming, words = Naming(statement.name), statement.arguments
    found = _Found()
    if naming is Naming.FLOATING:
        found.address = address(words, statement.position, diagnostics)
        names: tuple[str, ...] = ()
        if found.address is None:
            return None
    else:
        names = tuple(word.text for word in words)
        if not names or statement.body is None:
            diagnostics.error(statement.position, "bad-block", f"{naming.value} wants a name and a block", "write both")
            return None
    volumes = Volumes(diagnostics, base)
    collector = Collector(diagnostics)
    comments = list(_origin(statement).comments)
    for child in children(statement, HOST_WORDS, diagnostics):
        if child.name in ("volume", "device", "disk", "meta-disk", "flexible-meta-disk"):
            volumes.read_volume(child) if child.name == "volume" else volumes.read_word(child)
            continue
        comments += [] if child.name == "options" else _origin(child).comments
        _read_word(child, found, collector, diagnostics)
    return Host(
        naming,
        names,
        found.address,
        found.node_id,
        tuple(volumes.found[which] for which in sorted(volumes.found)),
        collector.settings(),
        tuple(found.proxy),
        found.alternate,
        Origin(statement.position, tuple(comments)),
    )


def _read_word(statement: Statement, found: _Found, collector: Collector, diagnostics: Diagnostics) -> None:
    match statement.name:
        case "address":
            found.address = address(statement.arguments, statement.position, diagnostics)
        case "node-id" if len(statement.arguments) == 1:
            found.node_id = number(statement.arguments[0], 0, HIGHEST_NODE_ID, "node-id", diagnostics)
        case "alternate-link-address":
            found.alternate = " ".join(word.text for word in statement.arguments)
        case "options" if statement.body is not None:
            collector.read(statement)
        case "proxy":
            found.proxy.append(raw(statement))
        case "node-id" | "options":
            diagnostics.error(statement.position, "bad-value", f"{statement.name} is incomplete", "write its value")
        case "skip":
            pass
        case _:
            unknown(statement, HOST_WORDS, "on", diagnostics)


def check_complete(host: Host, resource_at: Position, *, connections: bool, diagnostics: Diagnostics) -> None:
    """Report what a side lacks; `connections`: addresses may stand in connections."""
    at = host.origin.position if host.origin.position.line else resource_at
    missing: list[str] = []
    if host.address is None and not connections:
        missing.append("address")
    for volume in host.volumes or (Volume(),):
        of = f" of volume {volume.number}" if volume.number else ""
        if volume.minor is None:
            missing.append(f"device{of}")
        if not volume.disk:
            missing.append(f"disk{of}")
        elif not volume.meta_disk and volume.disk != "none" and host.node_id is None:
            missing.append(f"meta-disk{of}")
    if missing:
        diagnostics.error(
            at, "missing-keyword", f"{host.naming.value} {host}: {', '.join(missing)} is missing", "add it there"
        )


def _origin(statement: Statement, before: Origin | None = None) -> Origin:
    comments = tuple(each.text for each in statement.comments)
    if before is None:
        return Origin(statement.position, comments)
    return Origin(before.position if before.position.line else statement.position, (*before.comments, *comments))
