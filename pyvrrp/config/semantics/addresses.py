"""The lines of virtual_ipaddress: ADDR[/MASK] [brd A] [dev IF] [scope S] [label L] [peer A] and flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Interface,
    ip_interface,
)

from pyvrrp.config.model import VirtualAddress
from pyvrrp.config.semantics import numbers
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement, Word
from pyvrrp.config.suggest import did_you_mean

_SCOPES = {"global": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}
_FLAGS = ("home", "-nodad", "mngtmpaddr", "noprefixroute", "autojoin", "no_track")
_WITH_VALUE = ("brd", "broadcast", "dev", "scope", "label", "peer", "preferred_lft")
_LONGEST_LABEL = 15


@dataclass(slots=True)
class _Line:
    """The options of a line as they are written."""

    values: dict[str, Word] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)

    def text(self, name: str) -> str | None:
        return self.values[name].text if name in self.values else None


class _Skip(Exception):
    """The whole line can't be used, as in keepalived; it has been reported."""


def read(lines: Sequence[Statement], device: str, values: Values, *, family: int | None = None) -> list[VirtualAddress]:
    """The VIPs in order; `device` is that of lines without `dev`. What can't be used is reported and left out.

    Without a family (virtual_ipaddress_excluded) both may stand there, and none is advertised.
    """
    found = []
    for line in lines:
        try:
            found.append(_read(line, device, family, values))
        except _Skip:
            continue
    return found


def _read(line: Statement, device: str, family: int | None, values: Values) -> VirtualAddress:
    interface = _interface(line.keyword, values)
    if family is not None and interface.version != family:
        values.error(
            line.position,
            "family-mismatch",
            f"{interface.ip} is not of the family of the first address (IPv{family}), it is left out",
            "write it into virtual_ipaddress_excluded",
        )
        raise _Skip
    options = _options(line, values)
    ipv4 = isinstance(interface, IPv4Interface)
    label = options.text("label")
    if label and not ipv4:
        values.error(options.values["label"].position, "bad-option", f"{line.name}: IPv6 has no labels, it is ignored")
        label = None
    if label and len(label) > _LONGEST_LABEL:
        values.error(
            options.values["label"].position,
            "bad-option",
            f"{line.name}: the label {label} is longer than {_LONGEST_LABEL} characters, the address is left out",
        )
        raise _Skip
    return VirtualAddress(
        interface=interface,
        device=options.text("dev") or device,
        scope=_scope(options, line.name, values),
        label=label,
        broadcast=_broadcast(options, interface, line.name, values),
        peer=_peer(options, interface, line.name, values),
        nodad="-nodad" not in options.flags,
        home="home" in options.flags,
        mngtmpaddr="mngtmpaddr" in options.flags,
        noprefixroute="noprefixroute" in options.flags,
        autojoin="autojoin" in options.flags,
        preferred_lft=_preferred_lft(options, interface, line.name, values),
        no_track="no_track" in options.flags,
        excluded=family is None,
    )


def _interface(word: Word, values: Values) -> IPv4Interface | IPv6Interface:
    text, _, length = word.text.partition("/")
    address = numbers.address(text)
    if address is None:
        values.error(word.position, "bad-address", f"'{word}' is no IP address, the line is ignored")
        raise _Skip
    if address.is_multicast or address.is_unspecified:
        values.error(word.position, "bad-address", f"'{word}' can't be a virtual address, the line is ignored")
        raise _Skip
    prefix = numbers.whole(length) if length else address.max_prefixlen
    if prefix is None or not 0 <= prefix <= address.max_prefixlen:
        values.error(
            word.position,
            "bad-address",
            f"'{word}': the length is not in 0-{address.max_prefixlen}, /{address.max_prefixlen} is used",
        )
        prefix = address.max_prefixlen
    return ip_interface((address, prefix))


