"""The block `storage NAME { }` of keepalived.conf: keywords, reading, and the checks of what it can't mean."""

from __future__ import annotations

from drbdctl.storage_block.keywords import KEYWORDS, STORAGE
from drbdctl.storage_block.reader import read

__all__ = ["KEYWORDS", "STORAGE", "read"]
