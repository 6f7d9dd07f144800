"""Which addresses and ports a virtual_server has: its own line, or the lines of a virtual_server_group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network

from dnslb.config.keywords import VIRTUAL_SERVER, VIRTUAL_SERVER_GROUP
from dnslb.forwarding import MAX_SERVICES
from dnslb.model import Endpoint
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.semantics import numbers
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement, Word
from pyvrrp.config.suggest import did_you_mean
from pyvrrp.core.events import IPAddress

_BY_ADDRESS = "write the addresses and ports into a virtual_server_group"


class Refused(Exception):
    """It can't be used; the reason has been reported."""


def of_virtual_server(values: Values, block: Statement, groups: Mapping[str, Statement]) -> tuple[Endpoint, ...]:
    """`virtual_server ADDRESS PORT` or `virtual_server group NAME`; raises Refused."""
    match block.arguments:
        case (Word(text="group"), name):
            return _of_group(values, name, groups)
        case (Word(text="group") as word,):
            raise _refuse(values, word, "missing-argument", "it names no group", "write 'virtual_server group NAME'")
        case (Word(text="fwmark") as word, *_):
            why = "packets are balanced before they could get a firewall mark"
            raise _refuse(values, word, "fwmark", why, _BY_ADDRESS)
        case (address, *port):
            return tuple(_endpoints(values, address, port))
        case _:
            raise Refused


def port(values: Values, word: Word) -> int:
    """A port, 1-65535; raises Refused."""
    number = numbers.whole(word.text)
    if number is None or not 1 <= number <= 65535:
        raise _refuse(values, word, "bad-port", f"'{word}' is no port in 1-65535", "a DNS server has port 53")
    return number


def address(values: Values, word: Word) -> IPAddress:
    """An address of one machine; raises Refused."""
    found = numbers.address(word.text)
    if found is None:
        raise _refuse(values, word, "bad-address", f"'{word}' is no IP address", "")
    if found.is_multicast or found.is_unspecified:
        raise _refuse(values, word, "bad-address", f"'{word}' is no address of a machine", "")
    return found


def _of_group(values: Values, name: Word, groups: Mapping[str, Statement]) -> tuple[Endpoint, ...]:
    group = groups.get(name.text)
    if group is None:
        near = did_you_mean(name.text, groups)
        hint = f"did you mean '{near}'?" if near else f"define '{VIRTUAL_SERVER_GROUP} {name} {{ ... }}'"
        raise _refuse(values, name, "undefined-name", f"there is no {VIRTUAL_SERVER_GROUP} {name}", hint)
    inside = Values(f"{VIRTUAL_SERVER_GROUP} {name}", (), values.diagnostics, group.position)
    found: dict[Endpoint, None] = {}
    for line in group.body or ():
        first, *rest = line.words
        if first.text == "fwmark":
            raise _refuse(inside, first, "fwmark", "packets are balanced before they could get a firewall mark", "")
        for endpoint in _endpoints(inside, first, rest):
            if endpoint in found:
                inside.warning(first.position, "duplicate-address", f"{endpoint} is there already", "remove the line")
            found[endpoint] = None
    if not found:
        raise _refuse(inside, group.keyword, "empty-group", "it has no address", "write 'ADDRESS PORT' into it")
    return tuple(found)


def _endpoints(values: Values, first: Word, rest: Sequence[Word]) -> Iterator[Endpoint]:
    if not rest:
        message = f"{first} has no port: the balancer has to know which packets are meant"
        raise _refuse(values, first, "missing-port", message, f"write '{first} 53'")
    number = port(values, rest[0])
    if len(rest) > 1:
        raise _refuse(values, rest[1], "extra-argument", f"'{rest[1]}' is too much", "write 'ADDRESS PORT'")
    for each in _addresses(values, first):
        yield Endpoint(each, number)


def _addresses(values: Values, word: Word) -> Iterator[IPAddress]:
    """One address, `192.0.2.1-10`, `192.0.2.250-192.0.3.10` or `192.0.2.8/29` (all of them, first to last)."""
    start, dash, end = word.text.partition("-")
    if dash:
        low, high = numbers.address(start), numbers.address(_whole_end(start, end))
    elif "/" in word.text:
        low, high = _block(word.text)
    else:
        yield address(values, word)
        return
    if low is None or high is None or low.version != high.version:
        raise _refuse(values, word, "bad-address", f"'{word}' is no range of addresses", "write 192.0.2.1-10")
    count = int(high) - int(low) + 1
    if not 1 <= count <= MAX_SERVICES:
        message = f"'{word}' is a range of {count} addresses, it can't be" if count < 1 else f"'{word}' is too long"
        raise _refuse(values, word, "bad-address", message, f"at most {MAX_SERVICES} addresses are balanced")
    yield from (low + offset for offset in range(count))


def _whole_end(start: str, end: str) -> str:
    """The end of a range may be its last part alone."""
    separator = ":" if ":" in start else "."
    return end if separator in end else f"{start.rpartition(separator)[0]}{separator}{end}"


def _block(text: str) -> tuple[IPAddress, IPAddress] | tuple[None, None]:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None, None
    return network[0], network[-1]


def _refuse(values: Values, word: Word, code: str, message: str, hint: str) -> Refused:
    values.error(word.position, code, message, hint, fatal=True)
    return Refused()


def groups(blocks: Sequence[Statement], diagnostics: Diagnostics) -> dict[str, Statement]:
    """The virtual_server_group blocks by name; of two with one name the first counts, as in keepalived."""
    found: dict[str, Statement] = {}
    for block in blocks:
        if block.name != VIRTUAL_SERVER_GROUP:
            continue
        name = block.arguments[0].text
        if name in found:
            message = f"{VIRTUAL_SERVER_GROUP} {name} is defined at {found[name].position} already, it is ignored"
            diagnostics.error(block.position, "duplicate-name", message, "give it another name")
        found.setdefault(name, block)
    used = {block.arguments[1].text for block in blocks if block.name == VIRTUAL_SERVER and len(block.arguments) > 1}
    for name, block in found.items():
        if name not in used:
            message, hint = f"{VIRTUAL_SERVER_GROUP} {name}: nothing uses it", f"write 'virtual_server group {name}'"
            diagnostics.warning(block.position, "unused-group", message, hint)
    return found
