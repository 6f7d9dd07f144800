"""From a file, or a text, to the model with everything that is to be said about it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyvrrp.config.diagnostics import Diagnostics, Position
from pyvrrp.config.lint import lint
from pyvrrp.config.model import Config
from pyvrrp.config.reader import Source, read, read_text
from pyvrrp.config.semantics import Extension, build


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, the findings about it, and the files that it was read from."""

    config: Config
    diagnostics: Diagnostics
    files: tuple[str, ...]


def load(
    path: str,
    *,
    config_id: str | None = None,
    plugins: Sequence[Extension] = (),
    environ: Mapping[str, str] = os.environ,
    instance: str | None = None,
) -> Loaded:
    """Read a keepalived.conf with its includes; OSError when the file itself can't be read.

    `config_id` is what `@ID` lines are compared with (None: the host's name without its domain), `instance` is
    `${_INSTANCE}`.
    """
    diagnostics = Diagnostics()
    source = read(path, diagnostics, config_id=_config_id(config_id), instance=instance, environ=environ)
    return _loaded(source, path, diagnostics, plugins)


def load_text(
    text: str,
    *,
    name: str = "<text>",
    config_id: str | None = None,
    plugins: Sequence[Extension] = (),
    environ: Mapping[str, str] = os.environ,
    instance: str | None = None,
) -> Loaded:
    """The same from a string; `name` stands for the file in positions."""
    diagnostics = Diagnostics()
    source = read_text(
        text, diagnostics, name=name, config_id=_config_id(config_id), instance=instance, environ=environ
    )
    return _loaded(source, name, diagnostics, plugins)


def _config_id(config_id: str | None) -> str:
    return socket.gethostname().partition(".")[0] if config_id is None else config_id


def _loaded(source: Source, name: str, diagnostics: Diagnostics, plugins: Sequence[Extension]) -> Loaded:
    config = build(source.statements, diagnostics, plugins)
    lint(config, diagnostics)
    alone = {keyword.name for plugin in plugins for keyword in plugin.keywords if keyword.alone}
    if not config.instances and not any(block.name in alone for block in config.plugin_blocks):
        diagnostics.error(
            source.statements[-1].position if source.statements else Position(name, 1),
            "nothing-to-run",
            "there is no vrrp_instance that can be run",
            "write one, or mend what is reported about it",
            fatal=True,
        )
    return Loaded(config, diagnostics, source.files)
