"""`pyvrrp -t`: keepalived's configuration test with its exit statuses; `pyvrrp check` says the same at more length."""

from __future__ import annotations

import sys
from enum import IntEnum
from pathlib import Path

from pyvrrp.config import load
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.daemon import plugins as plugin_registry

_SECURITY = "script-security"


class TestStatus(IntEnum):
    """What keepalived -t returns; its manual says 3, 4 and 5, its code these."""

    CLEAN = 0
    CANNOT_RUN = 4
    "no such file, or the daemon would refuse to start"
    ERRORS = 5
    "the daemon would start, but the file has errors"
    SECURITY = 6
    "nothing but the security of scripts"


def config_test(path: Path, config_id: str | None, output: Path | None) -> int:
    """Read the file, print every finding to standard error, or to `output`, and return the status."""
    try:
        lines, status = _test(path, config_id)
        if output is None:
            sys.stderr.writelines(lines)
        else:
            output.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        print(f"pyvrrp: {error.filename or path}: {error.strerror}", file=sys.stderr)
        return TestStatus.CANNOT_RUN
    return status


def _test(path: Path, config_id: str | None) -> tuple[list[str], TestStatus]:
    plugins = plugin_registry.load()
    loaded = load(str(path), config_id=config_id, plugins=plugins)
    for plugin in plugins:
        plugin.configure(loaded.config, loaded.diagnostics)
    return [f"{found}\n" for found in loaded.diagnostics], _status(loaded.diagnostics)


def _status(diagnostics: Diagnostics) -> TestStatus:
    if diagnostics.fatal:
        return TestStatus.CANNOT_RUN
    errors = diagnostics.errors
    if any(found.code != _SECURITY for found in errors):
        return TestStatus.ERRORS
    security = errors or [found for found in diagnostics.warnings if found.code == _SECURITY]
    return TestStatus.SECURITY if security else TestStatus.CLEAN
