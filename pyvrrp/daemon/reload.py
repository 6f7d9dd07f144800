"""What a reload has to do: the difference between two configurations."""

from __future__ import annotations

from dataclasses import dataclass

from pyvrrp.config.model import Config, VrrpInstance


@dataclass(frozen=True, slots=True)
class Plan:
    """The instances by what becomes of them; those that did not change appear nowhere."""

    removed: tuple[VrrpInstance, ...]
    changed: tuple[tuple[VrrpInstance, VrrpInstance], ...]
    "(before, after): the same virtual router, which keeps its state"
    added: tuple[VrrpInstance, ...]

    def __str__(self) -> str:
        parts = [
            f"{what} {', '.join(instance.name for instance in instances)}"
            for what, instances in (
                ("removed", self.removed),
                ("changed", tuple(after for _, after in self.changed)),
                ("added", self.added),
            )
            if instances
        ]
        return "; ".join(parts) or "no instance changed"


def plan(before: Config, after: Config) -> Plan:
    """Match the instances of two configurations.

    The same virtual router is one with the same interface, family, VRID and cast (keepalived), and the same protocol
    version: its name may change. What instances share (globals) counts as a change of every instance that it touches.
    """
    old = {_identity(instance): instance for instance in before.instances}
    new = {_identity(instance): instance for instance in after.instances}
    everything = before.globals != after.globals
    return Plan(
        removed=tuple(instance for key, instance in old.items() if key not in new),
        changed=tuple(
            (old[key], instance) for key, instance in new.items() if key in old and (everything or old[key] != instance)
        ),
        added=tuple(instance for key, instance in new.items() if key not in old),
    )


def _identity(instance: VrrpInstance) -> tuple[object, ...]:
    return (*instance.key, instance.parameters.version)
