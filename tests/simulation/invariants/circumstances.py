"""What has to be known of a cluster to judge it: what was disturbed when, and who could know what."""

from collections.abc import Collection
from typing import NoReturn

from tests.simulation.bounds import Bounds
from tests.simulation.cluster import Cluster
from tests.simulation.node import Node


class Violation(AssertionError):
    """An invariant that does not hold: which, when, how; the timeline; how to see it again."""

    def __init__(self, rule: str, cluster: Cluster, sentence: str) -> None:
        again = f"reproduce: python -m tests.simulation --seed {cluster.seed}"
        super().__init__(f"{rule}: at {cluster.now:.4f}: {sentence}\n{cluster.timeline}\n{again}")
        self.rule = rule
        self.sentence = sentence


class Circumstances:
    """Times in seconds of the world."""

    def __init__(self, cluster: Cluster, known: Collection[str]) -> None:
        self.cluster = cluster
        self.bounds = Bounds.of(cluster)
        self.known = known
        "the entries of known.py that are not held against anybody"
        self.nodes = {node.name: node for node in cluster.nodes}
        self.configured = [(node, each) for node in cluster.nodes for each in node.parameters.values()]
        self.vrids = sorted({each.vrid for _, each in self.configured})
        self.faults = 0
        "how many are at work"
        self.disturbed = 0.0
        "when something last happened that the nodes have to find their way out of"
        self.unsettled = dict.fromkeys(self.nodes, 0.0)
        "the same, of one node"
        self.slept = dict.fromkeys(self.nodes, 0.0)
        "when a node last went on after a standstill"

    def disturb(self, *nodes: Node) -> None:
        """Something happens, to these nodes."""
        self.disturbed = self.cluster.now
        for node in nodes:
            self.unsettled[node.name] = self.cluster.now

    def look(self) -> None:
        """Faults that are at work disturb all the time."""
        if self.faults:
            self.disturbed = self.cluster.now
        else:
            self.disturbed = max(self.disturbed, self.cluster.network.last_trouble)

    @property
    def at_rest(self) -> bool:
        """By now everything must have found its place."""
        return not self.faults and self.cluster.now > self.disturbed + self.bounds.settling

    def troubled(self, one: Node, other: Node) -> float:
        """Until when the network failed between two nodes."""
        trouble = self.cluster.network.trouble
        return max(trouble.get((one.name, other.name), 0.0), trouble.get((other.name, one.name), 0.0))

    def fail(self, rule: str, sentence: str) -> NoReturn:
        raise Violation(rule, self.cluster, sentence)
