"""Words of a health check in the file -> values; a word that can't be one is refused with a hint."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import TypeVar

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.TXT

from dnslb.health.verdict import Transport
from pyvrrp.config.diagnostics import Position
from pyvrrp.config.statements import Statement, Word
from pyvrrp.config.suggest import did_you_mean
from pyvrrp.core.events import IPAddress

_T = TypeVar("_T")

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_PROTOCOLS = {"udp": (Transport.UDP,), "tcp": (Transport.TCP,), "both": (Transport.UDP, Transport.TCP)}
_SWITCH = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}


class BadValue(Exception):
    """A value that can't be used: where it stands, the stable code, what is wrong, what to write."""

    def __init__(self, position: Position, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.position = position
        self.code = code
        self.hint = hint


def only(line: Statement) -> Word:
    """The one value of a line."""
    if not line.arguments:
        raise BadValue(line.position, "missing-argument", f"'{line.name}' needs a value")
    if len(line.arguments) > 1:
        extra = line.arguments[1]
        raise BadValue(extra.position, "extra-argument", f"'{line.name}' takes one value, '{extra}' is too much")
    return line.arguments[0]


def several(line: Statement) -> tuple[Word, ...]:
    """The values of a line, at least one."""
    if not line.arguments:
        raise BadValue(line.position, "missing-argument", f"'{line.name}' needs at least one value")
    return line.arguments


def address(line: Statement) -> IPAddress:
    """An IPv4 or IPv6 address; a name would make the check depend on another server."""
    word = only(line)
    try:
        return ip_address(word.text)
    except ValueError:
        hint = f"write an address: {line.name} 127.0.0.1"
        raise BadValue(word.position, "bad-address", f"'{line.name} {word}' is no IP address", hint) from None


def whole(low: int, high: int) -> Callable[[Statement], int]:
    """A reader of whole numbers from `low` to `high`."""

    def read(line: Statement) -> int:
        return _whole(line, only(line), low, high)

    return read


def seconds(low: float, high: float) -> Callable[[Statement], float]:
    """A reader of seconds, with or without decimals, from `low` to `high`."""

    def read(line: Statement) -> float:
        word = only(line)
        if not _DECIMAL.fullmatch(word.text) or not low <= float(word.text) <= high:
            message = f"'{line.name} {word}' is not a number of seconds in {low:g}-{high:g}"
            raise BadValue(word.position, "bad-number", message)
        return float(word.text)

    return read


def weight(line: Statement) -> tuple[int, bool]:
    """`weight N [reverse]`: -253 to 253, 0 means that a failure is a FAULT."""
    match line.arguments:
        case (number, Word(text="reverse")):
            return _whole(line, number, -253, 253), True
        case (_, other):
            raise BadValue(other.position, "bad-option", f"'{other}' after a weight means nothing", "write reverse")
        case _:
            return _whole(line, only(line), -253, 253), False


def switch(line: Statement) -> bool:
    """`on`, `off` or a synonym; the keyword alone is `on`."""
    if not line.arguments:
        return True
    word = only(line)
    if word.text not in _SWITCH:
        message = f"'{line.name} {word}' is neither on nor off"
        raise BadValue(word.position, "bad-switch", message, "write on or off")
    return _SWITCH[word.text]


def transports(line: Statement) -> tuple[Transport, ...]:
    """`udp`, `tcp` or `both`."""
    word = only(line)
    return one_of(word, word.text, _PROTOCOLS, "protocol")


def domain_name(line: Statement) -> dns.name.Name:
    """A domain name, absolute with or without the dot at its end."""
    word = only(line)
    try:
        return dns.name.from_text(word.text)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise BadValue(word.position, "bad-name", f"'{word}' is no domain name: {error}") from None


def rdtype(line: Statement) -> dns.rdatatype.RdataType:
    """A record type by name or as TYPEnnn; questions that ask for no type of their own are refused."""
    word = only(line)
    try:
        found = dns.rdatatype.from_text(word.text)
    except (dns.exception.DNSException, ValueError):
        known = {each.name: each for each in dns.rdatatype.RdataType if not dns.rdatatype.is_metatype(each)}
        return one_of(word, word.text.upper(), known, "type")
    if dns.rdatatype.is_metatype(found):
        message = f"'type {word}' asks for no record of its own, servers answer it as they please"
        raise BadValue(word.position, "unknown-type", message, "ask for A, AAAA, NS or SOA")
    return found


def rcodes(line: Statement) -> tuple[dns.rcode.Rcode, ...]:
    """One or more response codes by name."""
    names = dns.rcode.Rcode.__members__
    return tuple(one_of(word, word.text.upper(), names, "rcode") for word in several(line))


def answer(kind: dns.rdatatype.RdataType) -> Callable[[Statement], tuple[dns.rdata.Rdata, ...] | None]:
    """A reader of `any` (None), `none` (no record), or records of that type, one word or quoted text each."""

    def read(line: Statement) -> tuple[dns.rdata.Rdata, ...] | None:
        match several(line):
            case (Word(text="any", quoted=False),):
                return None
            case (Word(text="none", quoted=False),):
                return ()
            case words:
                return tuple(_rdata(kind, word) for word in words)

    return read


def _rdata(kind: dns.rdatatype.RdataType, word: Word) -> dns.rdata.Rdata:
    try:
        if kind == dns.rdatatype.TXT:
            # The word is the text itself; the record holds it in pieces of at most 255 bytes.
            text = word.text.encode("utf-8", "surrogateescape")
            pieces = [text[start : start + 255] for start in range(0, len(text), 255)]
            return dns.rdtypes.ANY.TXT.TXT(dns.rdataclass.IN, kind, pieces or [b""])
        return dns.rdata.from_text(dns.rdataclass.IN, kind, word.text, origin=dns.name.root, relativize=False)
    except (dns.exception.DNSException, ValueError) as error:
        message = f"'{word}' is no {dns.rdatatype.to_text(kind)} record: {error}"
        hint = 'put a record of several words in quotes, as in "10 mail.example.com"'
        raise BadValue(word.position, "bad-record", message, hint) from None


def _whole(line: Statement, word: Word, low: int, high: int) -> int:
    if not _WHOLE.fullmatch(word.text) or not low <= int(word.text) <= high:
        message = f"'{line.name} {word}' is not a whole number in {low}-{high}"
        raise BadValue(word.position, "bad-number", message)
    return int(word.text)


def one_of(word: Word, text: str, choices: Mapping[str, _T], what: str) -> _T:
    """What `text` stands for; `what` is the kind of thing that it should be."""
    try:
        return choices[text]
    except KeyError:
        near = did_you_mean(text, choices)
        hint = f"did you mean '{near}'?" if near else f"write one of {', '.join(list(choices)[:6])}"
        raise BadValue(word.position, f"unknown-{what}", f"'{word}' is no DNS {what}", hint) from None
