"""What the verbs that ask the running daemon have in common."""

from __future__ import annotations

import argparse
from typing import Any

from drbdctl.cli.storage import NOT_RUNNING, REFUSED, complain
from pyvrrp.cli.control_client import ControlError, NotRunning, call
from pyvrrp.cli.run_dir import add_run_dir
from pyvrrp.daemon.run_directory import control_socket

__all__ = ["Unanswered", "add_daemon", "ask", "chosen", "status", "storages"]


class Unanswered(Exception):
    """The daemon gave no result; `status` is the exit status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status

    def told(self, verb: str) -> int:
        """Say it, and return the exit status."""
        complain(verb, self)
        return self.status


def add_daemon(parser: argparse.ArgumentParser) -> None:
    """`NAME`, `--instance NAME` and `--run-dir DIR`."""
    parser.add_argument("name", nargs="?", help="of the storage block (default: the only one)")
    parser.add_argument("--instance", metavar="NAME", help="of the daemon with `instance NAME` in its configuration")
    add_run_dir(parser)


def status(arguments: argparse.Namespace) -> dict[str, Any]:
    """The daemon's status; raises Unanswered."""
    return dict(_call(arguments, "status", {}))


def storages(arguments: argparse.Namespace) -> dict[str, Any]:
    """The storages of the daemon, as its status has them; raises Unanswered."""
    return dict(status(arguments).get("plugins", {}).get("drbdctl", {}).get("storages", {}))


def chosen(arguments: argparse.Namespace) -> str:
    """The name of the storage that is meant; raises Unanswered."""
    found = storages(arguments)
    if arguments.name is None and len(found) == 1:
        return next(iter(found))
    if arguments.name not in found:
        raise Unanswered(REFUSED, f"which storage? The daemon has: {', '.join(found) or 'none'}")
    return str(arguments.name)


def ask(arguments: argparse.Namespace, *words: str) -> Any:
    """A command of the plugin; raises Unanswered."""
    return _call(arguments, "plugin", {"plugin": "drbdctl", "words": list(words)})


def _call(arguments: argparse.Namespace, method: str, parameters: dict[str, object]) -> Any:
    try:
        return call(control_socket(arguments.run_dir, arguments.instance), method, parameters)
    except NotRunning as error:
        raise Unanswered(NOT_RUNNING, str(error)) from None
    except ControlError as error:
        raise Unanswered(REFUSED, str(error)) from None
