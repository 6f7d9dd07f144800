"""The kept inputs, and a few thousand new ones from the same mutator; `make fuzz` and fuzz.py do more of it."""

from collections import Counter
from random import Random

import pytest

from pyvrrp.core.discard import DiscardReason
from tests.fuzz.targets import CORPUS, TARGETS

# Each about a second.
COUNTS = {
    "packet": 20_000,
    "configuration": 400,
    "netlink": 4_000,
    "control": 15_000,
    "dns": 5_000,
    "drbd": 800,
    "http": 20_000,
    "journal": 800,
}
KEPT = [(name, file) for name, target in TARGETS.items() for file in target.corpus()]


def test_every_corpus_has_its_target():
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)


@pytest.mark.parametrize(("name", "file"), KEPT, ids=["/".join(kept) for kept in KEPT])
def test_kept_input(name, file):
    assert TARGETS[name].checked(TARGETS[name].corpus()[file])


@pytest.mark.parametrize("reason", DiscardReason)
def test_kept_packet_is_counted_under_its_name(reason):
    packet = TARGETS["packet"]
    assert packet.run(packet.corpus()[reason.value]) == (reason.value,)


@pytest.mark.parametrize("name", TARGETS)
def test_new_inputs(name):
    target, random, outcomes = TARGETS[name], Random(2026), Counter()
    seeds = target.seeds()
    for number in range(COUNTS[name]):
        data = target.mutate(random, seeds)
        try:
            outcomes.update(target.checked(data))
        except Exception as error:
            error.add_note(f"input {number}: {data!r}")
            raise
    assert set(REACHED[name]) <= set(outcomes), "the mutator does not come so far any more"


REACHED = {
    "packet": [
        *(reason.value for reason in DiscardReason),
        "accepted, BACKUP: BACKUP with 0 actions",
        "accepted, MASTER: BACKUP with 3 actions",
        "accepted, MASTER: MASTER with 3 actions",
        "accepted, acquiring: BACKUP with 2 actions",
        "accepted, handing over: BACKUP with 2 actions",
    ],
    "configuration": ["1 instances", "2 instances", "nothing to run", "bad-address", "unused-check", "bad-generator"],
    "netlink": ["Address", "Link", "Gone", "NoneType", "refused by the kernel", "end of a dump", "no message"],
    "control": ["ok", "not a", "unknown method", "a request", "`instances` is", "nothing to"],
    "dns": ["malformed", "healthy: NOERROR", "healthy: truncated answer", "not healthy: missing in the answer"],
    "drbd": [
        "proc: promotes",
        "proc: refuses",
        "json: promotes",
        "json: refuses",
        "b'j' refused",
        "events: a gap",
        "get-gi: 1 volumes",
    ],
    "http": [
        "request",
        "the head does not end in an empty line",
        "the first line is not METHOD TARGET HTTP/1.1",
        "the target does not begin with a slash",
        "a header is not NAME: VALUE",
    ],
    "journal": ["1 entries, MASTER adopted", "1 entries, nothing adopted", "0 entries, nothing adopted", "1 trackers"],
}
