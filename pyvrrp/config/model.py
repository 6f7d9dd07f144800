"""What a configuration means: the model that a file, or a program, makes for the daemon.

Everything is immutable and compares by value, so that a reload is a comparison of two models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from types import MappingProxyType

from pyvrrp.config.diagnostics import Position
from pyvrrp.config.statements import Statement
from pyvrrp.core.events import IPAddress
from pyvrrp.core.parameters import Parameters

NOWHERE = Position("<program>", 0)
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Command:
    """A program with arguments, and who runs it."""

    argv: tuple[str, ...]
    user: str | None = None
    "None: the user of `script_user`, else keepalived_script where it exists, else the daemon's own"
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualAddress:
    """One VIP as it is put on an interface (a line of virtual_ipaddress)."""

    interface: IPv4Interface | IPv6Interface
    "the address and its own prefix length (default /32, /128)"
    device: str
    scope: int = 0
    "rtnetlink scope: 0 global, 200 site, 253 link, 254 host"
    label: str | None = None
    broadcast: IPv4Address | None = None
    peer: IPv4Interface | IPv6Interface | None = None
    nodad: bool = True
    "IPv6: no duplicate address detection (keepalived's default; `-nodad` turns detection on)"
    home: bool = False
    mngtmpaddr: bool = False
    noprefixroute: bool = False
    autojoin: bool = False
    preferred_lft: int | None = None
    "seconds, 0: never a source address; None: as the lease"
    no_track: bool = False
    excluded: bool = False
    "installed, but not in the advertisement (virtual_ipaddress_excluded)"

    @property
    def address(self) -> IPAddress:
        """The address without its prefix length."""
        return self.interface.ip


@dataclass(frozen=True, slots=True)
class Authentication:
    """`authentication { auth_type PASS|AH  auth_pass X }`, VRRPv2 only."""

    auth_type: str
    "PASS or AH"
    key: bytes
    "8 bytes, zero padded"

    def __repr__(self) -> str:
        return f"Authentication({self.auth_type!r}, key=********)"


@dataclass(frozen=True, slots=True)
class UnicastPeer:
    """A line of unicast_peer."""

    address: IPAddress
    min_ttl: int | None = None
    max_ttl: int | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """A tracker's name as an instance or group names it."""

    kind: str
    "interface, script; a plugin's kinds are its own keyword without `track_` (dns)"
    name: str
    weight: int | None = None
    "None: the tracker's own weight; 0: its failure is a FAULT"
    reverse: bool | None = None
    "None: the tracker's own"
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """The scripts of an instance or a group."""

    master: Command | None = None
    backup: Command | None = None
    fault: Command | None = None
    stop: Command | None = None
    deleted: Command | None = None
    any: Command | None = None
    "`notify`: TYPE NAME STATE PRIORITY are appended"
    master_rx_lower_pri: Command | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VrrpInstance:
    """vrrp_instance NAME { }."""

    name: str
    interface: str
    parameters: Parameters
    virtual_addresses: tuple[VirtualAddress, ...] = ()
    "advertised ones first, then the excluded"
    authentication: Authentication | None = None
    v3_checksum_as_v2: bool = False
    source: IPAddress | None = None
    "mcast_src_ip or unicast_src_ip"
    track_source: bool = False
    multicast_group: IPAddress | None = None
    "None: the global one"
    unicast_peers: tuple[UnicastPeer, ...] = ()
    unicast: bool = False
    "unicast_peer was given (perhaps empty)"
    unicast_ttl: int = 255
    unicast_fault_no_peer: bool = False
    check_unicast_src: bool = False
    dont_track_primary: bool = False
    tracks: tuple[Track, ...] = ()
    notify: Notify = Notify()
    kernel_rx_buf_size: int | None = None
    position: Position = field(default=NOWHERE, compare=False)

    @property
    def key(self) -> tuple[str, int, int, bool]:
        """What makes it the same virtual router after a reload: interface, family, VRID, unicast."""
        return (self.interface, self.parameters.family, self.parameters.vrid, self.unicast)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncGroup:
    """vrrp_sync_group NAME { }."""

    name: str
    members: tuple[str, ...]
    "instance names"
    tracks: tuple[Track, ...] = ()
    notify: Notify = Notify()
    sync_group_tracking_weight: bool = False
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VrrpScript:
    """vrrp_script NAME { }."""

    name: str
    command: Command
    interval: float = 1.0
    "seconds"
    timeout: float = 1.0
    "seconds; default: the interval"
    weight: int = 0
    reverse: bool = False
    rise: int = 1
    fall: int = 1
    init_fail: bool = False
    path_test: bool = False
    '`script "</path"`: healthy while the file can be opened; argv holds the path alone'
    position: Position = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduling:
    """How the kernel schedules the daemon; 0 and empty: as it finds itself."""

    nice: int = 0
    rt_priority: int = 0
    "1-99: SCHED_RR"
    rlimit_rttime: int = 0
    "microseconds of SCHED_RR without a pause, then it becomes an ordinary process again"
    cpu_affinity: frozenset[int] = frozenset()
    no_swap: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Globals:
    """The part of global_defs, and of the root, that the daemon uses."""

    router_id: str = ""
    enable_script_security: bool = False
    script_user: str | None = None
    script_group: str | None = None
    multicast_group4: IPAddress | None = None
    "None: 224.0.0.18"
    multicast_group6: IPAddress | None = None
    "None: ff02::12"
    garp_interval: float = 0.0
    "seconds between two gratuitous ARP frames on one interface"
    gna_interval: float = 0.0
    garp_intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    "garp_group: interface -> (garp_interval, gna_interval); interfaces of one group share the pace of its key"
    notify_timeout: float = 60.0
    "seconds until a notify script is killed (ours: `notify_timeout`)"
    dynamic_interfaces: bool = True
    "an interface that is missing is FAULT until it appears (keepalived without `dynamic_interfaces` exits)"
    net_namespace: str | None = None
    instance: str | None = None
    "root keyword `instance`: part of the pid and socket file names"
    vip_lease: float | None = None
    "`vip_lease auto|off|SECONDS`: None is auto, 0 is off"
    guard_timeout: float | None = None
    "seconds of silence after which the guard kills the speaker; None: the shortest advert_int, at least 1 s"
    metrics_listen: tuple[IPAddress, int] | None = None
    "address and TCP port that metrics and the status are given out on; None: nowhere"
    scheduling: Scheduling = Scheduling()
    process_name: str | None = None
    state_dump_file: str | None = None
    stats_dump_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole configuration."""

    globals: Globals = Globals()
    instances: tuple[VrrpInstance, ...] = ()
    sync_groups: tuple[SyncGroup, ...] = ()
    scripts: tuple[VrrpScript, ...] = ()
    plugin_blocks: tuple[Statement, ...] = ()
    "top-level blocks that plugins own, in the order of the file"

    vips: frozenset[IPAddress] = field(init=False, repr=False, compare=False)
    "every VIP: none of them is ever a source of advertisements"

    def __post_init__(self) -> None:
        every = frozenset(vip.address for each in self.instances for vip in each.virtual_addresses)
        object.__setattr__(self, "vips", every)
