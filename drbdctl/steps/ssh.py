"""A command on the other node, where root may go there by ssh without a password; blocking, with a deadline."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5")


class PeerFailed(Exception):
    """There is no answer, or no good one; one line. `status` is the command's, None: it never ran."""

    def __init__(self, why: str, status: int | None = None, output: str = "") -> None:
        super().__init__(why)
        self.status = status
        self.output = output


class Peer:
    """The other node, by the name or address that ssh takes."""

    def __init__(self, host: str, ssh: Sequence[str] = SSH) -> None:
        self.host = host
        self._ssh = tuple(ssh)

    def run(self, argv: Sequence[str], deadline: float) -> str:
        """Its standard output; raises PeerFailed."""
        try:
            done = subprocess.run(
                [*self._ssh, "--", self.host, shlex.join(argv)],
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=deadline,
                check=False,
            )
        except FileNotFoundError:
            raise PeerFailed(f"{self._ssh[0]} is not installed; install openssh-client") from None
        except subprocess.TimeoutExpired:
            raise PeerFailed(f"{self.host}: no answer to `{shlex.join(argv)}` within {deadline:g} s") from None
        if done.returncode == 255:
            said = _last(done.stderr) or "it does not say why"
            raise PeerFailed(f"{self.host} is not reached by ssh: {said}; `ssh {self.host} true` has to work as root")
        if done.returncode:
            said = _last(done.stderr) or _last(done.stdout) or "it said nothing"
            why = f"{self.host}: `{shlex.join(argv)}` ended with {done.returncode}: {said}"
            raise PeerFailed(why, done.returncode, done.stdout)
        return done.stdout


def _last(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
