"""global_defs and the keywords of the top level: what the daemon uses, and the defaults of the instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from pyvrrp.config.diagnostics import Diagnostics
from pyvrrp.config.model import NOWHERE, Globals
from pyvrrp.config.semantics import garp, scheduling
from pyvrrp.config.semantics.garp import Garp
from pyvrrp.config.semantics.numbers import decimal, whole
from pyvrrp.config.semantics.values import Values
from pyvrrp.config.statements import Statement
from pyvrrp.core.events import IPAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What an instance has when it does not say otherwise."""

    interface: str = "eth0"
    interface_is_set: bool = False
    version: int = 2
    strict: bool = False
    garp: Garp = field(default_factory=Garp)
    down_timer_adverts: int = 3
    lower_prio_no_advert: bool = False
    higher_prio_send_advert: bool = True
    owner_ignore_adverts: bool = False
    skip_check_adv_addr: bool = False
    check_unicast_src: bool = False
    v3_checksum_as_v2: bool = False
    startup_delay: float = 0.0


def read(statements: Sequence[Statement], diagnostics: Diagnostics) -> tuple[Globals, Defaults]:
    """Read every global_defs block as one, and the top level around it."""
    blocks = [statement for statement in statements if statement.name == "global_defs"]
    position = blocks[0].position if blocks else NOWHERE
    inside = [line for block in blocks for line in block.body or ()]
    values = Values("global_defs", inside, diagnostics, position)
    root = Values("top level", statements, diagnostics, position)
    return _globals(values, root), _defaults(values)


def _globals(values: Values, root: Values) -> Globals:
    garp_interval = values.seconds("vrrp_garp_interval", 0, 4294, 0.0)
    gna_interval = values.seconds("vrrp_gna_interval", 0, 4294, 0.0)
    script_user = values.last("script_user")
    user = [word.text for word in script_user.arguments] if script_user else []
    if script_user and not user:
        values.word("script_user")
    return Globals(
        router_id=values.text("router_id") or "",
        enable_script_security=values.has("enable_script_security"),
        script_user=user[0] if user else None,
        script_group=user[1] if len(user) > 1 else None,
        multicast_group4=_group(values, "vrrp_mcast_group4", 4),
        multicast_group6=_group(values, "vrrp_mcast_group6", 6),
        garp_interval=garp_interval,
        gna_interval=gna_interval,
        garp_intervals=garp.read_groups(root.all("garp_group"), garp_interval, gna_interval, values.diagnostics),
        notify_timeout=values.seconds("notify_timeout", 0.1, 86400, 60.0),
        net_namespace=root.text("net_namespace"),
        instance=root.text("instance"),
        vip_lease=_vip_lease(values),
        guard_timeout=values.seconds("guard_timeout", 0.5, 3600, 0.0) or None,
        metrics_listen=_metrics_listen(values),
        scheduling=scheduling.read(values),
        process_name=values.text("process_name"),
        state_dump_file=values.text("state_dump_file"),
        stats_dump_file=values.text("stats_dump_file"),
    )


def _defaults(values: Values) -> Defaults:
    interface = values.text("default_interface")
    return Defaults(
        interface=interface or "eth0",
        interface_is_set=interface is not None,
        version=values.number("vrrp_version", 2, 3, 2),
        strict=values.has("vrrp_strict"),
        garp=garp.read_globals(values),
        down_timer_adverts=values.number("vrrp_down_timer_adverts", 1, 100, 3),
        lower_prio_no_advert=values.switch("vrrp_lower_prio_no_advert", False),
        higher_prio_send_advert=values.switch("vrrp_higher_prio_send_advert", True),
        owner_ignore_adverts=values.switch("vrrp_owner_ignore_adverts", False),
        skip_check_adv_addr=values.has("vrrp_skip_check_adv_addr"),
        check_unicast_src=values.has("vrrp_check_unicast_src"),
        v3_checksum_as_v2=values.has("v3_checksum_as_v2"),
        startup_delay=values.seconds("vrrp_startup_delay", 0, 4294, 0.0),
    )


def _group(values: Values, name: str, family: int) -> IPAddress | None:
    address = values.address(name)
    if address is None:
        return None
    if address.version == family and address.is_multicast:
        return address
    default = ip_address("224.0.0.18" if family == 4 else "ff02::12")
    values.error(values.at(name), "bad-address", f"{address} is no IPv{family} multicast address, {default} is used")
    return None


def _metrics_listen(values: Values) -> tuple[IPAddress, int] | None:
    address, statement = values.address("metrics_listen"), values.last("metrics_listen")
    if address is None or statement is None:
        return None
    port = whole(statement.arguments[1].text) if len(statement.arguments) > 1 else None
    if port is not None and 1 <= port <= 65535:
        return address, port
    hint = "write 'metrics_listen 127.0.0.1 9165'"
    values.error(statement.position, "bad-number", "'metrics_listen' needs a port in 1-65535, it is ignored", hint)
    return None


def _vip_lease(values: Values) -> float | None:
    word = values.word("vip_lease")
    if word is None or word.text == "auto":
        return None
    if word.text == "off":
        return 0.0
    lease = decimal(word.text)
    if lease is not None and 1 <= lease <= 86400:
        return lease
    values.error(word.position, "bad-number", f"'vip_lease {word}' is not auto, off or 1-86400 seconds, auto is used")
    return None
