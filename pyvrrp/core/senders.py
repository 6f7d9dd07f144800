"""The routers that somebody should know of: who says what, since when, and when it is time to say so; pure.

A register is bounded, whatever is on the wire. What a sender says is due to be told once, again when it changes, and
not sooner than `AGAIN` seconds after the last time. It waits a little until the MAC behind the address was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field

from pyvrrp.core.claim import Claim
from pyvrrp.core.events import IPAddress

AGAIN = 60.0
"seconds between two lines about one sender, and of silence after which it makes room for a new one"
BURST, REFILL = 20, 10.0
"lines of one register at once; seconds until there may be one more"
_MACS = 4
_PATIENCE = (3.0, 30.0)
"seconds to wait for a packet that shows the MAC: 2.5 of the sender's intervals, within these"

Key = tuple[int, IPAddress]
"VRID (0: whatever the VRID) and source"
Remark = tuple[Claim | None, dict[str, str]]
"what a packet claims, None when it can't be read; field -> what is the matter with it"


@dataclass(slots=True)
class Sender:
    """What one source address claimed under one VRID; times are monotonic seconds."""

    source: IPAddress
    first: float
    last: float = 0.0
    count: int = 0
    vrid: int = 0
    claim: Claim | None = None
    "None: it can't be read"
    differs: Mapping[str, str] = field(default_factory=dict)
    "field -> what is the matter with it"
    refused: bool = True
    macs: dict[str, float] = field(default_factory=dict)
    "where it was seen to come from, and when last; the last one is the newest"
    agrees: bool = False
    "the last packet had nothing to remark"
    told_at: float | None = None
    told: Hashable = None
    "what was told of it then"
    says: Hashable = None
    "what is to be told; the same as `told`: nothing new"
    packet: object = None
    "the last one"

    @property
    def mac(self) -> str:
        """Where it came from last; empty while that is not known."""
        return next(reversed(self.macs), "")

    @property
    def who(self) -> str:
        """Address and MAC, for a sentence."""
        others = list(self.macs)[-2::-1]
        earlier = f", before from {', '.join(others)}" if others else ""
        return f"{self.source} ({named(self.mac) if self.macs else 'MAC unknown'}{earlier})"

    @property
    def patience(self) -> float:
        """Seconds in which its next packet should have come."""
        least, most = _PATIENCE
        return min(most, max(least, 2.5 * self.claim.advert_int)) if self.claim else least


class Register:
    """At most `size` senders, the one heard last at the end."""

    def __init__(self, size: int) -> None:
        self.senders: dict[Key, Sender] = {}
        self.full = 0
        "how often there was no room: the sender silent for longest was forgotten, or the new one not taken"
        self._size = size
        self._wanted: dict[Key, float] = {}
        "what is to be told, and since when"
        self._lines = float(BURST)
        self._refilled = 0.0

    def __iter__(self) -> Iterator[Sender]:
        """Those that something is the matter with now."""
        return (sender for sender in self.senders.values() if not sender.agrees)

    def heard(
        self, key: Key, packet: object, now: float, describe: Callable[[], Remark], *, vrid: int, refused: bool = True
    ) -> bool:
        """Count a packet with something to remark about; True: there is something new to be told.

        `packet` is what makes it the same as another one, and refused for the same reason; only when it isn't the same
        as the sender's last one, `describe` is asked what there is to remark.
        """
        sender = self.senders.pop(key, None)
        if sender is None:
            if not self._make_room(now):
                return False
            sender = Sender(source=key[1], first=now)
        self.senders[key] = sender
        if sender.packet is None or sender.packet != packet:
            sender.claim, sender.differs = describe()
            sender.packet, sender.refused = packet, refused
            settled = None if sender.claim is None else sender.claim.settled
            sender.says = (settled, tuple(sender.differs.items()), refused)
        sender.vrid, sender.last, sender.agrees = vrid, now, False
        sender.count += 1
        if sender.says == sender.told or key in self._wanted or not self._may_tell(sender, now):
            return False
        self._wanted[key] = now
        return True

    def agreed(self, key: Key, now: float) -> Sender | None:
        """A packet without anything to remark; the sender, when that is news worth telling."""
        sender = self.senders.get(key)
        if sender is None:
            return None
        sender.agrees = True
        if key in self._wanted or (sender.told_at is not None and now < sender.told_at + AGAIN):
            return None
        del self.senders[key]
        return sender if sender.told_at is not None else None

    def saw(self, key: Key, mac: str, now: float) -> None:
        """A frame of this sender came from `mac`."""
        if (sender := self.senders.get(key)) is not None:
            sender.macs.pop(mac, None)
            sender.macs[mac] = now
            while len(sender.macs) > _MACS:
                del sender.macs[next(iter(sender.macs))]

    @property
    def sought(self) -> set[IPAddress]:
        """The sources of what waits to be told."""
        return {source for _, source in self._wanted}

    @property
    def deadline(self) -> float | None:
        """When to ask `due` at the latest; None: nothing waits."""
        return min((since + self.senders[key].patience for key, since in self._wanted.items()), default=None)

    def due(self, now: float) -> list[Sender]:
        """What is to be told now, which counts as told."""
        told = []
        for key, since in list(self._wanted.items()):
            sender = self.senders[key]
            if now >= since + sender.patience or any(seen >= since for seen in sender.macs.values()):
                del self._wanted[key]
                sender.told = sender.says
                sender.told_at = now
                told.append(sender)
        return told

    def forget_told(self) -> None:
        """What is still so will be told again."""
        for sender in self.senders.values():
            sender.told = sender.told_at = None

    def drop(self, vrid: int, family: int) -> None:
        """Forget the senders of this VRID; what the others say is to be judged anew."""
        for key in [key for key in self.senders if key[0] == vrid and key[1].version == family]:
            del self.senders[key]
            self._wanted.pop(key, None)
        for sender in self.senders.values():
            sender.packet = None

    def _make_room(self, now: float) -> bool:
        if len(self.senders) < self._size:
            return True
        self.full += 1
        oldest = next(iter(self.senders))
        if now < self.senders[oldest].last + AGAIN:
            return False  # or as many senders as there is room for and one more would push each other out for ever
        del self.senders[oldest]
        self._wanted.pop(oldest, None)
        return True

    def _may_tell(self, sender: Sender, now: float) -> bool:
        if sender.told_at is not None and now < sender.told_at + AGAIN:
            return False
        self._lines = min(float(BURST), self._lines + max(0.0, now - self._refilled) / REFILL)
        self._refilled = now
        if self._lines < 1:
            return False
        self._lines -= 1
        return True


def named(mac: str) -> str:
    """The MAC, and what it is when it is a virtual one (RFC 9568 section 7.3)."""
    family = {"00:00:5e:00:01": "IPv4", "00:00:5e:00:02": "IPv6"}.get(mac[:14])
    return f"{mac}, the virtual MAC of VRID {int(mac[15:], 16)} over {family}" if family and len(mac) == 17 else mac
