"""`pyvrrp check`: read the configuration and say what is wrong with it.

`--json` writes one object: `schema` (1), `files` (all that were read), `diagnostics` (in the order of the files; each
has file, line, column, severity, code, message, hint, fatal; column 0 is the whole line), and `summary` (the numbers of
errors, warnings, notes and fatal errors, and the names of the instances that can be run). Fields may be added to it
under the same schema number.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyvrrp.config import Loaded, load
from pyvrrp.daemon import plugins as plugin_registry
from pyvrrp.daemon.options import DEFAULT_CONFIG_FILE

SCHEMA = 1


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "check",
        help="read the configuration and say what is wrong with it",
        description="Read the configuration and say what is wrong with it, and what to write instead. "
        "Nothing is started or changed.",
        epilog="exit status: 0 no error, 1 an error (with --strict a warning too), 2 the file can't be read.",
    )
    add = parser.add_argument
    add("-f", "--file", type=Path, default=DEFAULT_CONFIG_FILE, help="the configuration (default: %(default)s)")
    add("-i", "--config-id", metavar="ID", help="which `@ID` lines count (default: the host's name)")
    add("--json", action="store_true", help="write one JSON object: schema, files, diagnostics, summary")
    add("--strict", action="store_true", help="a warning is as bad as an error")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings and return the exit status."""
    plugins = plugin_registry.load()
    try:
        loaded = load(str(arguments.file), config_id=arguments.config_id, plugins=plugins)
    except OSError as error:
        print(f"pyvrrp check: {arguments.file}: {error.strerror}; name another file with -f", file=sys.stderr)
        return 2
    for plugin in plugins:
        plugin.configure(loaded.config, loaded.diagnostics)
    if arguments.json:
        print(json.dumps(_report(loaded), indent=2))
    else:
        for found in loaded.diagnostics:
            print(found)
        print(_summary(loaded, arguments.file))
    diagnostics = loaded.diagnostics
    return int(bool(diagnostics.errors or (arguments.strict and diagnostics.warnings)))


def _report(loaded: Loaded) -> dict[str, object]:
    diagnostics = loaded.diagnostics
    errors, warnings = len(diagnostics.errors), len(diagnostics.warnings)
    return {
        "schema": SCHEMA,
        "files": list(loaded.files),
        "diagnostics": [found.as_json() for found in diagnostics],
        "summary": {
            "errors": errors,
            "warnings": warnings,
            "notes": len(diagnostics) - errors - warnings,
            "fatal": len(diagnostics.fatal),
            "instances": _names(loaded),
        },
    }


def _summary(loaded: Loaded, path: Path) -> str:
    diagnostics = loaded.diagnostics
    errors, warnings = len(diagnostics.errors), len(diagnostics.warnings)
    counted = [
        _count(errors, "error"),
        _count(warnings, "warning"),
        _count(len(diagnostics) - errors - warnings, "note"),
    ]
    found = ", ".join(part for part in counted if part) or "nothing to report"
    if diagnostics.fatal:
        return f"{path}: {found}; `pyvrrp run` refuses it"
    names = _names(loaded)
    return f"{path}: {found}; runs {', '.join(names) or 'no vrrp_instance'}"


def _names(loaded: Loaded) -> Sequence[str]:
    return [instance.name for instance in loaded.config.instances]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}" if number else ""
