"""drbd.conf of DRBD 8.3, 8.4 and 9, with its includes, to one immutable model."""

from __future__ import annotations

from dataclasses import dataclass

from drbdctl.drbd_conf.build import build
from drbdctl.drbd_conf.model import Config
from drbdctl.drbd_conf.reader import Comment, Source, read_file, read_text
from pyvrrp.config.diagnostics import Diagnostics


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read, from which files, and what is wrong with it."""

    config: Config
    diagnostics: Diagnostics
    files: tuple[str, ...]
    comments: tuple[Comment, ...]


def load(path: str) -> Loaded:
    """Read a file and what it includes.

    Raises OSError when the file itself can't be read; everything else is a diagnostic.
    """
    diagnostics = Diagnostics()
    return _loaded(read_file(path, diagnostics), diagnostics)


def loads(text: str, *, name: str = "drbd.conf") -> Loaded:
    """The same for a text; it raises nothing."""
    diagnostics = Diagnostics()
    return _loaded(read_text(text, diagnostics, name=name), diagnostics)


def _loaded(source: Source, diagnostics: Diagnostics) -> Loaded:
    config = build(source, diagnostics)
    return Loaded(config, diagnostics, tuple(source.files), tuple(source.comments))
