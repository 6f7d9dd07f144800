"""Where a keyword of drbd.conf 8.3 (or an old 8.4) has its place today."""

from __future__ import annotations

from dataclasses import dataclass

from drbdctl.drbd_conf.keywords import SECTIONS, Plain


@dataclass(frozen=True, slots=True)
class Moved:
    """The section and name that an old keyword has today; no section: it has none any more."""

    section: str
    name: str
    why: str = ""
    value: str | None = None
    "instead of what is written (`no-disk-flushes` is `disk-flushes no`)"


SYNCER = {
    "rate": Moved("disk", "resync-rate"),
    "after": Moved("disk", "resync-after"),
    "al-extents": Moved("disk", "al-extents"),
    "verify-alg": Moved("net", "verify-alg"),
    "csums-alg": Moved("net", "csums-alg"),
    "use-rle": Moved("net", "use-rle"),
    "cpu-mask": Moved("options", "cpu-mask"),
    "on-no-data-accessible": Moved("options", "on-no-data-accessible"),
    **{
        name: Moved("disk", name)
        for name in ("c-plan-ahead", "c-fill-target", "c-delay-target", "c-max-rate", "c-min-rate")
    },
    **{
        name: Moved("", name, "DRBD 8.3 ignores it, newer ones refuse it")
        for name in ("throttle-threshold", "hold-off-threshold", "delay-probe-interval", "delay-probe-volume")
    },
}
"of `syncer { }`, the section that 8.4 gave up"

_ELSEWHERE = {
    ("disk", "fencing"): Moved("net", "fencing"),
    ("handlers", "outdate-peer"): Moved("handlers", "fence-peer"),
    ("disk", "rate"): Moved("disk", "resync-rate"),
    ("disk", "after"): Moved("disk", "resync-after"),
}
NO_NEGATION = frozenset({"disk-barrier", "disk-flushes", "disk-drain", "md-flushes", "tcp-cork"})


def moved(section: str, name: str) -> Moved | None:
    """The modern place of an old keyword; None when it is not an old one."""
    if section == "syncer":
        return SYNCER.get(name)
    if found := _ELSEWHERE.get((section, name)):
        return found
    if name.startswith("no-") and (positive := name.removeprefix("no-")) in NO_NEGATION:
        keyword = SECTIONS.get(section, {}).get(positive)
        if keyword is not None and keyword.value is Plain.BOOLEAN:
            return Moved(section, positive, value="no")
    return None
