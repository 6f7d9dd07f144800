"""`pyvrrp restart`: change the running program without a failover."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from pyvrrp.cli.control_client import ControlError, NotRunning, call
from pyvrrp.cli.run_dir import add_run_dir
from pyvrrp.daemon.pidfile import holder
from pyvrrp.daemon.run_directory import control_socket, pid_files

OK, LOST, CONFIG, NOT_RUNNING, REFUSED = range(5)
_PATIENCE = 100.0
"seconds: notify scripts are waited for (notify_timeout, 60 s), and one that failed starts again after a pause"


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "restart",
        help="change the running program without a failover",
        description="Start the speaker again, with the program and the configuration as they are on the disk now. What "
        "is MASTER stays MASTER: the new process goes on advertising before a peer misses anything, no script is run. "
        "Where the guard waits after falls of the speaker, it starts one at once.",
        epilog="exit status: 0 it runs in the role it had, 1 it runs, but a role was lost, 2 the configuration can't "
        "be run and nothing was done, 3 the daemon is not running, 4 it refused or gave no answer.",
    )
    parser.add_argument("--instance", metavar="NAME", help="of the daemon with `instance NAME` in its configuration")
    add_run_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask for it and wait until the new process answers."""
    path = control_socket(arguments.run_dir, arguments.instance)
    try:
        try:
            before = call(path, "status")
        except NotRunning:
            if (guard := _guard(arguments.run_dir, arguments.instance)) == 0:
                raise
            return _begin_anew(path, guard)
        if why := _problem(before["config_file"]):
            print(f"pyvrrp: {why}; nothing was done", file=sys.stderr)
            return CONFIG
        pid = call(path, "restart")["pid"]
        after = _successor(path, pid)
    except NotRunning as error:
        print(f"pyvrrp: {error}", file=sys.stderr)
        return NOT_RUNNING
    except ControlError as error:
        print(f"pyvrrp: {error}", file=sys.stderr)
        return REFUSED
    was = {each["name"]: each["state"] for each in before["instances"]}
    lost = [each for each in after["instances"] if was.get(each["name"]) == "MASTER" != each["state"]]
    for each in lost:
        print(f"{each['name']}: was MASTER, is {each['state']}: {each['reason']} {each['detail']}".rstrip())
    if not lost:
        masters = sum(each["state"] == "MASTER" for each in after["instances"])
        print(f"restarted: pid {pid} -> {after['pid']}, version {after['version']}, {masters} MASTER as before")
    return LOST if lost else OK


def _guard(run_dir: Path, instance: str | None) -> int:
    """The guard that waits there although no speaker answers; 0: there is none."""
    path, _ = pid_files(run_dir, instance, keepalived_form=False)
    return holder(path)


def _begin_anew(path: Path, guard: int) -> int:
    """End the guard's pause after falls of the speaker (SIGHUP), and wait until one answers."""
    try:
        os.kill(guard, signal.SIGHUP)
    except OSError as error:
        raise ControlError(f"the guard, pid {guard}: {error.strerror}; ask as root") from error
    after = _successor(path, guard)
    print(f"there was no speaker; started: pid {after['pid']}, version {after['version']}")
    return OK


def _problem(config_file: str) -> str:
    """Why this program, which is the new one, would not run the configuration; empty: it would."""
    from pyvrrp.config.load import load
    from pyvrrp.daemon import plugins

    try:
        found = load(config_file, plugins=plugins.load())
    except OSError as error:
        return f"{config_file}: {error.strerror}"
    fatal = found.diagnostics.fatal
    return f"{config_file} can't be run: {fatal[0]}" if fatal else ""


def _successor(path: Path, pid: int) -> Any:
    """The status of the process after `pid`."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            status = call(path, "status")
            if status["pid"] != pid:
                return status
        except (NotRunning, ControlError):  # between the two, or not ready yet
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise ControlError(f"{path}: pid {pid} still runs after {_PATIENCE:g} s; a notify script may hold it up")
        time.sleep(0.05)
