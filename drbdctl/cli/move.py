"""`drbdctl move`: give a storage, and the address in front of it, to the other node; the daemons do it."""

from __future__ import annotations

import argparse
import time
from typing import Any

from drbdctl.cli.daemon import Unanswered, add_daemon, chosen, storages
from drbdctl.cli.storage import REFUSED
from pyvrrp.cli import switchover


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "move",
        help="give a storage, and its address, to the other node",
        description="Have the daemon here stop the services, unmount and demote while it still advertises, and then "
        "let the other node take over. This node does not want the role back before that one is gone.",
        epilog="exit status: 0 moved, 1 nobody took over or this node does not serve, 3 pyvrrp is not running, "
        "4 no answer.",
    )
    add_daemon(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask for it, wait until it is done, and say how long it took here."""
    try:
        name = chosen(arguments)
        storage = storages(arguments)[name]
    except Unanswered as unanswered:
        return unanswered.told("move")
    if storage["phase"] != "primary":
        unserved = Unanswered(
            REFUSED, f"storage {name} does not serve here ({storage['phase']}); move it on the other node"
        )
        return unserved.told("move")
    began = time.monotonic()
    asked = argparse.Namespace(name=[storage["vrrp_instance"]], instance=arguments.instance, run_dir=arguments.run_dir)
    status = switchover.run(asked)
    print(f"storage {name}: {time.monotonic() - began:.1f} s until this node had let go")
    return status
