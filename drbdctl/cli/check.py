"""`drbdctl check`: read drbd.conf and say what is wrong with it, in the file and on this machine.

`--json` writes one object: `schema` (1), `files`, `diagnostics` (each has file, line, column, severity, code, message,
hint, fatal; column 0 is the whole line), and `summary` (numbers of errors, warnings and notes, names of the resources).
Fields may be added to it under the same schema number.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from drbdctl.drbd_conf import Loaded, load
from drbdctl.drbd_conf.lint import lint
from drbdctl.drbd_conf.lint_machine import lint_machine
from drbdctl.host import look

DEFAULT_FILE = "/etc/drbd.conf"
SCHEMA = 1


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "check",
        help="read drbd.conf and say what is wrong with it",
        description="Read drbd.conf of DRBD 8.3, 8.4 or 9 and say what is wrong with it, and what to write instead. "
        "Nothing is changed.",
        epilog="exit status: 0 no error, 1 an error (with --strict a warning too), 2 the file can't be read.",
    )
    add = parser.add_argument
    add("file", nargs="?", default=argparse.SUPPRESS, help=f"the configuration (default: {DEFAULT_FILE})")
    add("-f", "--file", default=DEFAULT_FILE, help="the same, as `pyvrrp check` takes it")
    add("--json", action="store_true", help="write one JSON object: schema, files, diagnostics, summary")
    add("--strict", action="store_true", help="a warning is as bad as an error")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings and return the exit status."""
    try:
        loaded = load(arguments.file)
    except OSError as error:
        print(
            f"drbdctl check: {arguments.file}: {error.strerror}; name another file",
            file=sys.stderr,
        )
        return 2
    lint(loaded.config, loaded.diagnostics)
    lint_machine(loaded.config, look(loaded.files), arguments.file, loaded.diagnostics)
    diagnostics = loaded.diagnostics
    if arguments.json:
        print(json.dumps(_report(loaded), indent=2))
    else:
        for found in diagnostics:
            print(found)
        print(_summary(loaded, arguments.file))
    return int(bool(diagnostics.errors or (arguments.strict and diagnostics.warnings)))


def _counts(loaded: Loaded) -> dict[str, int]:
    errors, warnings = len(loaded.diagnostics.errors), len(loaded.diagnostics.warnings)
    return {"errors": errors, "warnings": warnings, "notes": len(loaded.diagnostics) - errors - warnings}


def _report(loaded: Loaded) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "files": list(loaded.files),
        "diagnostics": [found.as_json() for found in loaded.diagnostics],
        "summary": {**_counts(loaded), "resources": [each.name for each in loaded.config.resources]},
    }


def _summary(loaded: Loaded, file: str) -> str:
    counted = [f"{number} {what[:-1] if number == 1 else what}" for what, number in _counts(loaded).items() if number]
    names = ", ".join(each.name for each in loaded.config.resources) or "no resource"
    return f"{file}: {', '.join(counted) or 'nothing to report'}; {names}"
