"""vrrp_instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.model import Track, VirtualAddress, VrrpInstance, VrrpScript
from pyvrrp.config.semantics import addresses, authentication, election, tracks, transport
from pyvrrp.config.semantics.commands import notify
from pyvrrp.config.semantics.global_defs import Defaults
from pyvrrp.config.semantics.numbers import whole
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement

_MOST_ADVERTISED = {4: 255, 6: 89}
"addresses in one advertisement by family: the count is 8 bits; 89 is what keepalived puts into an MTU of 1500"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the instances share."""

    defaults: Defaults
    scripts: Mapping[str, VrrpScript]
    plugin_tracks: Sequence[str] = ()
    "the `track_*` keywords of plugins"


def name_of(block: Statement, diagnostics: Diagnostics) -> str | None:
    """The single name after vrrp_instance or vrrp_sync_group; keepalived skips a block without one."""
    if len(block.arguments) == 1 and block.arguments[0].text:
        return block.arguments[0].text
    said = "has no name" if not block.arguments else "has more than one name"
    diagnostics.error(
        block.position, "missing-name", f"{block.name} {said}, the block is ignored", f"write '{block.name} NAME {{'"
    )
    return None


def read(block: Statement, name: str, context: Context, diagnostics: Diagnostics) -> VrrpInstance | None:
    """One instance; None when it must not or can't be run, which has been reported."""
    values = Values(f"vrrp_instance {name}", block.body or (), diagnostics, block.position)
    defaults = context.defaults
    vrid = _vrid(values)
    interface = _interface(values, defaults)
    strict = values.switch("strict_mode", defaults.strict)
    family = _family(values)
    virtual_addresses = _virtual_addresses(values, interface or defaults.interface, family)
    version = election.version(values, family, defaults)
    authenticated = authentication.read(values, version=version, strict=strict)
    _report_without_addresses(values, virtual_addresses, version, strict)
    routed = transport.read(values, family, defaults)
    protocol = election.Protocol(
        vrid=vrid or 1,
        version=version,
        family=family,
        addresses=tuple(address.address for address in virtual_addresses if not address.excluded),
        strict=strict,
        header_authentication=authenticated is not None and authenticated.auth_type == "AH",
    )
    parameters = election.parameters(values, protocol, defaults)
    instance = VrrpInstance(
        name=name,
        interface=interface or defaults.interface,
        parameters=parameters,
        virtual_addresses=virtual_addresses,
        authentication=authenticated,
        v3_checksum_as_v2=values.has("v3_checksum_as_v2") or defaults.v3_checksum_as_v2,
        source=routed.source,
        track_source=routed.track_source,
        multicast_group=routed.multicast_group,
        unicast_peers=routed.unicast_peers,
        unicast=routed.unicast,
        unicast_ttl=routed.unicast_ttl,
        unicast_fault_no_peer=routed.unicast_fault_no_peer,
        check_unicast_src=routed.check_unicast_src,
        dont_track_primary=values.has("dont_track_primary"),
        tracks=tuple(read_tracks(values, context)),
        notify=notify(values),
        kernel_rx_buf_size=values.number("kernel_rx_buf_size", 0, 2**31 - 1, 0) or None,
        position=block.position,
    )
    _report_first_address(values, instance, strict)
    if strict:
        _report_strict(values, instance)
    if values.has("auth_hmac"):
        values.error(
            values.at("auth_hmac"),
            "auth-hmac",
            "auth_hmac is not supported yet, and without it the instance is not run",
            "remove auth_hmac on all routers, or keep keepalived for this instance",
        )
        return None
    return instance if vrid and interface else None


def _vrid(values: Values) -> int | None:
    word = values.word("virtual_router_id")
    vrid = whole(word.text) if word else None
    if vrid is not None and 1 <= vrid <= 255:
        return vrid
    values.error(
        word.position if word else values.position,
        "missing-virtual-router-id",
        f"'virtual_router_id {word}' is not a whole number in 1-255" if word else "it has no virtual_router_id",
        "write 'virtual_router_id N', 1-255, the same on all routers of this address",
        fatal=True,
    )
    return None


def _interface(values: Values, defaults: Defaults) -> str | None:
    interface = values.text("interface")
    if interface:
        return interface
    if values.has("unicast_src_ip") and values.has("unicast_peer"):
        values.warning(
            values.position,
            "missing-interface",
            f"it has no interface, the default_interface {defaults.interface} is used",
            f"write 'interface {defaults.interface}'",
        )
        return defaults.interface
    values.error(
        values.position,
        "missing-interface",
        "it has no interface",
        f"write 'interface {defaults.interface}', or the one that it shall use",
        fatal=True,
    )
    return None


