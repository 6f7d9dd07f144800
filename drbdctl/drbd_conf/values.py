"""The words behind a keyword of drbd.conf: numbers with units, choices, addresses, devices."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from drbdctl.drbd_conf.keywords import Choice, Keyword, Number, Plain
from drbdctl.drbd_conf.lexer import Token
from drbdctl.drbd_conf.model import Address, Origin
from pyvrrp.config.diagnostics import Diagnostics, Position
from pyvrrp.config.suggest import did_you_mean

FAMILIES = ("ipv4", "ipv6", "ssocks", "sci", "sdp")
_NUMBER = re.compile(r"([0-9]{1,18})([KkMmGgs]?)")
_FACTORS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "s": 512}
_BYTES_PER_UNIT = {"KiB/s": 1024, "sectors": 512}
_MINOR_IN_PATH = re.compile(r"(?:/dev/)?drbd([0-9]{1,7})")
_AGREE, _DIFFER = ("yes", "true", "on"), ("no", "false", "off")
HIGHEST_MINOR = 1_048_575
HIGHEST_VOLUME = 65_534


def option_value(name: str, keyword: Keyword, words: Sequence[Token], at: Position, to: Diagnostics) -> str | None:
    """The value of an option as text, or None when it is reported as wrong.

    A boolean is `yes` or `no`; of a number the text stays as it is written.
    """
    if keyword.value in (Plain.BOOLEAN, Plain.FLAG) and not words:
        return "yes"
    if keyword.value is Plain.FLAG:
        to.error(at, "wrong-number-of-words", f"{name} takes no value", f"write {name}; or leave it out")
        return None
    if keyword.value is Plain.NAMES and words:
        return " ".join(word.text for word in words)
    if len(words) != 1:
        to.error(at, "wrong-number-of-words", f"{name} wants one value, not {len(words)}", _wants(name, keyword))
        return None
    word = words[0]
    match keyword.value:
        case Number() as number:
            fault = _number_fault(word.text, number)
        case Choice(choices):
            fault = "" if word.text in choices or _discards_node(name, word.text) else "is none of its values"
        case Plain.BOOLEAN:
            fault = "" if word.text in _AGREE + _DIFFER else "is neither yes nor no"
        case Plain.TEXT | Plain.NAMES | Plain.FLAG:
            long = keyword.longest and len(word.text.encode("utf-8", "surrogateescape")) > keyword.longest
            fault = f"is longer than {keyword.longest} bytes" if long else ""
    if fault:
        shown = "the value" if name == "shared-secret" else word.text[:40] or '""'
        meant = did_you_mean(word.text, keyword.value.words) if isinstance(keyword.value, Choice) else None
        hint = f"did you mean {meant}?" if meant else _wants(name, keyword)
        to.error(word.position, "bad-value", f"{name}: {shown} {fault}", hint)
        return None
    if keyword.value is Plain.BOOLEAN:
        return "yes" if word.text in _AGREE else "no"
    return word.text


def number(word: Token, least: int, most: int, what: str, to: Diagnostics) -> int | None:
    """A plain number within limits, or None when it is reported as wrong."""
    if re.fullmatch(r"[0-9]{1,18}", word.text) and least <= int(word.text) <= most:
        return int(word.text)
    to.error(word.position, "bad-value", f"{what}: {word.text[:40]} is no number {least}..{most}", "correct it")
    return None


def address(words: Sequence[Token], at: Position, to: Diagnostics, comments: tuple[str, ...] = ()) -> Address | None:
    """`[FAMILY] HOST:PORT`, an IPv6 host in brackets; None when it is reported as wrong."""
    texts = [word.text for word in words]
    family = texts.pop(0) if texts and texts[0] in FAMILIES else ""
    text = "".join(texts)
    match = re.fullmatch(r"\[([^\[\]]*)\]:([0-9]{1,5})|([^\[\]:]*):([0-9]{1,5})", text)
    hint = "write it as 192.168.0.11:7789 or ipv6 [fe80::1%eth0]:7789"
    if match is None:
        to.error(at, "bad-address", f"{text[:60] or 'nothing'} is no address with a port", hint)
        return None
    host, port = (match[1], int(match[2])) if match[1] is not None else (match[3], int(match[4]))
    inside = match[1] is not None
    family = family or ("ipv6" if inside else "ipv4")
    if inside != (family == "ipv6") or not 1 <= port <= 65_535:
        to.error(at, "bad-address", f"{family} {text[:60]} does not fit together", hint)
        return None
    try:
        host = str(ipaddress.ip_address(host))
    except ValueError:
        if inside or not re.fullmatch(r"[A-Za-z0-9._-]+", host) or re.fullmatch(r"[0-9.]+", host):
            to.error(at, "bad-address", f"{host[:60] or 'nothing'} is no IP address", hint)
            return None
        to.warning(at, "address-by-name", f"{host} has to be looked up before DRBD can start", "write its IP address")
    return Address(family, host, port, Origin(at, comments))


def device(words: Sequence[Token], at: Position, to: Diagnostics) -> tuple[str, int] | None:
    """Path and minor of `device /dev/drbdN`, `device NAME minor N` or `device minor N`."""
    texts = [word.text for word in words]
    path, minor = "", None
    if len(texts) in (1, 3) and texts[0] != "minor":
        path = texts[0] if texts[0].startswith("/") else f"/dev/{texts[0]}"
        if match := _MINOR_IN_PATH.fullmatch(texts[0]):
            minor = int(match[1])
    if len(texts) in (2, 3) and texts[-2] == "minor":
        given = number(words[-1], 0, HIGHEST_MINOR, "minor", to)
        if given is None:
            return None
        if minor not in (None, given):
            to.error(at, "bad-device", f"{path} is not minor {given}", f"write /dev/drbd{given}, or another name")
        minor = given
    if minor is None:
        to.error(
            at,
            "bad-device",
            f"device {' '.join(texts)[:60]} has no minor",
            "write device /dev/drbd0, or device minor 0",
        )
        return None
    return path, minor


def _discards_node(name: str, value: str) -> bool:
    """9: `after-sb-0pri discard-node-NAME` names the victim."""
    return name == "after-sb-0pri" and value.startswith("discard-node-")


def _number_fault(text: str, wanted: Number) -> str:
    if text in wanted.symbols:
        return ""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return "is no number"
    value = int(match[1])
    if suffix := match[2].lower():
        value = value * _FACTORS[suffix] // _BYTES_PER_UNIT.get(wanted.unit, 1)
    if not wanted.least <= value <= wanted.most:
        unit = f" {wanted.unit}" if wanted.unit else ""
        return f"is not within {wanted.least}..{wanted.most}{unit}"
    return ""


def _wants(name: str, keyword: Keyword) -> str:
    match keyword.value:
        case Number(least, most, unit, symbols):
            words = f"a number {least}..{most}{f' in {unit}' if unit else ''}"
            return f"{name} takes {' or '.join((words, *symbols))}"
        case Choice(choices):
            return f"{name} takes one of {', '.join(choices)}"
        case Plain() as plain:
            return f"{name} takes {plain.value}"
