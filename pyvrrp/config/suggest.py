"""What somebody who wrote an unknown word probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The known word nearest to `word`, or None when nothing is near.

    The same word in other letter case comes first, then the fewest inserted, removed, replaced or exchanged
    letters (restricted Damerau-Levenshtein distance); of equals, the first in `known`.
    """
    candidates = list(known)
    folded = word.casefold()
    for candidate in candidates:
        if candidate.casefold() == folded:
            return candidate
    best, limit = None, 0 if len(word) < 3 else 1 if len(word) < 5 else 2 if len(word) < 9 else 3
    for candidate in candidates:
        # Half of the letters must be right: no answer is better than a far-fetched one.
        if (distance := _distance(folded, candidate.casefold(), limit)) <= limit and distance * 2 <= len(candidate):
            best, limit = candidate, distance - 1
            if limit < 1:
                break
    return best


def _distance(left: str, right: str, limit: int) -> int:
    """The edit distance, or limit + 1 as soon as it is known to be greater."""
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left):
        above, row = row, [i + 1]
        for j, b in enumerate(right):
            cost = min(above[j + 1] + 1, row[j] + 1, above[j] + (a != b))
            if i and j and a == right[j - 1] and left[i - 1] == b:
                cost = min(cost, before[j - 1] + 1)
            row.append(cost)
        if min(row) > limit and min(above) > limit:
            return limit + 1
        before = above
    return row[-1]
