"""The files that keepalived writes on a signal, for the tools that read them: keepalived.data, .stats and .json.

Rendering and writing take milliseconds per hundred instances and wait for the disk: not for the event loop's thread.
"""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path

from pyvrrp.config.model import Config, Globals
from pyvrrp.daemon.dump_json import json_text
from pyvrrp.daemon.dump_text import data_text, stats_text
from pyvrrp.daemon.run_directory import Unusable
from pyvrrp.daemon.status import DaemonStatus

DIRECTORY = Path("/tmp")  # keepalived's default, where the tools look
_MODE = 0o600


class Dump(Enum):
    """One of the files; the value is its default name."""

    DATA = "keepalived.data"
    STATS = "keepalived.stats"
    JSON = "keepalived.json"


def dump(what: Dump, status: DaemonStatus, config: Config) -> Path:
    """Write the file for this snapshot and return its path; raises Unusable when it can't be written."""
    match what:
        case Dump.DATA:
            text = data_text(status, config)
        case Dump.STATS:
            text = stats_text(status)
        case Dump.JSON:
            text = json_text(status, config)
    path = dump_path(what, config.globals)
    _replace(path, text)
    return path


def dump_path(what: Dump, settings: Globals) -> Path:
    """Where the file goes: `state_dump_file`, `stats_dump_file`, or keepalived's name in /tmp."""
    configured = {Dump.DATA: settings.state_dump_file, Dump.STATS: settings.stats_dump_file}.get(what)
    return DIRECTORY / (configured or what.value)


def _replace(path: Path, text: str) -> None:
    """Write a new file and rename it over the old one: readers see all or nothing, and no link is followed."""
    new = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
        try:
            with open(fd, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
            new.rename(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Unusable(f"dump file {path}: {error.strerror}") from error
