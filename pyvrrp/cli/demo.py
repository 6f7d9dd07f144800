"""`pyvrrp demo`: the product at work on this machine, in network namespaces."""

from __future__ import annotations

import argparse
import sys

SCENARIO = "dns-active-backup"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "demo",
        help="show the product working on this machine, in network namespaces",
        description=f"{SCENARIO}: two DNS servers share one address while things break, and a mail client measures "
        "what it feels. Takes about a minute; nothing outside the network namespaces that it makes is touched.",
    )
    parser.add_argument("scenario", choices=[SCENARIO], help="what to show")
    parser.add_argument("--quick", action="store_true", help="measure one slow mail at the end instead of two")


def run(arguments: argparse.Namespace) -> int:
    """Show it; without root it starts again in a user namespace."""
    from pyvrrp.demo import dns_active_backup
    from pyvrrp.demo.namespaces import LabError, obtain

    try:
        obtain()
        return dns_active_backup.run(quick=arguments.quick)
    except LabError as error:
        print(f"pyvrrp demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\npyvrrp demo: stopped; everything that it made is removed", file=sys.stderr)
        return 130
