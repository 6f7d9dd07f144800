"""The two daemons of a rehearsal: the one here by its control socket, the other one by ssh; asked the same things."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from drbdctl.cli.daemon import Unanswered, ask, status
from drbdctl.rehearsal.run import NodeFailed
from drbdctl.steps.ssh import Peer, PeerFailed
from pyvrrp.cli.control_client import ControlError, NotRunning, call
from pyvrrp.daemon.run_directory import control_socket

_DEADLINE = 20.0
_MOVE = 120.0
"seconds for a hand-over, which a gate may hold up for a minute"


class Here:
    """The node that we are on."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.name = "here"
        self._arguments = arguments

    def status(self) -> dict[str, Any]:
        """See Node."""
        try:
            return status(self._arguments)
        except Unanswered as unanswered:
            raise NodeFailed(str(unanswered)) from None

    def after_move(self, storage: str) -> dict[str, Any]:
        """See Node."""
        try:
            return dict(ask(self._arguments, storage, "after-move"))
        except Unanswered as unanswered:
            raise NodeFailed(str(unanswered)) from None

    def move(self, storage: str, instance: str) -> None:
        """See Node."""
        path = control_socket(self._arguments.run_dir, self._arguments.instance)
        try:
            call(path, "switchover", {"instances": [instance]})
        except (NotRunning, ControlError) as error:
            raise NodeFailed(str(error)) from None


class There:
    """The other node, by ssh."""

    def __init__(self, peer: Peer) -> None:
        self.name = peer.host
        self._peer = peer

    def status(self) -> dict[str, Any]:
        """See Node."""
        return self._json(["pyvrrp", "status", "--json"])

    def after_move(self, storage: str) -> dict[str, Any]:
        """See Node; a refusal is an answer too."""
        return self._json(["drbdctl", "plan", "promote", storage, "--after-move", "--json"])

    def move(self, storage: str, instance: str) -> None:
        """See Node."""
        try:
            self._peer.run(["drbdctl", "move", storage], _MOVE)
        except PeerFailed as failed:
            raise NodeFailed(str(failed)) from None

    def _json(self, argv: Sequence[str]) -> dict[str, Any]:
        try:
            text = self._peer.run(argv, _DEADLINE)
        except PeerFailed as failed:
            if failed.status != 1:
                raise NodeFailed(str(failed)) from None
            text = failed.output  # 1: it was understood, and something is not well
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise NodeFailed(f"{self.name}: the answer to `{' '.join(argv)}` is no JSON object; is it this version?")
        return found
