"""`dnslb status`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from dnslb.cli.daemon import OK, TROUBLE, Document, add_options, ask, told
from dnslb.cli.table import render


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "status",
        help="who gets which part of the queries, and why",
        description="Ask the running daemon: each virtual server's engine, and of each real server its standing, its "
        "share of new flows, its queries, its checks, and why.",
        epilog="exit status: 0 all is well; 1 something is balanced badly or not at all; 3 the daemon is not running; "
        "4 it gave no answer.",
    )
    parser.add_argument("name", nargs="*", help="only these virtual servers")
    parser.add_argument("--json", action="store_true", help="everything, as JSON (docs/dnslb.md)")
    add_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    return told(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    document: Document = ask(arguments, "status")
    if arguments.name:
        chosen = {name: each for name, each in document["virtual_servers"].items() if name in arguments.name}
        document["virtual_servers"] = chosen
    if arguments.json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print(render(document))
    return TROUBLE if any(map(_troubled, document["virtual_servers"].values())) or _no_engine(document) else OK


def _troubled(served: Document) -> bool:
    return bool(served["problem"] or served["panic"] or served["sorry"] or not served["quorum"])


def _no_engine(document: Document) -> bool:
    return any(interface["problem"] for interface in document["interfaces"].values())
