"""How much of what must not be has to be allowed, and why: the numbers of the invariants, all of them here.

Seconds of the world. A machine whose clock runs slow takes longer for everything it times, so what is configured is
divided by the slowest rate.
"""

from dataclasses import dataclass
from typing import Self

from pyvrrp.core.parameters import Parameters
from pyvrrp.core.tenure import OVERLAP
from tests.simulation.cluster import Cluster
from tests.simulation.network import DELAY
from tests.simulation.node import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The limits of one cluster."""

    contention: float
    """How long two MASTERs that run and hear each other both hold the addresses.

    Each advertises once in its advert_int, and one packet that arrives decides: the one with the lower priority steps
    down on hearing the other, or makes the other answer at once. So: one interval, the packet's way there and the
    answer's way back, OVERLAP for which the one that was relieved goes on answering, and the kernel calls. It counts
    from the end of what kept them from hearing each other: a partition, a loss, a pause, a firewall.
    """
    letting_go: float
    """From the end of being MASTER to the end of the addresses, on a machine that runs: OVERLAP, and kernel calls.

    One that slept too long does that before anything else; what it had still to do, at the worst to put the addresses
    on, comes before it.
    """
    listening: float
    "How long a BACKUP has listened to a living MASTER before its timer may say that there is none: one interval."
    settling: float
    """From the end of the last fault until one node, and one only, is MASTER, serves, and stays.

    Master_Down_Interval to find out that the MASTER is gone, or until the best one, whose timer goes on while it hears
    lower priorities, preempts; one interval for contention. With preempt_delay that, and Master_Down_Interval again
    after the delay. With gates: a wrong one may have to time out (gate_timeout) and cool down, each of the two has to
    be closed and opened, and a second (the runner's pause) is lost when closing failed. And what a process held that
    died counts until its lease ends.
    """
    naming: float
    """The same, until the neighbours ask that one.

    Who takes over by mistake is answered at once, so its announcement comes after the MASTER's; when it then dies
    before it has heard the answer, the MASTER's second burst, garp_lower_prio_delay later, puts it right.
    """

    @classmethod
    def of(cls, cluster: Cluster) -> Self:
        parameters = [each for node in cluster.nodes for each in node.parameters.values()]
        slowest = min(node.traits.rate for node in cluster.nodes)
        interval = max(each.advert_int for each in parameters) / slowest
        kernel = max(node.traits.kernel_takes for node in cluster.nodes)
        down = max(_longest_wait(each, interval) for each in parameters) / slowest
        delay = max(each.preempt_delay for each in parameters) / slowest
        preemption = delay + down if delay else 0.0
        gates = 0.0
        if any(each.gated for each in parameters):
            takes = max(node.traits.gate_takes for node in cluster.nodes)
            gates = max(each.gate_timeout + each.gate_cool_down for each in parameters) / slowest + 4 * takes + 1.0
        lease = max(lease_bound(node, each) for node in cluster.nodes for each in node.parameters.values()) / slowest
        settling = max(down + interval + preemption + gates, lease)
        return cls(
            contention=interval + 2 * DELAY[1] + OVERLAP + 4 * kernel,
            letting_go=OVERLAP + 4 * kernel,
            listening=interval + DELAY[1],
            settling=settling,
            naming=settling + max(each.garp_lower_prio_delay for each in parameters) / slowest,
        )


def lease_bound(node: Node, parameters: Parameters) -> float:
    """How long the addresses may outlive the last advertisement, on the machine's own clock.

    No longer than the peers' shortest wait (down_timer_adverts intervals, without skew), but the kernel counts whole
    seconds, so 1 s at least; and the kernel is late (measured, see pyvrrp.host.leases). The first lease begins when the
    kernel has it: a call after the advertisement, or, behind gates, up to an interval later.

    A peer that heard the last advertisement waits for those intervals and its skew time, so a holder that died or
    hangs overlaps with its successor by the kernel's lateness less skew_time, at the default interval; below 1/3 s by
    what is missing to the second, too.
    """
    wait = max(1.0, parameters.down_timer_adverts * parameters.advert_int)
    if parameters.gated:
        wait += parameters.advert_int
    return wait + (node.traits.lateness[1] + node.traits.kernel_takes) * node.traits.rate


def _longest_wait(parameters: Parameters, interval: float) -> float:
    """Master_Down_Interval for priority 1 and the longest interval that may be learnt."""
    return parameters.down_timer_adverts * interval + (1.0 if parameters.version == 2 else interval)
