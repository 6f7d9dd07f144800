"""The invariants can fail: each mistake that is made here on purpose is found within so many seeds."""

from dataclasses import replace

import pytest

from pyvrrp.core.advertisement import Advertisement
from pyvrrp.core.events import SendAdvertisement
from pyvrrp.core.tenure import Tenure
from pyvrrp.core.virtual_router import VirtualRouter
from pyvrrp.daemon import addresses
from tests.simulation.draw import draw
from tests.simulation.gates import Storage
from tests.simulation.node import Node
from tests.simulation.shrink import violation


def a_lease_of_30_seconds(patch):
    patch.setattr(addresses, "lease_seconds", lambda *_: 30)


def a_lease_that_is_renewed_though_nothing_was_sent(patch):
    advertise = Node.advertise
    patch.setattr(Node, "advertise", lambda *arguments: advertise(*arguments) or True)


def a_master_that_does_not_notice_that_it_slept(patch):
    patch.setattr(VirtualRouter, "was_deposed", lambda *_: False)


def a_backup_that_does_not_notice_that_it_slept(patch):
    patch.setattr(VirtualRouter, "listens_on", lambda *_: None)


def a_backup_that_waits_for_one_interval_only(patch):
    short = property(lambda self: self.master_adver_int + self.skew_time)
    patch.setattr(VirtualRouter, "master_down_interval", short)


def flip(patch, name):
    """Higher priorities are lower ones."""
    hears = getattr(VirtualRouter, name)

    def flipped(self, advertisement: Advertisement, *rest):
        mirrored = max(1, min(255, 2 * self.effective_priority - advertisement.priority))
        priority = mirrored if advertisement.priority else 0
        return hears(self, replace(advertisement, priority=priority), *rest)

    patch.setattr(VirtualRouter, name, flipped)


def a_master_that_yields_to_lower_priorities(patch):
    flip(patch, "_master_hears")


def a_backup_that_preempts_higher_priorities(patch):
    flip(patch, "_backup_hears")


def a_master_that_is_deposed_without_a_word(patch):
    give_way = VirtualRouter._yield

    def silently(*arguments):
        return [action for action in give_way(*arguments) if not isinstance(action, SendAdvertisement)]

    patch.setattr(VirtualRouter, "_yield", silently)


def a_master_that_answers_for_a_second_after_it_was_relieved(patch):
    patch.setattr("pyvrrp.core.tenure.OVERLAP", 1.0)


def a_master_that_keeps_its_addresses(patch):
    patch.setattr(Tenure, "release", lambda *_, **__: [])


def a_storage_that_two_may_open(patch):
    patch.setattr(Storage, "promote", lambda self, node: node in self.open or not self.open.append(node))


@pytest.mark.parametrize(
    ("mistake", "rule", "seeds"),
    [
        (a_lease_of_30_seconds, "lease", 20),
        (a_lease_that_is_renewed_though_nothing_was_sent, "lease", 200),
        (a_master_that_does_not_notice_that_it_slept, "late", 100),
        (a_backup_that_does_not_notice_that_it_slept, "takeover", 50),
        (a_backup_that_waits_for_one_interval_only, "takeover", 50),
        (a_master_that_yields_to_lower_priorities, "best", 20),
        (a_backup_that_preempts_higher_priorities, "takeover", 20),
        (a_master_that_is_deposed_without_a_word, "neighbours", 200),
        (a_master_that_answers_for_a_second_after_it_was_relieved, "letting go", 20),
        (a_master_that_keeps_its_addresses, "contract", 5),
        (a_storage_that_two_may_open, "storage", 50),
    ],
)
def test_it_is_found(monkeypatch, mistake, rule, seeds):
    mistake(monkeypatch)
    broken = (violation(draw(seed)) for seed in range(seeds))
    assert rule in (found.rule for found in broken if found is not None)
