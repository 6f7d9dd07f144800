"""What the command line hands to the daemon, and the numbers that both agree upon."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType

from pyvrrp.daemon.run_directory import default_run_directory

DEFAULT_CONFIG_FILE = Path("/etc/keepalived/keepalived.conf")


class ExitStatus(IntEnum):
    """How `pyvrrp run` ends; the numbers are keepalived's."""

    OK = 0
    "stopped on request; in keepalived's form also: already running"
    FATAL = 1
    "already running, or something it needs is missing"
    CONFIG = 2
    "the configuration can't be run"
    MISSING_PERMISSION = 4
    NO_CONFIG = 6
    "the configuration file can't be read"
    PROGRAM_ERROR = 70
    "an error of ours, or the guard has given up"
    RESTART = 75
    "of the speaker alone: the guard is to start it again"


SIGNALS: Mapping[str, int] = MappingProxyType(
    {
        "STOP": signal.SIGTERM,
        "RELOAD": signal.SIGHUP,
        "DATA": signal.SIGUSR1,
        "STATS": signal.SIGUSR2,
        "STATS_CLEAR": signal.SIGRTMAX - 1,
        "JSON": signal.SIGRTMIN + 2,
    }
)
"`--signum=NAME`: keepalived's names; real-time signals have another number in another libc (JSON is 36 on glibc)"


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How the daemon is to run, whichever form of the command line asked for it; all paths are absolute."""

    config_file: Path = DEFAULT_CONFIG_FILE
    config_id: str | None = None
    "the id that `@id` lines must match; None: the host name without its domain"
    net_namespace: str | None = None
    "overrides the file's `net_namespace`"
    run_dir: Path = field(default_factory=default_run_directory)
    pid_file: Path | None = None
    "of the first process; None: see run_directory.pid_files"
    vrrp_pid_file: Path | None = None
    "of the process that speaks VRRP (keepalived's -r)"
    keepalived_form: bool = False
    "started with keepalived's flags: its pid files, and a second start exits 0"
    vrrp: bool = True
    "False: -C without -P, the vrrp_instance blocks are not run"
    plugins: bool = True
    "False: -P without -C, the plugins' blocks (virtual_server) are not run"
    keep_addresses: bool = False
    "-V: at the end neither say priority 0 nor take the addresses off"
    dump_config: bool = False
    "-d: write keepalived.data once at the start"
    on_up: Callable[[], None] = _nothing
    "to be called when the daemon works: in the background form the starter is waiting for it"
