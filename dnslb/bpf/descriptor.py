"""What maps, programs and links have in common: the kernel drops them when nothing refers to them any more."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self


class Descriptor:
    """An object of the kernel by one of its descriptors; as a context manager, the descriptor is closed at the end."""

    def __init__(self, descriptor: int) -> None:
        """The descriptor is ours from now on."""
        self.descriptor = descriptor
        "-1 when it is closed"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back; idempotent."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
