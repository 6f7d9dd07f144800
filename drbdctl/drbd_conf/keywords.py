"""The options of drbd.conf: which section has them, what they take, which version knows them.

Sources: drbd.conf(5) of 8.3, 8.4 and 9; `drbdsetup xml-help` of 8.4 and 9 for ranges; drbdadm's own complaints.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Version(Enum):
    """A generation of the configuration language."""

    V83 = "8.3"
    V84 = "8.4"
    V9 = "9"


ALL = frozenset(Version)
NEW = frozenset((Version.V84, Version.V9))
V9 = frozenset((Version.V9,))
V8 = frozenset((Version.V83, Version.V84))


@dataclass(frozen=True, slots=True)
class Number:
    """Digits with an optional factor K, M, G (1024) or s (sectors of 512 bytes); limits are in `unit`."""

    least: int
    most: int
    unit: str = ""
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several words."""

    words: tuple[str, ...]


class Plain(Enum):
    """Values without a list of their own."""

    BOOLEAN = "yes or no"
    FLAG = "no value: it stands by itself"
    TEXT = "a text"
    NAMES = "one or more names"


Value = Number | Choice | Plain


@dataclass(frozen=True, slots=True)
class Keyword:
    """One option in its modern place."""

    value: Value
    versions: frozenset[Version] = ALL
    longest: int = 0
    "of a text, in bytes; 0: no limit of its own"


BOOLEAN = Keyword(Plain.BOOLEAN)
FLAG = Keyword(Plain.FLAG)
TEXT = Keyword(Plain.TEXT)
FENCING = ("dont-care", "resource-only", "resource-and-stonith")
_BALANCING = (
    *("prefer-local", "prefer-remote", "round-robin", "least-pending", "when-congested-remote"),
    *(f"{size}-striping" for size in ("32K", "64K", "128K", "256K", "512K", "1M")),
)
_COUNT_OR_MAJORITY = Number(1, 32, symbols=("off", "majority", "all"))

