"""Long runs: `tests/fuzz/fuzz.py packet --count 10000000`; `--atheris`, where that is installed, is guided by coverage.

An input that ends in an exception, or takes too long, is written to the working directory and named; the target's next
step is a file in tests/fuzz/corpus and a unit test.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import multiprocessing
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


def main() -> None:
    logging.disable()  # what the parsers say of an input is not looked at, and would slow them down
    if "--atheris" in sys.argv:
        _guided()
    arguments = _parser().parse_args()
    started = time.monotonic()
    share = -(-arguments.count // arguments.processes) if arguments.count else 0
    work = [(arguments.target, arguments.seed + each, share, arguments.seconds) for each in range(arguments.processes)]
    if len(work) == 1:
        results = [_fuzz(*work[0])]
    else:
        with multiprocessing.Pool(len(work)) as pool:
            results = pool.starmap(_fuzz, work)
    _report(arguments, results, time.monotonic() - started)
    sys.exit(any(failures for _, _, failures in results))


def _targets() -> dict[str, Target]:
    from tests.fuzz.targets import TARGETS

    return TARGETS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Feed a parser with inputs that are nearly right.")
    parser.add_argument("target", choices=_targets())
    parser.add_argument("--count", type=int, default=0, help="inputs, all processes together (0: by time alone)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each process, where no --count is given")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--atheris", action="store_true", help="coverage-guided, for --seconds")
    return parser


def _fuzz(name: str, seed: int, count: int, seconds: float) -> tuple[int, Counter[str], int]:
    """Inputs tried, their outcomes, and how many different failures there were."""
    target, random = _targets()[name], Random(seed)
    seeds, outcomes, failures = target.seeds(), Counter[str](), set[str]()
    tried, until = 0, time.monotonic() + seconds
    while tried < count if count else time.monotonic() < until:
        data = target.mutate(random, seeds)
        tried += 1
        try:
            outcomes.update(target.checked(data))
        except Exception as error:
            place = "".join(traceback.format_tb(error.__traceback__)[-1:])
            if place not in failures:
                failures.add(place)
                traceback.print_exc()
                print(f"saved as {_save(name, data)}", file=sys.stderr)
            outcomes[f"FAILED: {type(error).__name__}"] += 1
    return tried, outcomes, len(failures)


def _save(name: str, data: bytes) -> Path:
    path = Path(f"fuzz-{name}-{hashlib.sha256(data).hexdigest()[:12]}")
    path.write_bytes(data)
    return path


def _report(arguments: argparse.Namespace, results: list[tuple[int, Counter[str], int]], elapsed: float) -> None:
    tried = sum(count for count, _, _ in results)
    outcomes: Counter[str] = sum((counted for _, counted, _ in results), Counter())
    print(
        f"{arguments.target}: {tried} inputs in {elapsed:.0f} s ({tried / elapsed:.0f} a second), seed {arguments.seed}"
    )
    for outcome, count in outcomes.most_common():
        print(f"{count:>12} {100 * count / tried:7.3f} %  {outcome}")


def _guided() -> None:
    """libFuzzer, with the parsers instrumented as they are imported; it never returns."""
    import atheris  # type: ignore[import-not-found, unused-ignore]

    with atheris.instrument_imports(include=["pyvrrp", "dnslb", "drbdctl", "dns"]):
        arguments = _parser().parse_args()
        target = _targets()[arguments.target]
        seeds = target.seeds()
        for seed in seeds:
            target.run(seed)  # some import more when they are used
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{target.name}-"))
    for number, seed in enumerate(seeds):
        (corpus / f"seed{number:04}").write_bytes(seed)
    random = Random()

    def mutated(data: bytes, max_size: int, seed: int) -> bytes:
        random.seed(seed)
        if seed % 2:
            return bytes(atheris.Mutate(data, max_size))
        return target.mutate(random, [data or seeds[0], random.choice(seeds)])[:max_size]

    options = [f"-max_total_time={arguments.seconds:.0f}", f"-seed={arguments.seed}", "-max_len=4096"]
    atheris.Setup([sys.argv[0], str(corpus), *options], target.checked, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
