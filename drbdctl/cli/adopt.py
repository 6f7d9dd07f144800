"""`drbdctl adopt`: write the storage block that does what notify scripts do today, on standard output."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drbdctl import adopt
from drbdctl.cli.storage import CONFIGURATION, DONE, REFUSED, UNUSABLE, complain
from drbdctl.drbd_conf import load as load_drbd
from drbdctl.plugin import DrbdPlugin
from drbdctl.status.ask import CONFIG
from pyvrrp.config.load import load
from pyvrrp.config.model import VrrpInstance
from pyvrrp.core.events import State


def add_parser(subparsers: Any) -> None:
    """Describe the verb."""
    parser = subparsers.add_parser(
        "adopt",
        help="write the storage block for notify scripts that drive DRBD",
        description="Read keepalived.conf and the scripts of notify_master, and write a storage block that promotes, "
        "mounts and starts the same, to standard output. Nothing is changed; what is not understood is told.",
        epilog="exit status: 0 written, 1 no script drives DRBD, 2 the configuration can't be read.",
    )
    parser.add_argument("-f", "--file", default=CONFIGURATION, help="keepalived.conf (default: %(default)s)")
    parser.add_argument("--drbd-conf", default=CONFIG, metavar="FILE", help="drbd.conf (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Write the blocks and return the exit status."""
    try:
        loaded = load(arguments.file, plugins=[DrbdPlugin()])
    except OSError as error:
        complain("adopt", f"{arguments.file}: {error.strerror}; name another file with -f")
        return UNUSABLE
    written = [_adopt(each, arguments.drbd_conf) for each in loaded.config.instances]
    if not any(written):
        complain("adopt", f"{arguments.file}: no notify_master script drives DRBD; there is nothing to adopt")
        return REFUSED
    return DONE


def _adopt(instance: VrrpInstance, drbd_conf: str) -> bool:
    command = instance.notify.master or instance.notify.any
    if command is None:
        return False
    try:
        text = Path(command.argv[0]).read_text(errors="replace")
    except OSError as error:
        complain("adopt", f"vrrp_instance {instance.name}: {command.argv[0]}: {error.strerror}")
        return False
    found = adopt.read(text)
    if not found.resources:
        return False
    print(adopt.block(instance.name, instance.name, found, _resources(drbd_conf)))
    for line in found.forced:
        complain("adopt", f"{command.argv[0]}: not carried over, it overwrites the peer's data by force: {line}")
    for line in found.unread:
        complain("adopt", f"{command.argv[0]}: not understood: {line}")
    print("\n".join(_left_to_do(instance, command.argv[0])), file=sys.stderr)
    return True


def _left_to_do(instance: VrrpInstance, script: str) -> Iterator[str]:
    """What the operator does with the block."""
    yield f"1. Put it beside vrrp_instance {instance.name}, on both nodes; see docs/storage.md for what it can say."
    parameters, inside = instance.parameters, [f"'track_storage {{ {instance.name} }}'"]
    inside += ["'state BACKUP'"] if parameters.initial_state is not State.BACKUP else []
    inside += ["'nopreempt'"] if not parameters.nopreempt else []
    yield f"2. In the vrrp_instance, write {', '.join(inside)}; remove the notify lines that drive DRBD ({script} ...)."
    yield "3. `pyvrrp check`, then `drbdctl plan promote` on both nodes: it says what would be done, or why not."
    yield "4. Restart pyvrrp on the node that does not serve first, then on the other one."


def _resources(drbd_conf: str) -> list[str]:
    try:
        return [each.name for each in load_drbd(drbd_conf).config.resources]
    except OSError as error:
        complain("adopt", f"{drbd_conf}: {error.strerror}; write the names of the resources in place of `all`")
        return ["all"]
