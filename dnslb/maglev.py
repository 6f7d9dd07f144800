"""The table that spreads buckets over servers: Maglev hashing (NSDI 2016, section 3.4) with weights; pure.

Each server has a permutation of the buckets, from its name alone, and the servers take turns, in proportion to their
weights, to claim the next free bucket of theirs. The same servers give the same table on every node, in whatever order
they are named. A share is exact within half a bucket and N / (2 size) of itself: with 32 servers and 4093 buckets,
0.4 %, and of equal servers none is off by more than one bucket.

Plain Maglev moves more than the buckets of a server that goes, for the later choices of the others shift: at 4093
buckets, with the last server of 32, up to 3 % of all. So the table is made from the configured weights first, and when
a server is down, or at part of its weight, the others keep what they claimed there; only what is released is claimed
anew. The first server that goes moves nothing but its own buckets; with others down already, 1 to 2 % more (measured;
2.5 % as the eighth of 32). A change of the configuration itself moves what plain Maglev does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

from dnslb.forwarding import TABLE_SIZE


def maglev_table(
    weights: Mapping[str, int], configured: Mapping[str, int] | None = None, size: int = TABLE_SIZE
) -> list[str]:
    """The server of each bucket, by name; empty when none has a weight.

    `weights` are those of this moment, 0 or absent for a server that gets nothing; `configured` (default: the same) are
    those of a day when all is well. `size` must be prime. A server whose share is under half a bucket may get none.
    """
    present = _positive(weights)
    if not present:
        return []
    usual = _positive(configured) if configured else present
    claims = _claims(usual, size)
    names = [name for name, _ in present]
    table = [""] * size
    if present == usual:
        for name in names:
            for bucket in claims[name]:
                table[bucket] = name
        return table
    kept = [iter(claims.get(name, ())) for name in names]
    late = []
    for server in _turns(present, size):
        if (bucket := next(kept[server], -1)) >= 0:
            table[bucket] = names[server]
        else:
            late.append(server)
    _claim(table, names, late)
    return table


def _positive(weights: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((name, weight) for name, weight in weights.items() if weight > 0))


@lru_cache(maxsize=256)
def _claims(servers: tuple[tuple[str, int], ...], size: int) -> Mapping[str, Sequence[int]]:
    """The buckets of each server of plain Maglev, in the order in which it claimed them."""
    names = [name for name, _ in servers]
    return dict(zip(names, _claim([""] * size, names, _turns(servers, size)), strict=True))


def _turns(servers: Sequence[tuple[str, int]], size: int) -> list[int]:
    """Who is the next, by position, until all buckets are claimed: turn k of a server comes at (k + 1/2) / weight.

    When a turn comes depends on the server alone, so the others' order stays when one goes. It takes no longer for big
    weights.
    """
    total = sum(weight for _, weight in servers)
    counts = [(2 * size + len(servers)) * weight // (2 * total) + 2 for _, weight in servers]
    moments, positions = [], []
    for position, ((_, weight), count) in enumerate(zip(servers, counts, strict=True)):
        moments += [(2 * turn + 1) / weight for turn in range(count)]
        positions += [position] * count
    order = sorted(range(len(moments)), key=moments.__getitem__)
    return [positions[index] for index in order[:size]]


def _claim(table: list[str], names: Sequence[str], turns: Sequence[int]) -> list[list[int]]:
    """Let each server of `turns` claim the next free bucket ("") of its permutation; what each has claimed."""
    size = len(table)
    permutations = [_permutation(name, size) for name in names]
    candidates = [first for first, _ in permutations]
    claimed: list[list[int]] = [[] for _ in names]
    for server in turns:
        bucket = candidates[server]
        step = permutations[server][1]
        while table[bucket]:
            bucket = (bucket + step) % size
        table[bucket] = names[server]
        claimed[server].append(bucket)
        candidates[server] = bucket
    return claimed


def _permutation(name: str, size: int) -> tuple[int, int]:
    """Where a server begins and by what step it goes on; every step visits all buckets, for the size is prime."""
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8]) % size, int.from_bytes(digest[8:]) % (size - 1) + 1
