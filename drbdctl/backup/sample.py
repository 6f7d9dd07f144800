"""What goes into every archive beside the files: whose it is, and what a few of its files must read like.

A verify on either node, or on a machine that has nothing but the repository, restores these files and compares.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

MANIFEST = "manifest.json"
FILES = 8
LARGEST = 8 << 20
"bytes of a file that is sampled"
_LOOKED_AT = 50_000
"entries of the tree; more would be a second backup"
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./ -]+")
"names that no program takes for a pattern"


@dataclass(frozen=True, slots=True)
class Sampled:
    """One file of the sample."""

    path: str
    "in the archive: volume-0/mail/inbox"
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """manifest.json of an archive."""

    resource: str
    node: str
    role: str
    at: float
    "when the snapshots were taken, seconds since 1970"
    generation: str
    "DRBD's current UUID of each volume"
    sample: tuple[Sampled, ...]
    schema: int = 1

    def text(self) -> str:
        """As it is written."""
        return json.dumps(asdict(self), indent=1) + "\n"


def read_manifest(content: bytes) -> Manifest:
    """What was written; raises ValueError."""
    try:
        data = json.loads(content)
        sample = tuple(Sampled(str(each["path"]), int(each["size"]), str(each["sha256"])) for each in data["sample"])
        return Manifest(
            resource=str(data["resource"]),
            node=str(data["node"]),
            role=str(data["role"]),
            at=float(data["at"]),
            generation=str(data["generation"]),
            sample=sample,
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{MANIFEST} is not understood ({error!r:.100})") from None


def choose(root: str, paths: list[str], choice: random.Random) -> tuple[Sampled, ...]:
    """Some of the files below `paths` of a directory, each as likely as another, with what they read like."""
    chosen: list[str] = []
    for number, path in enumerate(_files(root, paths)):
        if len(chosen) < FILES:
            chosen.append(path)
        elif (place := choice.randrange(number + 1)) < FILES:
            chosen[place] = path
    return tuple(found for path in sorted(chosen) if (found := _digest(root, path)) is not None)


def differing(root: str, sample: tuple[Sampled, ...]) -> list[str]:
    """What restored files in a directory do not have in common with the sample, a sentence each."""
    wrong = []
    for each in sample:
        found = _digest(root, each.path)
        if found is None:
            wrong.append(f"{each.path} was not restored")
        elif found != each:
            wrong.append(f"{each.path} is not what was saved")
    return wrong


def _files(root: str, paths: list[str]) -> Iterator[str]:
    looked = 0
    waiting = list(reversed(paths))
    while waiting and looked < _LOOKED_AT:
        path = waiting.pop()
        looked += 1
        try:
            found = os.lstat(os.path.join(root, path))
            if stat.S_ISDIR(found.st_mode):
                waiting += [f"{path}/{name}" for name in os.listdir(os.path.join(root, path))]
            elif stat.S_ISREG(found.st_mode) and found.st_size <= LARGEST and _PLAIN.fullmatch(path):
                yield path
        except OSError:  # the program that makes the archive says so
            continue


def _digest(root: str, path: str) -> Sampled | None:
    try:
        content = Path(root, path).read_bytes()
    except OSError:
        return None
    return Sampled(path, len(content), hashlib.sha256(content).hexdigest())
