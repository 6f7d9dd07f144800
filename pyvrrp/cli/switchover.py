"""`pyvrrp switchover`: give the address to the other node, without a gap."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyvrrp.cli.control_client import ControlError, NotRunning, call
from pyvrrp.cli.run_dir import add_run_dir
from pyvrrp.daemon.run_directory import control_socket

OK, STAYED, _, NOT_RUNNING, REFUSED = range(5)
_PATIENCE = 70.0
"seconds: a gate may take gate_timeout (60 s) to close"


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "switchover",
        help="give the address to the other node",
        description="Give MASTER to a peer: priority 0, and this node goes on answering until the peer is heard. "
        "It does not want the address back before that peer is gone, whatever the priorities.",
        epilog="exit status: 0 handed over, 1 nobody took over (this node stays MASTER), 3 the daemon is not running, "
        "4 it refused or gave no answer.",
    )
    parser.add_argument("name", nargs="*", help="these vrrp_instances (default: all that are MASTER here)")
    parser.add_argument("--instance", metavar="NAME", help="of the daemon with `instance NAME` in its configuration")
    add_run_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask for it and wait until it is done."""
    path = control_socket(arguments.run_dir, arguments.instance)
    try:
        names = call(path, "switchover", {"instances": arguments.name})["handing_over"]
        found = _outcome(path, names)
    except NotRunning as error:
        print(f"pyvrrp: {error}", file=sys.stderr)
        return NOT_RUNNING
    except ControlError as error:
        print(f"pyvrrp: {error}", file=sys.stderr)
        return REFUSED
    stayed = False
    for each in found:
        if each["state"] == "MASTER":
            stayed = True
            print(f"{each['name']}: nobody took over; this node stays MASTER: is the peer running, and in BACKUP?")
        else:
            successor = each["master"]
            to = f" to {successor['address']}" if successor else ""
            print(f"{each['name']}: handed over{to}; this node is {each['state']}")
    return STAYED if stayed else OK


def _outcome(path: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    deadline = time.monotonic() + _PATIENCE
    while True:
        instances = call(path, "status")["instances"]
        chosen = [each for each in instances if each["name"] in names]
        if all(each["state"] != "MASTER" or each["phase"] == "serving" for each in chosen):
            return chosen
        if time.monotonic() > deadline:
            return chosen
        time.sleep(0.1)
