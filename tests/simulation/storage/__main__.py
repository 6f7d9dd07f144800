"""Simulate storage: one seed, many, or a history that was kept.

python -m tests.simulation.storage --seeds 10000        many; a summary
python -m tests.simulation.storage --seed 57            one; the timeline, and what went wrong
python -m tests.simulation.storage --seed 57 --save     a violation, made small, kept in histories/
python -m tests.simulation.storage --history tests/simulation/storage/histories/NAME.json
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from tests.simulation.storage.draw import draw
from tests.simulation.storage.history import FILES, History
from tests.simulation.storage.shrink import shrink, violation
from tests.simulation.storage.simulate import run_on_all_processors, simulate


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.storage", description="Simulate DRBD pairs that fail."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="simulate this one and print its timeline")
    what.add_argument("--seeds", type=int, help="simulate so many")
    what.add_argument("--history", type=Path, help="simulate what the file says")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first one of --seeds (default 0)")
    parser.add_argument("--jobs", type=int, help="processes for --seeds (default: one for each processor)")
    parser.add_argument("--save", action="store_true", help="keep a violation of --seed, made small, for the tests")
    options = parser.parse_args()
    if options.seeds is not None:
        return _many(range(options.first, options.first + options.seeds), options.jobs)
    history = draw(options.seed) if options.history is None else History.read(options.history)
    return _one(history, save=options.save)


def _many(seeds: range, jobs: int | None) -> int:
    summary = None
    for summary in run_on_all_processors(seeds, jobs):
        if sys.stderr.isatty():
            done = f"{summary.seeds} of {len(seeds)} histories, {len(summary.failed)} violations"
            print(f"\r{done}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(summary)
    if summary is None or not summary.failed:
        return 0
    print(f"reproduce: python -m tests.simulation.storage --seed {summary.failed[0][0]} --save")
    return 1


def _one(history: History, *, save: bool) -> int:
    found = violation(history)
    if found is None:
        print(simulate(history).cluster.timeline)
        print("every invariant holds")
        return 0
    if save:
        small = shrink(history, found.rule)
        found = violation(small)
        path = FILES / f"{found.rule.replace(' ', '-')}-{history.seed}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{replace(small, why=found.sentence)}\n")
        print(f"{path}: {len(small.faults)} faults; say in `why` what it is kept for")
    print(found)
    return 1


if __name__ == "__main__":
    sys.exit(main())
