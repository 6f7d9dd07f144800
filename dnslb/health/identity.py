"""What servers behind one address must and must not have in common: cookie secret, clock, name; pure."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_VERSION = 1
"of a server cookie whose parts are known (RFC 9018 section 4)"
_LENGTH = 16
_CLOCK = 300.0
"seconds: a cookie from further in the future is refused (RFC 9018 section 4.3)"


@dataclass(frozen=True, slots=True)
class Identity:
    """What one server says of itself."""

    nsid: str = ""
    "RFC 5001; empty: it does not say"
    cookie: bytes = b""
    "its answer to the client cookie that all servers got, without that; empty: it sends none"

    @property
    def stamp(self) -> int | None:
        """When it made the cookie, by its own clock, as Unix time modulo 2**32; None: the cookie is of another kind."""
        if len(self.cookie) != _LENGTH or self.cookie[0] != _VERSION:
            return None
        return int(struct.unpack("!I", self.cookie[4:8])[0])


def findings(identities: Mapping[str, Identity], today: float) -> tuple[str, ...]:
    """What is wrong with servers, by name, that were asked at the same time; `today` is Unix time."""
    return (*_same_names(identities), *_secrets(identities), *_clocks(identities, today))


def comparable(identities: Mapping[str, Identity]) -> bool:
    """Whether all cookies were made in one second, so that servers with one secret must have made the same."""
    stamps = {identity.stamp for identity in identities.values() if identity.cookie}
    return len(stamps) < 2


def _same_names(identities: Mapping[str, Identity]) -> Sequence[str]:
    by_name: dict[str, list[str]] = {}
    for server, identity in identities.items():
        if identity.nsid:
            by_name.setdefault(identity.nsid, []).append(server)
    return [
        f"{_and(servers)} have the same NSID {nsid}: who asks which server it was gets no answer; give each its own"
        for nsid, servers in by_name.items()
        if len(servers) > 1
    ]


def _secrets(identities: Mapping[str, Identity]) -> Sequence[str]:
    """Two that made different cookies for one client in one second have different secrets."""
    by_stamp: dict[int, dict[bytes, str]] = {}
    for server, identity in identities.items():
        if identity.stamp is not None:
            by_stamp.setdefault(identity.stamp, {}).setdefault(identity.cookie, server)
    for made in by_stamp.values():
        if len(made) > 1:
            return [
                f"{_and(list(made.values()))} have different cookie secrets: a client that comes to another server has"
                " to start anew, or gets BADCOOKIE (RFC 9018 section 3); set the same cookie-secret on all"
            ]
    return []


def _clocks(identities: Mapping[str, Identity], today: float) -> Sequence[str]:
    wrong = []
    for server, identity in identities.items():
        if identity.stamp is None:
            continue
        off = (identity.stamp - int(today) + 2**31) % 2**32 - 2**31
        if abs(off) > _CLOCK:
            wrong.append(
                f"the clock of {server} is {abs(off)} s {'ahead of' if off > 0 else 'behind'} ours: the others refuse"
                " its cookies, signatures may seem expired; set the time (NTP)"
            )
    return wrong


def _and(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
