"""`pyvrrp demo`: the product at work on this machine, in network namespaces."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

SCENARIOS = {
    "dns-active-backup": "two DNS servers share one address, and a mail client measures what it feels",
    "dns-dsr": "two balancers, three DNS servers behind them, and many clients",
    "dns-two-box": "two nodes, each a balancer and a DNS server",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "demo",
        help="show the product working on this machine, in network namespaces",
        description="Things break, and clients tell what they feel of it. Takes about a minute; nothing outside the "
        "network namespaces that it makes is touched. The machines' files are in examples/SCENARIO.",
        epilog="; ".join(f"{name}: {text}" for name, text in SCENARIOS.items()) + ".",
    )
    parser.add_argument("scenario", choices=SCENARIOS, help="what to show")
    parser.add_argument("--quick", action="store_true", help="leave out or shorten what takes longest")


def run(arguments: argparse.Namespace) -> int:
    """Show it; without root it starts again in a user namespace."""
    from pyvrrp.demo.namespaces import LabError, obtain

    try:
        obtain()
        scenario = import_module(f"pyvrrp.demo.{arguments.scenario.replace('-', '_')}")
        status: int = scenario.run(quick=arguments.quick)
        return status
    except LabError as error:
        print(f"pyvrrp demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\npyvrrp demo: stopped; everything that it made is removed", file=sys.stderr)
        return 130
