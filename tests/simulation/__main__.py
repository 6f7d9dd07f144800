"""Simulate one seed, many, or a scenario file.

python -m tests.simulation --seeds 10000        many; a summary
python -m tests.simulation --seed 57            one; the timeline of what went wrong
python -m tests.simulation --seed 57 --save     the same, made small, as a scenario that the tests replay
python -m tests.simulation --scenario tests/simulation/scenarios/goodbye.json
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from tests.simulation.campaign import run_on_all_processors
from tests.simulation.draw import draw
from tests.simulation.known import KNOWN
from tests.simulation.scenario import FILES, Scenario
from tests.simulation.shrink import shrink, violation


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Simulate clusters that fail.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="simulate this one and print the timeline of a violation")
    what.add_argument("--seeds", type=int, help="simulate so many")
    what.add_argument("--scenario", type=Path, help="simulate what the file says")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first one of --seeds (default 0)")
    parser.add_argument("--jobs", type=int, help="processes for --seeds (default: one for each processor)")
    parser.add_argument("--without", choices=sorted(KNOWN), help="for --seed: as if known.py did not have this entry")
    parser.add_argument("--save", action="store_true", help="keep a violation of --seed, made small, for the tests")
    options = parser.parse_args()
    if options.seeds is not None:
        return _many(range(options.first, options.first + options.seeds), options.jobs)
    if options.scenario is not None:
        return _one(Scenario.read(options.scenario))
    return _one(replace(draw(options.seed), shows=options.without or ""), save=options.save)


def _many(seeds: range, jobs: int | None) -> int:
    summary = None
    for summary in run_on_all_processors(seeds, jobs):
        if sys.stderr.isatty():
            done = f"{summary.seeds} of {len(seeds)} seeds, {len(summary.failed)} violations"
            print(f"\r{done}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(summary)
    if summary is None or not summary.failed:
        return 0
    print(f"reproduce: python -m tests.simulation --seed {summary.failed[0][0]} --save")
    return 1


def _one(scenario: Scenario, *, save: bool = False) -> int:
    known = KNOWN - {scenario.shows}
    found = violation(scenario, known)
    if found is None:
        print("every invariant holds")
        return 0
    if save:
        small = shrink(scenario, found.rule, known)
        found = violation(small, known)
        path = FILES / f"{found.rule.replace(' ', '-')}-{scenario.seed}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{replace(small, why=found.sentence)}\n")
        print(f"{path}: {len(small.machines)} machines, {len(small.faults)} faults; say in `why` what it is kept for")
    print(found)
    return 1


if __name__ == "__main__":
    sys.exit(main())
