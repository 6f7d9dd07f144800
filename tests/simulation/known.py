"""What the simulator has found and nobody has mended yet: names that the invariants excuse, each with its scenario."""

KNOWN: frozenset[str] = frozenset()