def _family(values: Values) -> int:
    """That of the first VIP; without one, of native_ipv6 and of the transport's addresses."""
    for line in values.lines("virtual_ipaddress"):
        if found := addresses.family(line):
            if found == 4 and values.has("native_ipv6"):
                values.error(
                    values.at("native_ipv6"), "family-mismatch", "native_ipv6 with IPv4 addresses, the line is ignored"
                )
            return found
    return 6 if values.has("native_ipv6") else transport.family(values) or 4


def _virtual_addresses(values: Values, device: str, family: int) -> tuple[VirtualAddress, ...]:
    """The advertised ones, then the excluded; each address once per device."""
    advertised = addresses.read(values.lines("virtual_ipaddress"), device, values, family=family)
    most = _MOST_ADVERTISED[family]
    if len(advertised) > most:
        values.warning(
            values.at("virtual_ipaddress"),
            "too-many-addresses",
            f"{len(advertised)} addresses, an advertisement carries {most}: "
            f"the last {len(advertised) - most} are not advertised",
            "write them into virtual_ipaddress_excluded",
        )
    surplus = [replace(address, excluded=True) for address in advertised[most:]]
    excluded = addresses.read(values.lines("virtual_ipaddress_excluded"), device, values)
    unique: dict[tuple[object, str], VirtualAddress] = {}
    for address in (*advertised[:most], *surplus, *excluded):
        if (address.address, address.device) in unique:
            values.warning(
                values.at("virtual_ipaddress_excluded" if address.excluded else "virtual_ipaddress"),
                "duplicate-address",
                f"{address.address} stands here twice, the first line counts",
                "remove one of them",
            )
        unique.setdefault((address.address, address.device), address)
    return tuple(unique.values())


def _report_without_addresses(
    values: Values, virtual_addresses: Sequence[VirtualAddress], version: int, strict: bool
) -> None:
    if any(not address.excluded for address in virtual_addresses):
        return
    if strict or (version == 3 and not values.has("no_virtual_ipaddress")):
        values.error(
            values.position,
            "no-addresses",
            f"{'strict mode' if strict else 'VRRPv3'} needs at least one address in virtual_ipaddress",
            "write one" if strict else "write one, or 'no_virtual_ipaddress'",
            fatal=True,
        )
    elif not values.has("no_virtual_ipaddress"):
        values.warning(
            values.position,
            "no-addresses",
            "it has no address in virtual_ipaddress",
            "write one, or 'no_virtual_ipaddress' where a notify script moves the service",
        )


def read_tracks(values: Values, context: Context) -> list[Track]:
    """The `track_*` blocks of an instance or a group."""
    found = tracks.read(values, "track_script", context.scripts)
    found += tracks.read(values, "track_interface", default=0)
    for keyword in context.plugin_tracks:
        found += tracks.read(values, keyword)
    return found


def _report_first_address(values: Values, instance: VrrpInstance, strict: bool) -> None:
    """RFC 9568 section 5.2.9: the first IPv6 address of an advertisement is the link-local one."""
    parameters = instance.parameters
    if parameters.family == 4 or not parameters.addresses or parameters.addresses[0].is_link_local:
        return
    report, must = (values.error, "strict mode: the first") if strict else (values.warning, "the first")
    report(
        values.at("virtual_ipaddress"),
        "not-link-local",
        f"{must} IPv6 address must be link-local, {parameters.addresses[0]} is not",
        "write one first, the same on all routers: fe80::1",
    )


def _report_strict(values: Values, instance: VrrpInstance) -> None:
    parameters, off = instance.parameters, "remove it, or write 'strict_mode off'"
    if instance.unicast:
        values.warning(values.at("unicast_peer"), "strict-mode", "strict mode does not allow unicast", off)
    if values.has("accept") and parameters.version == 2 and parameters.priority < 255:
        values.error(
            values.at("accept"), "strict-mode", "strict mode has no accept in VRRPv2, keepalived resets it", off
        )
    if parameters.priority < 255 and not (values.has("accept") and parameters.version == 3):
        values.warning(
            values.at("strict_mode"),
            "strict-no-accept",
            "strict mode: keepalived drops packets to the addresses of a router that is not their owner; "
            "here they are answered",
            "write 'strict_mode off' unless the other routers need it",
        )
