"""Which resources of a keepalived.conf have a backup, and which one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from drbdctl.backup.block import BACKUP, KEYWORD, read
from drbdctl.backup.settings import Backup
from drbdctl.status.ask import CONFIG
from drbdctl.storage_block.keywords import KEYWORDS, STORAGE
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.keywords import Keyword
from pyvrrp.config.model import Config
from pyvrrp.config.semantics.values import Values


class Extension:
    """Storage blocks as the language of a file that is read for its backups alone."""

    keywords = tuple(
        replace(each, body=(*each.body, KEYWORD))
        if isinstance(each.body, tuple) and all(inner.name != BACKUP for inner in each.body)
        else each
        for each in KEYWORDS
    )
    instance_keywords: tuple[Keyword, ...] = ()


@dataclass(frozen=True, slots=True)
class Configured:
    """A resource with a backup."""

    resource: str
    drbd_conf: str
    settings: Backup


def configured(config: Config, diagnostics: Diagnostics) -> dict[str, Configured]:
    """The backup of each resource that a `storage` block names; a mistake elsewhere in it is no reason to make none."""
    found: dict[str, Configured] = {}
    for storage in (each for each in config.plugin_blocks if each.name == STORAGE):
        owner = " ".join((STORAGE, *(word.text for word in storage.arguments)))
        inside = Values(owner, storage.body or (), diagnostics, storage.position)
        block = inside.last(BACKUP)
        settings = read(block, owner, diagnostics) if block else None
        if settings is not None:
            file = inside.text("drbd_conf") or CONFIG
            names = [word.text for line in inside.all("drbd_resource") for word in line.arguments]
            found.update({name: Configured(name, file, settings) for name in names})
    return found
