"""`pyvrrp run`: the daemon in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import Any

from pyvrrp.cli.run_dir import add_run_dir
from pyvrrp.daemon import logs
from pyvrrp.daemon.environment import CHANNEL
from pyvrrp.daemon.options import DEFAULT_CONFIG_FILE, ExitStatus, RunOptions
from pyvrrp.daemon.run_directory import Unusable
from pyvrrp.daemon.starter import Starter

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

_LOG = logging.getLogger("pyvrrp")


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "run",
        help="run the daemon in the foreground",
        description="Run the daemon in the foreground. Messages go to standard error, or to the journal under systemd.",
        epilog="signals: TERM, INT stop; HUP reload; USR1, USR2 write keepalived.data, keepalived.stats. "
        "exit status: 0 stopped on request, 1 already running or something is missing, 2 the configuration can't be "
        "run, 4 a permission is missing, 6 no configuration file, 70 an error of ours, or the guard has given up.",
    )
    add = parser.add_argument
    add("-f", "--file", type=Path, default=DEFAULT_CONFIG_FILE, help="the configuration (default: %(default)s)")
    add("-i", "--config-id", metavar="ID", help="which `@ID` lines count (default: the host's name)")
    add_run_dir(parser)
    add("--pid-file", type=Path, metavar="FILE", help="the pid file (default: pyvrrp.pid in --run-dir)")
    add("--no-guard", action="store_true", help="one process: when it falls, another machine takes over")
    add("--log-level", choices=LEVELS, default="info", help="(default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Run until the daemon ends."""
    options = RunOptions(
        config_file=arguments.file.absolute(),
        config_id=arguments.config_id,
        run_dir=arguments.run_dir.absolute(),
        pid_file=arguments.pid_file.absolute() if arguments.pid_file else None,
    )
    log_options = logs.LogOptions(level=LEVELS[arguments.log_level])
    return start(options, log_options, guarded=arguments.own_process and not arguments.no_guard)


def start(
    options: RunOptions,
    log_options: logs.LogOptions,
    *,
    guarded: bool,
    directory: str = ".",
    starter: Starter | None = None,
) -> int:
    """Set up logging and run the daemon; whatever goes wrong is told in one line.

    `guarded`: this process becomes the guard, which runs the same command line again, in `directory`, to speak.
    """
    try:
        logs.setup(log_options)
        if CHANNEL not in os.environ and guarded:
            from pyvrrp.daemon.guard import become_guard

            become_guard(log_options, directory=directory, starter=starter)
        from pyvrrp.daemon import main

        return main.run(options)
    except Unusable as unusable:
        _LOG.error("%s", unusable)
        return ExitStatus.FATAL
    except Exception:
        _LOG.critical("the daemon ends", exc_info=True)
        return ExitStatus.PROGRAM_ERROR