RESYNC = {  # of one volume towards one peer: in 9 also in `connection { volume N { disk {} } }`
    "resync-rate": Keyword(Number(1, 8_388_608, "KiB/s")),
    "c-plan-ahead": Keyword(Number(0, 300, "tenths of a second")),
    "c-delay-target": Keyword(Number(1, 100, "tenths of a second")),
    "c-fill-target": Keyword(Number(0, 1_048_576, "sectors")),
    "c-max-rate": Keyword(Number(0, 4_194_304, "KiB/s")),
    "c-min-rate": Keyword(Number(0, 4_194_304, "KiB/s")),
    "bitmap": Keyword(Plain.BOOLEAN, V9),
}
DISK = {
    "size": Keyword(Number(0, 2_199_023_255_552, "sectors")),
    "on-io-error": Keyword(Choice(("pass_on", "call-local-io-error", "detach"))),
    "disk-barrier": BOOLEAN,
    "disk-flushes": BOOLEAN,
    "disk-drain": BOOLEAN,
    "md-flushes": BOOLEAN,
    "resync-after": TEXT,
    "al-extents": Keyword(Number(7, 65_534)),
    "al-updates": Keyword(Plain.BOOLEAN, NEW),
    "discard-zeroes-if-aligned": Keyword(Plain.BOOLEAN, NEW),
    "disable-write-same": Keyword(Plain.BOOLEAN, NEW),
    "disk-timeout": Keyword(Number(0, 6000, "tenths of a second")),
    "read-balancing": Keyword(Choice(_BALANCING), NEW),
    "rs-discard-granularity": Keyword(Number(0, 1_048_576, "bytes"), NEW),
    "max-bio-bvecs": Keyword(Number(0, 128), V8),
    "use-bmbv": Keyword(Plain.BOOLEAN, frozenset((Version.V83,))),
    **RESYNC,
}
NET = {
    "protocol": Keyword(Choice(("A", "B", "C"))),
    "fencing": Keyword(Choice(FENCING)),
    "timeout": Keyword(Number(1, 600, "tenths of a second")),
    "connect-int": Keyword(Number(1, 120, "seconds")),
    "ping-int": Keyword(Number(1, 120, "seconds")),
    "ping-timeout": Keyword(Number(1, 300, "tenths of a second")),
    "max-buffers": Keyword(Number(32, 131_072)),
    "max-epoch-size": Keyword(Number(1, 20_000)),
    "sndbuf-size": Keyword(Number(0, 10_485_760, "bytes")),
    "rcvbuf-size": Keyword(Number(0, 10_485_760, "bytes")),
    "ko-count": Keyword(Number(0, 200)),
    "allow-two-primaries": BOOLEAN,
    "cram-hmac-alg": TEXT,
    "shared-secret": Keyword(Plain.TEXT, longest=63),
    "after-sb-0pri": Keyword(
        Choice(
            (
                *("disconnect", "discard-younger-primary", "discard-older-primary", "discard-zero-changes"),
                *("discard-least-changes", "discard-local", "discard-remote"),
            )
        )
    ),
    "after-sb-1pri": Keyword(
        Choice(("disconnect", "consensus", "discard-secondary", "call-pri-lost-after-sb", "violently-as0p"))
    ),
    "after-sb-2pri": Keyword(Choice(("disconnect", "call-pri-lost-after-sb", "violently-as0p"))),
    "always-asbp": BOOLEAN,
    "rr-conflict": Keyword(Choice(("disconnect", "call-pri-lost", "violently", "retry-connect", "auto-discard"))),
    "data-integrity-alg": TEXT,
    "tcp-cork": BOOLEAN,
    "on-congestion": Keyword(Choice(("block", "pull-ahead", "disconnect"))),
    "congestion-fill": Keyword(Number(0, 20_971_520, "sectors")),
    "congestion-extents": Keyword(Number(7, 65_534)),
    "csums-alg": TEXT,
    "csums-after-crash-only": Keyword(Plain.BOOLEAN, NEW),
    "verify-alg": TEXT,
    "use-rle": BOOLEAN,
    "socket-check-timeout": Keyword(Number(0, 300), NEW),
    "unplug-watermark": Keyword(Number(1, 131_072), V8),
    "allow-remote-read": Keyword(Plain.BOOLEAN, V9),
    "transport": Keyword(Plain.TEXT, V9),
    "tls": Keyword(Plain.BOOLEAN, V9),
    "tls-keyring": Keyword(Plain.TEXT, V9),
    "tls-privkey": Keyword(Plain.TEXT, V9),
    "tls-certificate": Keyword(Plain.TEXT, V9),
    "load-balance-paths": Keyword(Plain.BOOLEAN, V9),
    "rdma-ctrl-rcvbuf-size": Keyword(Number(0, 10_485_760, "bytes"), V9),
    "rdma-ctrl-sndbuf-size": Keyword(Number(0, 10_485_760, "bytes"), V9),
}
OPTIONS = {
    "cpu-mask": TEXT,
    "on-no-data-accessible": Keyword(Choice(("io-error", "suspend-io"))),
    "auto-promote": Keyword(Plain.BOOLEAN, V9),
    "auto-promote-timeout": Keyword(Number(0, 600, "tenths of a second"), V9),
    "quorum": Keyword(_COUNT_OR_MAJORITY, V9),
    "quorum-minimum-redundancy": Keyword(_COUNT_OR_MAJORITY, V9),
    "on-no-quorum": Keyword(Choice(("io-error", "suspend-io")), V9),
    "on-suspended-primary-outdated": Keyword(Choice(("disconnect", "force-secondary")), V9),
    "peer-ack-window": Keyword(Number(2048, 204_800, "sectors"), V9),
    "peer-ack-delay": Keyword(Number(1, 10_000, "milliseconds"), V9),
    "twopc-timeout": Keyword(Number(50, 600, "tenths of a second"), V9),
    "twopc-retry-timeout": Keyword(Number(1, 50, "tenths of a second"), V9),
    "max-io-depth": Keyword(Number(4, 4_294_967_295), V9),
    "drbd8-api-compatibility": Keyword(Plain.TEXT, V9),
}
STARTUP = {
    "wfc-timeout": Keyword(Number(0, 86_400, "seconds")),
    "degr-wfc-timeout": Keyword(Number(0, 86_400, "seconds")),
    "outdated-wfc-timeout": Keyword(Number(0, 86_400, "seconds")),
    "wait-after-sb": BOOLEAN,
    "stacked-timeouts": FLAG,
    "become-primary-on": Keyword(Plain.NAMES, V8),
}
HANDLERS = dict.fromkeys(
    (
        *("pri-on-incon-degr", "pri-lost-after-sb", "pri-lost", "initial-split-brain", "split-brain"),
        *("fence-peer", "unfence-peer", "local-io-error", "out-of-sync"),
        *("before-resync-target", "after-resync-target", "before-resync-source"),
    ),
    TEXT,
) | dict.fromkeys(("quorum-lost", "disconnected"), Keyword(Plain.TEXT, V9))
GLOBAL = {
    "usage-count": Keyword(Choice(("yes", "no", "ask"))),
    "minor-count": Keyword(Number(1, 255)),
    "dialog-refresh": Keyword(Number(0, 600, "seconds")),
    "disable-ip-verification": FLAG,
    "udev-always-use-vnr": Keyword(Plain.FLAG, NEW),
    "cmd-timeout-short": Keyword(Number(0, 900, "tenths of a second"), NEW),
    "cmd-timeout-medium": Keyword(Number(0, 9000, "tenths of a second"), NEW),
    "cmd-timeout-long": Keyword(Number(0, 36_000, "tenths of a second"), NEW),
}

SECTIONS = {
    "net": NET,
    "disk": DISK,
    "options": OPTIONS,
    "startup": STARTUP,
    "handlers": HANDLERS,
    "global": GLOBAL,
}
