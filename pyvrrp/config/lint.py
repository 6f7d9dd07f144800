"""What is wrong with a whole configuration, although each of its blocks is right."""

from __future__ import annotations

from collections.abc import Iterable

from pyvrrp.config.diagnostics import Diagnostics, Position
from pyvrrp.config.model import Config, Notify, SyncGroup, Track, VrrpInstance
from pyvrrp.core.events import IPAddress
from pyvrrp.core.parameters import OWNER


def lint(config: Config, diagnostics: Diagnostics) -> None:
    """Look at how the blocks fit together."""
    _same_virtual_router(config, diagnostics)
    _same_address(config, diagnostics)
    _own_source(config, diagnostics)
    _weights_without_effect(config, diagnostics)
    _unused_scripts(config, diagnostics)
    _script_security(config, diagnostics)


def _same_virtual_router(config: Config, diagnostics: Diagnostics) -> None:
    seen: dict[tuple[str, int, int, bool], VrrpInstance] = {}
    for instance in config.instances:
        other = seen.setdefault(instance.key, instance)
        if other is instance:
            continue
        parameters = instance.parameters
        diagnostics.error(
            instance.position,
            "duplicate-vrid",
            f"vrrp_instance {instance.name} and {other.name} both have virtual_router_id {parameters.vrid} "
            f"with IPv{parameters.family} {'unicast' if instance.unicast else 'multicast'} on {instance.interface}",
            "give each its own; they are not told apart by their peers or their multicast group",
            fatal=True,
        )


def _same_address(config: Config, diagnostics: Diagnostics) -> None:
    seen: dict[tuple[IPAddress, str], VrrpInstance] = {}
    for instance in config.instances:
        for address in instance.virtual_addresses:
            other = seen.setdefault((address.address, address.device), instance)
            if other is not instance:
                diagnostics.warning(
                    instance.position,
                    "shared-address",
                    f"vrrp_instance {instance.name} and {other.name} both have {address.address} on {address.device}: "
                    "when one of them gives it up, it is gone for both",
                    "leave it in one of them",
                )


def _own_source(config: Config, diagnostics: Diagnostics) -> None:
    for instance in config.instances:
        if any(address.address == instance.source for address in instance.virtual_addresses):
            diagnostics.warning(
                instance.position,
                "source-is-virtual",
                f"vrrp_instance {instance.name}: the source address {instance.source} is one of its virtual addresses, "
                "which a BACKUP does not have",
                "use an address that stays on this node",
            )


def _weights_without_effect(config: Config, diagnostics: Diagnostics) -> None:
    weights = {script.name: script.weight for script in config.scripts}

    def weighted(tracks: Iterable[Track]) -> list[Track]:
        return [
            track
            for track in tracks
            if (weights.get(track.name, 0) if track.weight is None and track.kind == "script" else track.weight)
        ]

    def report(track: Track, owner: str, why: str, hint: str) -> None:
        diagnostics.warning(
            track.position, "weight-without-effect", f"{owner}: the weight of {track.name} has no effect, {why}", hint
        )

    grouped = {name: group for group in config.sync_groups for name in group.members}
    for instance in config.instances:
        owner, group = f"vrrp_instance {instance.name}", grouped.get(instance.name)
        for track in weighted(instance.tracks):
            if instance.parameters.priority == OWNER:
                report(track, owner, "the address owner's priority stays 255", "write a priority below 255")
            elif group is not None and not group.sync_group_tracking_weight:
                report(
                    track,
                    owner,
                    f"it is a member of vrrp_sync_group {group.name}",
                    "track it in the group, or write sync_group_tracking_weight there",
                )


def _unused_scripts(config: Config, diagnostics: Diagnostics) -> None:
    tracked = {track.name for track in _tracks(config) if track.kind == "script"}
    for script in config.scripts:
        if script.name not in tracked:
            diagnostics.warning(
                script.position,
                "unused-script",
                f"vrrp_script {script.name} is never run, nothing tracks it",
                f"write 'track_script {{ {script.name} }}' in a vrrp_instance",
            )


def _script_security(config: Config, diagnostics: Diagnostics) -> None:
    """What `keepalived -t` returns 6 for."""
    if config.globals.enable_script_security:
        return
    tracked = {track.name for track in _tracks(config) if track.kind == "script"}
    runs: list[Position] = [script.position for script in config.scripts if script.name in tracked]
    runs += [owner.position for owner in _owners(config) if owner.notify != Notify()]
    if runs:
        diagnostics.warning(
            min(runs),
            "script-security",
            "scripts are run without enable_script_security",
            "write 'enable_script_security' and 'script_user USER' in global_defs",
        )


def _owners(config: Config) -> tuple[VrrpInstance | SyncGroup, ...]:
    return (*config.instances, *config.sync_groups)


def _tracks(config: Config) -> Iterable[Track]:
    return (track for owner in _owners(config) for track in owner.tracks)
