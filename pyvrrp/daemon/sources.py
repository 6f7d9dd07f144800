"""The addresses to advertise from, remembered until something changes: each takes a look at thousands of VIPs."""

from __future__ import annotations

from collections.abc import Set

from pyvrrp.config.model import VrrpInstance
from pyvrrp.core.events import IPAddress
from pyvrrp.host.netlink import Netlink


class Sources:
    """One for all instances; `forget` what it knows when a link, an address that is no VIP, or the VIPs change."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, IPAddress | None, bool], IPAddress | None] = {}

    def forget(self) -> None:
        """Look again."""
        self._known.clear()

    def of(self, config: VrrpInstance, netlink: Netlink, vips: Set[IPAddress]) -> IPAddress | None:
        """The address that an instance advertises from, which is none of `vips`; None: there is none, a FAULT."""
        key = (config.interface, config.parameters.family, config.source, config.track_source)
        if key not in self._known:
            self._known[key] = _look(config, netlink, vips)
        return self._known[key]


def _look(config: VrrpInstance, netlink: Netlink, vips: Set[IPAddress]) -> IPAddress | None:
    if config.source is None:
        return netlink.primary_address(config.interface, config.parameters.family, vips)
    present = any(each.address == config.source for each in netlink.addresses(config.interface))
    return config.source if present or not config.track_source else None
