"""`dnslb sample`: which names are asked for, and by whom, from some of the packets on an interface."""

from __future__ import annotations

import argparse
import errno
import selectors
import socket
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from ipaddress import ip_address
from itertools import chain
from typing import Any

from dnslb.cli.daemon import NO_ANSWER, OK, TROUBLE, USAGE, add_options, ask, told
from dnslb.cli.table import aligned, harmless
from dnslb.forwarding import Protocol
from dnslb.headers import Malformed, datagram, destination, ip_header, ports
from pyvrrp.core.events import IPAddress

_ETH_P_ALL = 3
_OUTGOING = 4
_MOST = 20
_AT_A_TIME = 2.0
"seconds of one question to the daemon"
_EPILOG = "exit status: 0 done; 1 nothing was seen; 2 bad input; 3 the daemon is not running; 4 it can't be done."


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "sample",
        help="which names are asked for, and by whom",
        description="Look at one in N queries over UDP that come in for a virtual address, and count names, types and "
        "clients. With engine xdp it is the program itself that puts them aside, by chance (Linux 5.18); else it is "
        "every N-th that a packet socket sees, which needs CAP_NET_RAW, also on a real server with --interface and "
        "--vip.",
        epilog=_EPILOG,
    )
    parser.add_argument("-n", "--one-in", type=int, default=1, metavar="N", help="every N-th query (default: each)")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="for so long (default: 10)")
    parser.add_argument("--interface", metavar="NAME", help="do without the daemon: listen here")
    parser.add_argument("--vip", action="append", type=_address, metavar="ADDRESS", help="with --interface")
    add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Listen, and print what was seen."""
    if arguments.one_in < 1 or arguments.seconds <= 0:
        print("dnslb: -n and --seconds are positive numbers", file=sys.stderr)
        return USAGE
    if bool(arguments.interface) != bool(arguments.vip):
        print("dnslb: --interface and --vip go together", file=sys.stderr)
        return USAGE
    return told(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    if arguments.interface:
        sources = [_heard({arguments.interface: arguments.vip}, arguments.one_in, arguments.seconds)]
    else:
        sources = _sources(arguments)
    names: Counter[str] = Counter()
    clients: Counter[str] = Counter()
    began = time.monotonic()
    try:
        for client, payload in chain.from_iterable(sources):
            names[_question(payload)] += 1
            clients[client] += 1
    except OSError as error:
        hint = "; it takes root, or CAP_NET_RAW" if error.errno == errno.EPERM else ""
        print(f"dnslb: a packet socket: {error.strerror}{hint}", file=sys.stderr)
        return NO_ANSWER
    except KeyboardInterrupt:
        print()
    total = clients.total()
    print(f"{total} queries looked at in {time.monotonic() - began:.1f} s, one in {arguments.one_in}")
    for title, counted in (("name and type", names), ("client", clients)):
        rows = [("queries", "part", title)]
        rows += [(str(count), f"{count / total:.1%}", each) for each, count in counted.most_common(_MOST)]
        print("\n".join(map(harmless, aligned(rows, left=frozenset((2,))))))
    return OK if total else TROUBLE


def _sources(arguments: argparse.Namespace) -> list[Iterator[tuple[str, bytes]]]:
    """The interfaces of the daemon, one way after the other where there are several."""
    interfaces = ask(arguments, "status")["interfaces"]
    blind = [name for name, each in interfaces.items() if each["engine"] == "xdp"]
    seen = {name: [ip_address(held) for held in each["held"]] for name, each in interfaces.items() if name not in blind}
    sources = [_put_aside(arguments, name) for name in blind]
    return [_heard(seen, arguments.one_in, arguments.seconds), *sources] if seen else sources


def _put_aside(arguments: argparse.Namespace, interface: str) -> Iterator[tuple[str, bytes]]:
    """Client and payload of queries as the daemon's program has put them aside."""
    end = time.monotonic() + arguments.seconds
    while (left := end - time.monotonic()) > 0:
        found = ask(arguments, "sample", interface, str(arguments.one_in), f"{min(left, _AT_A_TIME):g}")
        yield from ((client, bytes.fromhex(payload)) for client, payload in found)


def _heard(places: Mapping[str, Collection[IPAddress]], one_in: int, seconds: float) -> Iterator[tuple[str, bytes]]:
    """Client and payload of every `one_in`-th UDP packet that comes in for one of the addresses; raises OSError."""
    end, count = time.monotonic() + seconds, 0
    with ExitStack() as opened, selectors.DefaultSelector() as selector:
        for interface, vips in places.items():
            tap = opened.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            tap.bind((interface, _ETH_P_ALL))
            selector.register(tap.fileno(), selectors.EVENT_READ, (tap, frozenset(vip.packed for vip in vips)))
        while (left := end - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                tap, addresses = key.data
                frame, sender = tap.recvfrom(65535)
                if sender[2] != _OUTGOING and (found := _query(frame, addresses)) is not None:
                    count += 1
                    if count % one_in == 0:
                        yield found


def _question(payload: bytes) -> str:
    import dns.message

    try:
        message = dns.message.from_wire(payload, question_only=True)
    except Exception:  # whatever dnspython makes of what a stranger sent
        return "(not DNS)"
    return next(map(str, message.question), "(no question)")


def _query(frame: bytes, vips: Collection[bytes]) -> tuple[str, bytes] | None:
    """Client and payload of a UDP packet to one of these addresses."""
    at = ip_header(frame)
    if not at or destination(frame, at) not in vips:
        return None
    try:
        packet = datagram(frame, at)
        if packet.protocol != Protocol.UDP or packet.fragment:
            return None
        ports(frame, packet.payload)
    except Malformed:
        return None
    return str(ip_address(packet.source)), frame[packet.payload + 8 :]


def _address(text: str) -> IPAddress:
    try:
        return ip_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no IPv4 or IPv6 address") from None
