"""What `dnslb` asks the daemon for: a command is a list of words, its answer is JSON-ready."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address

from dnslb.balancer.balancer import Balancer
from dnslb.balancer.composition import name_of
from dnslb.balancer.sampling import MOST_SECONDS, sample
from dnslb.balancer.served import Served
from dnslb.balancer.status import counters, status
from dnslb.balancer.way import way_of
from dnslb.pool_events import Admin
from pyvrrp.core.events import IPAddress
from pyvrrp.daemon.plugins import CommandRefused


async def carry_out(balancer: Balancer, words: Sequence[str]) -> object:
    """Do it; raises CommandRefused."""
    match list(words):
        case ["status"]:
            await _count(balancer)
            return status(balancer)
        case ["counters"]:
            await _count(balancer)
            return counters(balancer)
        case ["explain", client, *rest]:
            return _explain(balancer, client, rest)
        case [("auto" | "up" | "drain" | "down") as word, *servers] if servers:
            return _say(balancer, Admin(word), servers)
        case ["sample", name, one_in, seconds]:
            return await _sample(balancer, name, one_in, seconds)
        case ["check", *servers]:
            return await _check(balancer, servers)
        case _:
            raise CommandRefused(f"dnslb does not know the command {' '.join(words)!r}; ask its own `dnslb --help`")


async def _count(balancer: Balancer) -> None:
    await asyncio.gather(*(interface.count() for interface in balancer.interfaces.values()))


async def _sample(balancer: Balancer, name: str, one_in: str, seconds: str) -> object:
    try:
        interface, every, period = balancer.interfaces[name], int(one_in), float(seconds)
    except KeyError:
        raise CommandRefused(f"nothing is balanced on {name}") from None
    except ValueError:
        raise CommandRefused(f"one in {one_in} for {seconds} s: two numbers are needed") from None
    if not (1 <= every <= 1 << 31 and 0 < period <= MOST_SECONDS):
        raise CommandRefused(f"one in {every} for {period:g} s: at least 1, and at most {MOST_SECONDS:g} s at a time")
    return await sample(interface, every, period)


def _say(balancer: Balancer, word: Admin, servers: Sequence[str]) -> object:
    meant = [each for server in servers for each in _meant(balancer, server)]
    try:
        balancer.operator.say(word, meant)
    except OSError as error:
        raise CommandRefused(f"{error.filename}: {error.strerror}; nothing was changed") from None
    return [{"virtual_server": served.server.name, "server": name_of(served.pool, address), "word": word.value}
            for served, address in meant]  # fmt: skip


def _meant(balancer: Balancer, server: str) -> list[tuple[Served, IPAddress]]:
    """A real server, by its name or address, in every virtual server that has it."""
    found = [
        (served, real.address)
        for served in balancer.served.values()
        for real in served.server.real_servers
        if server in (real.name, str(real.address))
    ]
    if not found:
        names = dict.fromkeys(real.name for each in balancer.served.values() for real in each.server.real_servers)
        raise CommandRefused(f"there is no real server {server}; there are: {', '.join(names) or 'none'}")
    return found


async def _check(balancer: Balancer, servers: Sequence[str]) -> object:
    meant = {address for server in servers for _, address in _meant(balancer, server)}
    addresses: set[IPAddress] | set[None] = meant or {None}
    await asyncio.gather(*(balancer.monitor.check_now(address) for address in addresses))
    return status(balancer)


def _explain(balancer: Balancer, client: str, rest: Sequence[str]) -> object:
    text, port = client, None
    if client.startswith("["):
        text, _, after = client[1:].partition("]")
        port = after.removeprefix(":") or None
    elif client.count(":") == 1:
        text, port = client.split(":")
    try:
        address = ip_address(text)
        number = None if port is None else int(port)
    except ValueError:
        raise CommandRefused(f"{client} is no client: write 192.0.2.7, 192.0.2.7:4242 or [2001:db8::7]:4242") from None
    if number is not None and not 0 < number < 65536:
        raise CommandRefused(f"{client}: {number} is no port")
    ways = [way_of(balancer, served, address, number, rest[0] if rest else None) for served in balancer.served.values()]
    found = [each for way in ways for each in way]
    if not found:
        raise CommandRefused(f"no virtual server has an IPv{address.version} address")
    return found
