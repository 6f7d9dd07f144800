"""The command line: `drbdctl VERB ...`.

A verb is a module of this package: see pyvrrp.cli.verbs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pyvrrp.cli.verbs import answer, in_package, run_verb

VERBS = {
    "check": "read drbd.conf and say what is wrong with it",
    "convert": "write a drbd.conf in the syntax of DRBD 8.4 or 9",
    "status": "roles, disks, connections and resync of this node",
    "events": "follow what changes",
    "why": "why a storage may be promoted on this node, or may not",
    "plan": "what a promotion or demotion would do, and why",
    "promote": "take a storage on this node: promote, mount, start, verify",
    "demote": "give a storage back on this node: stop, unmount, demote",
    "move": "give a storage, and its address, to the other node",
    "rehearse": "hand a storage to the other node and back, and measure it",
    "split-brain": "both sides of a split brain beside each other, and how to end it",
    "verify": "compare both copies block by block while they are in use",
    "fence-peer": "a handler for drbd.conf: may the peer be taken for dead?",
    "acknowledge": "let automation act again after failures that it counts",
    "adopt": "write the storage block for notify scripts that drive DRBD",
    "backup": "backups of a volume: run, list, verify, status, clean",
    "snapshot-resync-target": "a handler for drbd.conf: keep what a resync is about to overwrite",
}


_DESCRIPTION = "A DRBD node and the services on its storage: what they do, and moving them safely."


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments (without the program's name) ask for and return the exit status.

    Raises SystemExit for `--help` and for arguments that argparse does not understand (status 2).
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    load = in_package("drbdctl.cli")
    return answer("drbdctl", arguments, lambda: run_verb("drbdctl", _DESCRIPTION, VERBS, arguments, load))
