"""The short form of tests/vm/ledger.py: some faults of each kind, one after the other, under a client that writes."""

from random import Random

import pytest

from tests.vm.faults import both_cut, planned_move, power_of_the_server, server_frozen
from tests.vm.ledger import Ledger


@pytest.fixture
def networks() -> int:
    return 2


def test_nothing_is_lost_and_never_do_two_write(lab) -> None:
    ledger, chance = Ledger(lab, every=0.2), Random(3)
    for fault in (power_of_the_server, both_cut, planned_move, server_frozen):
        line = ledger.suffer(fault, chance)
        print(line)
        assert line.trouble == "", fault.__name__
    ledger.writers.stop()
    assert ledger.writers.samples > 10