def _options(line: Statement, values: Values) -> _Line:
    options = _Line()
    words = list(line.arguments)
    while words:
        word = words.pop(0)
        if word.text in _FLAGS:
            options.flags.add(word.text)
        elif word.text in _WITH_VALUE:
            if not words:
                values.error(
                    word.position, "missing-argument", f"{line.name}: '{word}' needs a value, the line is ignored"
                )
                raise _Skip
            options.values["brd" if word.text == "broadcast" else word.text] = words.pop(0)
        elif word.text == "use_vmac":
            values.warning(
                word.position, "not-supported", f"{line.name}: 'use_vmac' is not supported yet, its words are ignored"
            )
            while words and words[0].text not in (*_FLAGS, *_WITH_VALUE):
                words.pop(0)
        else:
            _unknown(word, line.name, values)
    return options


def _unknown(word: Word, name: str, values: Values) -> None:
    meant = did_you_mean(word.text, (*_FLAGS, *_WITH_VALUE))
    if numbers.address(word.text.partition("/")[0]):
        hint = "write each address on its own line"
    elif word.text == "nodad":
        hint = "DAD is off already; '-nodad' turns it on"
    else:
        hint = f"did you mean '{meant}'?" if meant else ""
    values.error(word.position, "bad-option", f"{name}: '{word}' is no option of an address, it is ignored", hint)


def _scope(options: _Line, name: str, values: Values) -> int:
    word = options.values.get("scope")
    if word is None:
        return 0
    number = _SCOPES.get(word.text, numbers.whole(word.text))
    if number is not None and 0 <= number <= 255:
        return number
    values.error(
        word.position, "bad-option", f"{name}: '{word}' is no scope, global is used", f"write {', '.join(_SCOPES)}"
    )
    return 0


def _broadcast(
    options: _Line, interface: IPv4Interface | IPv6Interface, name: str, values: Values
) -> IPv4Address | None:
    word = options.values.get("brd")
    if word is None:
        return None
    if isinstance(interface, IPv6Interface):
        values.error(
            word.position, "bad-option", f"{name}: IPv6 has no broadcast, the address is left out", "remove brd"
        )
        raise _Skip
    network: IPv4Network = interface.network
    if word.text in ("+", "-") and network.prefixlen > 30:
        values.error(
            word.position,
            "bad-option",
            f"{name}: a /{network.prefixlen} has no broadcast address, 'brd {word}' is ignored",
            f"write the length of the network: {interface.ip}/24",
        )
        return None
    if word.text in ("+", "-"):
        return network.broadcast_address if word.text == "+" else network.network_address
    try:
        return IPv4Address(word.text)
    except ValueError:
        values.error(word.position, "bad-address", f"{name}: '{word}' is no broadcast address, the address is left out")
        raise _Skip from None


def _peer(
    options: _Line, interface: IPv4Interface | IPv6Interface, name: str, values: Values
) -> IPv4Interface | IPv6Interface | None:
    word = options.values.get("peer")
    if word is None:
        return None
    try:
        peer = ip_interface(word.text)
    except ValueError:
        peer = None
    if peer is not None and peer.version == interface.version:
        return peer
    values.error(word.position, "bad-address", f"{name}: '{word}' is no peer address of it, it has none")
    return None


def _preferred_lft(options: _Line, interface: IPv4Interface | IPv6Interface, name: str, values: Values) -> int | None:
    """Seconds; a /128 without the option has 0, so that it is not chosen as a source address."""
    default = 0 if isinstance(interface, IPv6Interface) and interface.network.prefixlen == 128 else None
    word = options.values.get("preferred_lft")
    if word is None:
        return default
    if word.text == "forever":
        return None
    seconds = numbers.whole(word.text)
    if seconds is not None and 0 <= seconds < 2**32:
        return seconds
    values.error(word.position, "bad-number", f"{name}: 'preferred_lft {word}' is no number of seconds, it is ignored")
    return default


def family(line: Statement) -> int | None:
    """4 or 6, None when the line holds no address."""
    address = numbers.address(line.name.partition("/")[0])
    return address.version if address else None
