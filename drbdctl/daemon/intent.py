"""What is being done to a storage, written down before it is done (rule 12); it outlives the process, not the boot."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from drbdctl.failover.plan import Promote, Step

DIRECTORY = Path("/run/drbdctl")


class Intent:
    """The note about one storage: `/run/drbdctl/NAME.intent`."""

    def __init__(self, storage: str, directory: Path = DIRECTORY) -> None:
        self._path = directory / f"{storage}.intent"
        self._ours = self._path.exists()
        self.problem = ""
        "why nothing can be written down"

    @property
    def ours(self) -> bool:
        """A daemon of this boot has begun to promote the storage, and has not given it back since."""
        return self._ours

    def write(self, step: Step, text: str) -> None:
        """Write down what is about to be done; raises OSError."""
        self._ours = self._ours or isinstance(step, Promote)
        if not self._ours:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps({"step": str(step), "intent": text}))
            new.rename(self._path)
        except OSError as error:
            self.problem = f"{self._path}: {error.strerror}"
            raise
        self.problem = ""

    def forget(self) -> None:
        """Everything is given back."""
        self._ours = False
        with suppress(OSError):
            self._path.unlink()
