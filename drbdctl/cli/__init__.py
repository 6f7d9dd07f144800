"""The command line: `drbdctl VERB ...`.

A verb is a module of this package with `add_parser(subparsers)` and `run(arguments) -> int`. Only the one asked for is
imported, so that `drbdctl --version` takes no longer than Python itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

VERBS = {
    "check": "read drbd.conf and say what is wrong with it",
    "convert": "write a drbd.conf in the syntax of DRBD 8.4 or 9",
    "status": "roles, disks, connections and resync of this node",
    "events": "follow what changes",
    "why": "why a storage may be promoted on this node, or may not",
    "plan": "what a promotion or demotion would do, and why",
    "promote": "take a storage on this node: promote, mount, start, verify",
    "demote": "give a storage back on this node: stop, unmount, demote",
    "move": "give a storage, and its address, to the other node",
    "rehearse": "hand a storage to the other node and back, and measure it",
    "split-brain": "both sides of a split brain beside each other, and how to end it",
    "verify": "compare both copies block by block while they are in use",
    "fence-peer": "a handler for drbd.conf: may the peer be taken for dead?",
    "acknowledge": "let automation act again after failures that it counts",
    "adopt": "write the storage block for notify scripts that drive DRBD",
    "backup": "backups of a volume: run, list, verify, status, clean",
    "snapshot-resync-target": "a handler for drbd.conf: keep what a resync is about to overwrite",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments (without the program's name) ask for and return the exit status.

    Raises SystemExit for `--help` and for arguments that argparse does not understand (status 2).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments or ["--help"])
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `drbdctl status | head`: keep the interpreter from complaining when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception as error:
        if os.environ.get("PYVRRP_DEBUG"):
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"drbdctl: unexpected {what}; please report it with what PYVRRP_DEBUG=1 shows", file=sys.stderr)
        return 70


def _dispatch(arguments: list[str]) -> int:
    if arguments[0] in ("--version", "-V"):
        from pyvrrp import __version__

        print(f"drbdctl {__version__}")
        return 0
    import argparse

    parser = argparse.ArgumentParser(
        prog="drbdctl", description="A DRBD node and the services on its storage: what they do, and moving them safely."
    )
    parser.add_argument("--version", "-V", action="store_true", help="print the version")
    subparsers = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    chosen = None
    for name, text in VERBS.items():
        if name == arguments[0]:
            chosen = import_module(f"drbdctl.cli.{name.replace('-', '_')}")
            chosen.add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=text)
    parsed = parser.parse_args(arguments)
    assert chosen is not None  # argparse has refused every other verb
    status: int = chosen.run(parsed)
    return status
