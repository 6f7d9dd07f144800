"""What a drbd.conf of any version says, every option in its modern place; immutable.

Equality ignores where something was written and the comments at it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from pyvrrp.config.diagnostics import Position

NOWHERE = Position("", 0)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something is written, and the comments at it."""

    position: Position = NOWHERE
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Option:
    """One option; a boolean has the value `yes` or `no`, several names are separated by blanks."""

    name: str
    value: str
    origin: Origin = field(default=Origin(), compare=False)

    @property
    def position(self) -> Position:
        """Where it is written."""
        return self.origin.position


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one section, each once (of two with one name, the last counts), ordered by name."""

    items: tuple[Option, ...] = ()

    def __iter__(self) -> Iterator[Option]:
        return iter(self.items)

    def __bool__(self) -> bool:
        return bool(self.items)

    def get(self, name: str) -> Option | None:
        """The option with this name."""
        return next((each for each in self.items if each.name == name), None)

    def value(self, name: str, default: str = "") -> str:
        """The value of the option with this name, or the default."""
        found = self.get(name)
        return default if found is None else found.value

    def over(self, base: Options) -> Options:
        """These, and those of `base` that are not among them."""
        return Options.of((*base.items, *self.items))

    @classmethod
    def of(cls, options: tuple[Option, ...] | list[Option]) -> Options:
        """Options in the order of a file."""
        unique = {each.name: each for each in options}
        return cls(tuple(unique[name] for name in sorted(unique)))


@dataclass(frozen=True, slots=True)
class Raw:
    """A statement that is carried along and not understood (`proxy { plugin { ... } }`)."""

    words: tuple[str, ...]
    body: tuple[Raw, ...] | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The option sections of a resource, of `common`, of a connection or of a host."""

    net: Options = Options()
    disk: Options = Options()
    options: Options = Options()
    startup: Options = Options()
    handlers: Options = Options()
    proxy: tuple[Raw, ...] = ()

    def over(self, base: Settings) -> Settings:
        """These, and what only `base` has."""
        return Settings(
            self.net.over(base.net),
            self.disk.over(base.disk),
            self.options.over(base.options),
            self.startup.over(base.startup),
            self.handlers.over(base.handlers),
            self.proxy or base.proxy,
        )


@dataclass(frozen=True, slots=True)
class Address:
    """Where a host listens for its peers; `family` is ipv4, ipv6, ssocks, sci or sdp, IPv6 is without brackets."""

    family: str
    host: str
    port: int
    origin: Origin = field(default=Origin(), compare=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.family == "ipv6" else self.host
        return f"{self.family} {host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Volume:
    """One replicated device on one host."""

    number: int = 0
    device: str = ""
    "its path; empty where only a minor is given"
    minor: int | None = None
    disk: str = ""
    "the backing device; `none` without one"
    meta_disk: str = ""
    "internal, a device, or DEVICE[INDEX]"
    options: Options = Options()
    "of this volume's own disk section"
    tiebreaker: str = ""
    origin: Origin = field(default=Origin(), compare=False)


class Naming(Enum):
    """How a host of a resource is found."""

    ON = "on"
    "by name, as `uname -n` says it"
    FLOATING = "floating"
    "by its address"
    STACKED = "stacked-on-top-of"
    "as the one that has the lower resource Primary"


@dataclass(frozen=True, slots=True)
class Host:
    """One side of a resource."""

    naming: Naming
    names: tuple[str, ...]
    "host names; of STACKED the lower resource; of FLOATING none"
    address: Address | None = None
    node_id: int | None = None
    volumes: tuple[Volume, ...] = ()
    "complete: what the resource says for all hosts is in here"
    settings: Settings = Settings()
    proxy: tuple[Raw, ...] = ()
    "`proxy on HOST { }`"
    alternate_link_address: str = ""
    origin: Origin = field(default=Origin(), compare=False)

    def __str__(self) -> str:
        return " ".join(self.names) or str(self.address)


@dataclass(frozen=True, slots=True)
class End:
    """One end of a path."""

    host: str
    address: Address | None = None
    port: int | None = None
    "where only the port is given"


@dataclass(frozen=True, slots=True)
class Connection:
    """`connection { }` or `connection-mesh { }` of version 9."""

    paths: tuple[tuple[End, ...], ...] = ()
    mesh: tuple[str, ...] = ()
    "the hosts of a mesh; each is connected with each"
    settings: Settings = Settings()
    volumes: tuple[tuple[int, Options], ...] = ()
    "the resync options of single volumes"
    origin: Origin = field(default=Origin(), compare=False)


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource."""

    name: str
    hosts: tuple[Host, ...] = ()
    connections: tuple[Connection, ...] = ()
    settings: Settings = Settings()
    "its own; see Config.effective"
    template: str = ""
    origin: Origin = field(default=Origin(), compare=False)

    def host(self, name: str) -> Host | None:
        """The side that is called so."""
        return next((each for each in self.hosts if name in each.names and each.naming is Naming.ON), None)


@dataclass(frozen=True, slots=True)
class Config:
    """All of a drbd.conf."""

    resources: tuple[Resource, ...] = ()
    common: Settings = Settings()
    general: Options = Options()
    "of `global { }`"
    requirements: tuple[Option, ...] = ()
    "`require-drbd-module-version-ge 9.0.16;`"

    def effective(self, resource: Resource, connection: Connection | None = None) -> Settings:
        """What holds for a resource, or for one of its connections, with what `common` says."""
        settings = resource.settings.over(self.common)
        return connection.settings.over(settings) if connection is not None else settings

    def minors(self, host: str) -> dict[int, tuple[str, int]]:
        """Resource and volume of each minor on a host; where it is in no `on`, on any of the hosts."""
        found: dict[int, tuple[str, int]] = {}
        for resource in self.resources:
            here = resource.host(host)
            for side in resource.hosts if here is None else (here,):
                for volume in side.volumes:
                    if volume.minor is not None:
                        found.setdefault(volume.minor, (resource.name, volume.number))
        return found
