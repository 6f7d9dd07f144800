"""`drbdctl convert`: the same configuration in the syntax of DRBD 8.4 or 9, on standard output."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from drbdctl.cli.check import DEFAULT_FILE
from drbdctl.drbd_conf import load
from drbdctl.drbd_conf.convert import convert
from drbdctl.drbd_conf.keywords import Version


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "convert",
        help="write a drbd.conf in the syntax of DRBD 8.4 or 9",
        description="Write the configuration, with its includes, as one file in the syntax of DRBD 8.4 or 9 to "
        "standard output, and what could not be kept to standard error. The text is read again and compared first.",
        epilog="exit status: 0 converted, 1 not converted (the reason is told), 2 the file can't be read.",
    )
    parser.add_argument("file", nargs="?", default=DEFAULT_FILE, help="the configuration (default: %(default)s)")
    parser.add_argument("--to", choices=("8.4", "9"), default="8.4", help="the version (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Write the text and return the exit status."""
    try:
        loaded = load(arguments.file)
    except OSError as error:
        print(f"drbdctl convert: {arguments.file}: {error.strerror}; name another file", file=sys.stderr)
        return 2
    converted = convert(loaded, Version(arguments.to))
    for found in converted.diagnostics:
        print(found, file=sys.stderr)
    if converted.diagnostics.errors:
        print(
            f"drbdctl convert: {arguments.file}: not converted; correct what `drbdctl check` reports", file=sys.stderr
        )
        return 1
    sys.stdout.write(converted.text)
    return 0
