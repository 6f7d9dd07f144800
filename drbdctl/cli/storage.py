"""What the verbs about a storage have in common: which one, and a look at it."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

from drbdctl.daemon.self_check import self_check
from drbdctl.daemon.world import look
from drbdctl.failover.seen import Seen
from drbdctl.plugin import DrbdPlugin
from drbdctl.settings import Storage
from drbdctl.status.ask import node_status
from drbdctl.steps.hands import Hands
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.load import load

CONFIGURATION = "/etc/keepalived/keepalived.conf"
DONE, REFUSED, UNUSABLE, NOT_RUNNING, FAILED = 0, 1, 2, 3, 4
"exit statuses: done; a rule refuses; the configuration can't be used; the daemon does not run; a step has failed"
EPILOG = (
    "exit status: 0 done, 1 a rule refuses, 2 the configuration can't be used, 3 pyvrrp is not running, "
    "4 a step failed."
)


class Unusable(Exception):
    """The configuration does not say what the storage is; the text is one line."""


@dataclass(frozen=True, slots=True)
class Handle:
    """A storage, and what looks at it and acts on it."""

    storage: Storage
    hands: Hands

    async def look(self, users: bool) -> Seen:
        """See drbdctl.daemon.world.look."""
        return await look(self.storage, stuck=self.hands.stuck, checks=await self_check(self.storage), users=users)


def add_storage(parser: argparse.ArgumentParser) -> None:
    """`NAME` and `-f FILE`."""
    parser.add_argument("name", nargs="?", help="of the storage block (default: the only one)")
    parser.add_argument("-f", "--file", default=CONFIGURATION, help="keepalived.conf (default: %(default)s)")


def chosen(arguments: argparse.Namespace) -> Handle:
    """The storage that the arguments name; raises Unusable."""
    storage = find(arguments.file, arguments.name)
    return Handle(storage, Hands(storage, lambda: node_status().status))


def find(file: str, name: str | None) -> Storage:
    """A storage block of a configuration; raises Unusable."""
    found = {each.name: each for each in storages(file)}
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name not in found:
        adopt = f"names no storage block; `drbdctl adopt -f {file}` writes one for notify scripts, see docs/storage.md"
        what = adopt if not found else f"has the storage blocks {', '.join(found)}; name one"
        raise Unusable(f"{file} {what}")
    return found[name]


def storages(file: str) -> list[Storage]:
    """The storage blocks of a configuration; raises Unusable."""
    plugin, diagnostics = DrbdPlugin(), Diagnostics()
    try:
        loaded = load(file, plugins=[plugin])
    except OSError as error:
        raise Unusable(f"{file}: {error.strerror}; name another file with -f") from None
    found = plugin.storages(loaded.config, diagnostics)
    if diagnostics.fatal:
        raise Unusable(f"{diagnostics.fatal[0]} (`pyvrrp check -f {file}` has all)")
    return found


def complain(verb: str, why: object) -> None:
    """One line on standard error."""
    print(f"drbdctl {verb}: {why}", file=sys.stderr)
