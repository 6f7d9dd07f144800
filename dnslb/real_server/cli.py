"""`dnslb realserver`: make this node answer for a balancer's address, undo it, say what is wrong with it."""

from __future__ import annotations

import argparse
import errno
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dnslb.real_server.block import DNS_PORT, unusable
from pyvrrp.config.semantics import numbers
from pyvrrp.core.events import IPAddress

if TYPE_CHECKING:
    from dnslb.real_server.findings import Finding

OK, FOUND, USAGE, FAILED, NOT_ALLOWED = range(5)
SCHEMA = 1
_NOT_ALLOWED = (errno.EPERM, errno.EACCES, errno.EROFS)
_EPILOG = "exit status: 0 done, or nothing is wrong; 1 something is; 2 bad input; 3 the system refused; 4 not allowed."


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "realserver",
        help="make this node answer for a balancer's address, or say what is wrong with it",
        description="On a DNS server behind a balancer: put the virtual address on lo, unseen by neighbours, undo it, "
        "or look for everything that keeps clients from getting answers (docs/real-server.md).",
        epilog=_EPILOG,
    )
    add_actions(parser)


def add_actions(parser: argparse.ArgumentParser) -> None:
    """Describe what can be done."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    add = actions.add_parser("add", help="put the VIPs on lo until they are removed", epilog=_EPILOG)
    add.add_argument("vips", metavar="VIP", type=_vip, nargs="+")
    remove = actions.add_parser("remove", help="undo exactly what `add` did", epilog=_EPILOG)
    remove.add_argument("vips", metavar="VIP", type=_vip, nargs="*", help="default: all that were added")
    remove.add_argument("--daemon", action="store_true", help=argparse.SUPPRESS)  # what the guard undoes
    check = actions.add_parser("check", help="say what is wrong with this node", epilog=_EPILOG)
    check.add_argument("vips", metavar="VIP", type=_vip, nargs="*", help="default: all that were added, or are leased")
    for each in (add, check):
        each.add_argument("--redirect", action="store_true", help="by an nft rule instead of an address on lo")
        ports = "default: 53; several may be given"
        each.add_argument("--port", dest="ports", type=_port, action="append", metavar="N", help=ports)
    peers = "another real server, by its own address: compare DNS cookies and, with --zone, serials"
    check.add_argument(
        "--peer", dest="peers", type=_address, action="append", default=[], help=peers, metavar="ADDRESS"
    )
    check.add_argument("--zone", dest="zones", action="append", default=[], metavar="NAME", help="see --peer")
    check.add_argument("--json", action="store_true", help="write one JSON object: schema, findings")


def run(arguments: argparse.Namespace) -> int:
    """Do it and return the exit status."""
    try:
        match arguments.action:
            case "add":
                return _add(arguments.vips, arguments.ports or [DNS_PORT], redirect=arguments.redirect)
            case "remove":
                return _remove(arguments.vips, daemon=arguments.daemon)
            case _:
                return _check(arguments)
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        denied = error.errno in _NOT_ALLOWED
        hint = "; it takes root, or CAP_NET_ADMIN and a /proc/sys that can be written" if denied else ""
        print(f"dnslb realserver: {what}{error.strerror or error}{hint}", file=sys.stderr)
        return NOT_ALLOWED if denied else FAILED


def _add(vips: Sequence[IPAddress], ports: Sequence[int], *, redirect: bool) -> int:
    from dnslb.real_server import operations

    _print(operations.add_redirect(vips, ports) if redirect else operations.add(vips))
    return OK


def _remove(vips: Sequence[IPAddress], *, daemon: bool) -> int:
    from dnslb.real_server import operations

    if daemon:
        _print(operations.leave(vips))
        return OK
    on_lo, redirected = operations.added()
    known = on_lo | redirected
    _print(operations.remove(vips or sorted(known, key=str)))
    unknown = [vip for vip in vips if vip not in known]
    for vip in unknown:
        print(f"dnslb realserver: {vip} was not added by `dnslb realserver add` on this node", file=sys.stderr)
    return FOUND if unknown else OK


def _check(arguments: argparse.Namespace) -> int:
    from dnslb.real_server import operations
    from dnslb.real_server.examine import examine

    ports: Sequence[int] = arguments.ports or [DNS_PORT]
    on_lo, redirected = (set(arguments.vips), set()) if arguments.vips else operations.held()
    if arguments.vips and arguments.redirect:
        on_lo, redirected = redirected, on_lo
    vips = sorted(on_lo | redirected, key=str)
    if not vips:
        return _refuse("this node has no VIP on lo, and redirects none; name those to check")
    if arguments.zones and not arguments.peers:
        return _refuse("--zone compares with another server; name it with --peer")
    findings = []
    for some, redirect in ((on_lo, False), (redirected, True)):
        if some:
            findings += examine(sorted(some, key=str), ports, redirect=redirect, link=True)
    if arguments.peers:
        import dns.exception
        import dns.name

        from dnslb.real_server.peers import compare

        try:
            zones = [dns.name.from_text(zone) for zone in arguments.zones]
        except (dns.exception.DNSException, UnicodeError) as error:
            return _refuse(f"--zone: {error}")
        findings += compare(vips, arguments.peers, zones, ports[0])
    _show(findings, vips, as_json=arguments.json)
    return FOUND if findings else OK


def _refuse(why: str) -> int:
    print(f"dnslb realserver: {why}", file=sys.stderr)
    return USAGE


def _show(findings: Sequence[Finding], vips: Sequence[IPAddress], *, as_json: bool) -> None:
    if as_json:
        listed = [{"subject": f.subject, "code": f.code, "text": f.text, "hint": f.hint} for f in findings]
        print(json.dumps({"schema": SCHEMA, "vips": list(map(str, vips)), "findings": listed}, indent=2))
        return
    for finding in findings:
        print(finding)
    if not findings:
        print(f"{', '.join(map(str, vips))}: nothing is wrong")


def _print(lines: Sequence[str]) -> None:
    print("\n".join(lines or ["nothing to do"]))


def _address(text: str) -> IPAddress:
    found = numbers.address(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no IPv4 or IPv6 address")
    return found


def _vip(text: str) -> IPAddress:
    vip = _address(text)
    if why := unusable(vip):
        raise argparse.ArgumentTypeError(f"{text!r}: {why}")
    return vip


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to 65535")
    return int(text)
