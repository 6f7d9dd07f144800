"""`virtual_server` and `virtual_server_group`: from blocks of the file to dnslb.model.

Every daemon loads the keywords, only one that has such a block the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnslb.config.keywords import KEYWORDS, VIRTUAL_SERVER
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.model import Config

if TYPE_CHECKING:
    from dnslb.model import VirtualServer

__all__ = ["KEYWORDS", "read"]


def read(config: Config, diagnostics: Diagnostics) -> tuple[VirtualServer, ...]:
    """The virtual servers of a configuration; one that can't be served is left out, its error is fatal."""
    from dnslb.config import endpoints, virtual_server
    from dnslb.config.lint import lint

    blocks = config.plugin_blocks
    groups = endpoints.groups(blocks, diagnostics)
    found = [virtual_server.read(each, groups, diagnostics) for each in blocks if each.name == VIRTUAL_SERVER]
    servers = tuple(each for each in found if each is not None)
    lint(servers, config, diagnostics)
    return servers
