"""`dnslb explain CLIENT[:PORT] [NAME]`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from dnslb.cli.daemon import EPILOG, OK, Document, add_options, ask, told
from dnslb.cli.table import harmless


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "explain",
        help="which server a client's queries go to, and by which hash",
        description="Say which real server a client's queries go to now, on this node and on every other one with the "
        "same servers up. A TCP connection that is open may go elsewhere (keep_flows).",
        epilog=EPILOG,
    )
    parser.add_argument("client", metavar="CLIENT[:PORT]", help="192.0.2.7, 192.0.2.7:4242 or [2001:db8::7]:4242")
    parser.add_argument("name", nargs="?", help="the name that is asked for (lb_algo qname)")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask and print."""
    return told(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    words = [arguments.client] if arguments.name is None else [arguments.client, arguments.name]
    ways: list[Document] = ask(arguments, "explain", *words)
    if arguments.json:
        print(json.dumps(ways, indent=2))
        return OK
    for way in ways:
        print(
            harmless(f"{way['virtual_server']} ({'+'.join(way['protocols'])} to {', '.join(way['to'])}): {_end(way)}")
        )
        if way["server"] is not None:
            print(harmless(f"  by {way['hash']} = bucket {way['bucket']}; {way['why']}"))
        if not way["here"]:
            print("  not here: another node is MASTER for the address; it sends the client to the same server")
    return OK


def _end(way: Document) -> str:
    if way["server"] is None:
        return ": ".join(filter(None, (way["hash"], way["why"])))
    known = way["server"] == way["address"]
    return f"to {way['server']}" + ("" if known else f" ({way['address']})")
