"""What failover.py and soak.py share: nodes, faults, the client that feels them, the observer of the nodes."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "lab"))  # lab_nodes: the tests' library is not installed
