"""What the balancer is to do: the virtual servers of a configuration, and where their addresses live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from dnslb.model import VirtualServer
from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.model import Config, Globals
from pyvrrp.core.events import IPAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The part of a configuration that matters to the balancer; immutable, a reload compares two of them."""

    virtual_servers: tuple[VirtualServer, ...] = ()
    instances: Mapping[str, frozenset[IPAddress]] = field(default_factory=lambda: MappingProxyType({}))
    "by vrrp_instance the addresses that it holds while it is MASTER"
    devices: Mapping[IPAddress, str] = field(default_factory=lambda: MappingProxyType({}))
    "the interface of each of these addresses"
    peers: frozenset[IPAddress] = frozenset()
    "other balancers, as far as they are named: unicast_peer"
    settings: Globals = field(default_factory=Globals)

    @property
    def addresses(self) -> frozenset[IPAddress]:
        """Of all virtual servers."""
        return frozenset(endpoint.address for server in self.virtual_servers for endpoint in server.endpoints)

    def held(self, instances: frozenset[str]) -> frozenset[IPAddress]:
        """The addresses that are balanced while these instances are MASTER; one that no instance has always is."""
        theirs = frozenset[IPAddress]().union(*self.instances.values())
        return (self.addresses - theirs).union(*(self.instances.get(name, frozenset()) for name in instances))


def setup(config: Config, virtual_servers: tuple[VirtualServer, ...], diagnostics: Diagnostics) -> Setup:
    """Of a configuration, with the virtual servers that were read from it."""
    vips = [vip for instance in config.instances for vip in instance.virtual_addresses]
    devices = {vip.address: vip.device for vip in vips}
    for server in virtual_servers:
        _require_one_link(server, devices, diagnostics)
    return Setup(
        virtual_servers=virtual_servers,
        instances={each.name: frozenset(vip.address for vip in each.virtual_addresses) for each in config.instances},
        devices=devices,
        peers=frozenset(peer.address for each in config.instances for peer in each.unicast_peers),
        settings=config.globals,
    )


def _require_one_link(server: VirtualServer, devices: Mapping[IPAddress, str], diagnostics: Diagnostics) -> None:
    found = dict.fromkeys(devices[each.address] for each in server.endpoints if each.address in devices)
    if len(found) > 1:
        message = f"virtual_server {server.name}: its addresses are on {' and '.join(found)}, its servers on one link"
        hint = "make a virtual_server for each interface"
        diagnostics.error(server.position, "several-interfaces", message, hint, fatal=True)
