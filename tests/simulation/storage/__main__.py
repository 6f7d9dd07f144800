"""Simulate storage: one seed, or many.

python -m tests.simulation.storage --seeds 10000     many; a summary
python -m tests.simulation.storage --seed 57         one; the timeline, and what went wrong
"""

import argparse
import sys

from tests.simulation.storage.draw import draw
from tests.simulation.storage.invariants import Violation
from tests.simulation.storage.simulate import run_on_all_processors, simulate


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.storage", description="Simulate DRBD pairs that fail."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="simulate this one and print its timeline")
    what.add_argument("--seeds", type=int, help="simulate so many")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first one of --seeds (default 0)")
    parser.add_argument("--jobs", type=int, help="processes for --seeds (default: one for each processor)")
    options = parser.parse_args()
    if options.seed is not None:
        return _one(options.seed)
    summary = None
    for summary in run_on_all_processors(range(options.first, options.first + options.seeds), options.jobs):
        if sys.stderr.isatty():
            done = f"{summary.seeds} of {options.seeds} histories, {len(summary.failed)} violations"
            print(f"\r{done}", end="", file=sys.stderr, flush=True)
    print(summary)
    if summary is None or not summary.failed:
        return 0
    print(f"reproduce: python -m tests.simulation.storage --seed {summary.failed[0][0]}")
    return 1


def _one(seed: int) -> int:
    try:
        found = simulate(draw(seed))
    except Violation as violation:
        print(violation)
        return 1
    print(found.cluster.timeline)
    print("every invariant holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
