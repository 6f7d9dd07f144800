"""The invariants of the storage simulator can fail: each mistake that is made here on purpose is found."""

from dataclasses import replace
from itertools import chain

import pytest

from drbdctl.failover import evidence, fitness, planner, takeover
from drbdctl.failover.budget import Budget
from drbdctl.failover.events import Closed, Opened
from drbdctl.failover.machine import Failover
from drbdctl.failover.memory import Memory
from drbdctl.failover.plan import Plan, Promote
from drbdctl.failover.refusal import Refusal, Verdict
from drbdctl.failover.rules import PROMOTION
from drbdctl.failover.seen import Seen
from pyvrrp.core.tenure import Tenure
from pyvrrp.core.virtual_router import VirtualRouter
from tests.simulation.storage.draw import draw
from tests.simulation.storage.drbd import Replica
from tests.simulation.storage.history import FILES, History
from tests.simulation.storage.shrink import violation


def without(*rules):
    """A mistake: these rules of a promotion are not asked."""

    def forget(patch):
        names = {each.__name__ for each in PROMOTION}
        assert set(rules) <= names
        kept = tuple(each for each in PROMOTION if each.__name__ not in rules)
        patch.setattr(planner, "PROMOTION", kept)
        patch.setattr(fitness, "PROMOTION", kept)

    forget.__name__ = f"without {', '.join(rules)}"
    return forget


def UpToDate_is_believed(patch):
    patch.setattr(takeover, "_stale", lambda *_: None)


def silence_is_proof(patch):
    patch.setattr(takeover, "_exclusive", lambda seen, group, resource: [f"{resource.name}: nobody is there"])


def protocol_A_is_taken_for_C(patch):
    exclusive = takeover._exclusive
    patch.setattr(
        takeover, "_exclusive", lambda seen, group, resource: exclusive(seen, group, replace(resource, protocol="C"))
    )


def what_was_complete_once_is_complete(patch):
    complete = evidence.Sight.after

    def after(self, resource, generations, now):
        found = complete(self, resource, generations, now)
        return replace(found, complete=frozenset({0, 1}))

    patch.setattr(evidence.Sight, "after", after)


def an_isolated_primary_that_goes_on(patch):
    patch.setattr(fitness, "isolated", lambda *_: False)


def the_gate_opens_with_the_promotion(patch):
    run = Failover._run

    def early(self, planned, now):
        actions = run(self, planned, now)
        return [*actions, Opened()] if isinstance(planned.step, Promote) else actions

    patch.setattr(Failover, "_run", early)


def the_gate_closes_before_it_is_secondary(patch):
    down = Failover._down

    def early(self, seen, now):
        asked, self._asked = self._asked, False
        actions = down(self, seen, now)
        return [Closed(), *actions] if asked and Closed() not in actions else actions

    patch.setattr(Failover, "_down", early)


def what_is_ours_is_forgotten(patch):
    completed = Memory.completed

    def forgetful(self, seen, group):
        self.ours = False
        return completed(self, seen, group)

    patch.setattr(Memory, "completed", forgetful)


def a_failed_promotion_is_left_half_done(patch):
    give_up = Failover._give_up

    def careless(self, why, now, refusals=()):
        self._memory.ours = False
        return give_up(self, why, now, refusals)

    patch.setattr(Failover, "_give_up", careless)


def unknown_words_take_the_role_away(patch):
    patch.setattr(Seen, "demoted", lambda self, resource: not self.primary(resource))


def a_refusal_without_its_rule(patch):
    def nameless(seen, group):
        found = takeover.fresh_and_alone(seen, group)
        return Verdict(6, tuple(replace(each, rule=0) for each in found.refusals), found.because)

    rules = tuple(nameless if each is takeover.fresh_and_alone else each for each in PROMOTION)
    patch.setattr(planner, "PROMOTION", rules)


def a_master_that_is_loud_while_its_gates_are_hindered(patch):
    become_master = VirtualRouter._become_master

    def loud(self, now):
        actions = become_master(self, now)
        return [*self._advertise(now), *actions] if self._tenure._waits else actions

    patch.setattr(VirtualRouter, "_become_master", loud)
    patch.setattr(Tenure, "hindered", lambda self, by: None)


def a_node_that_never_lets_go(patch):
    patch.setattr("drbdctl.failover.machine.plan_demote", lambda *_: Plan(refusals=(Refusal(21, "", "", "", None),)))
    patch.setattr(Failover, "_wait", lambda self, seconds, refusals, now: [])


def a_serving_node_that_is_judged_like_a_standby(patch):
    budget = Budget()
    patch.setattr("drbdctl.failover.machine.serving", lambda seen, group: fitness.standby(seen, group, budget))


def a_kernel_that_lets_two_be_primary(patch):
    def promote(self: Replica):
        for n in range(len(self.disks)):
            self.primary[n] = self.disks[n].primary = True
            self.pair.promoted(self, n)

    patch.setattr(Replica, "promote", promote)
    without("peer_not_primary", "peer_agrees", "peer_silent", "fresh_and_alone")(patch)


@pytest.mark.parametrize(
    ("mistake", "rules", "seeds"),
    [
        (without("fresh_and_alone"), {"stale data", "two Primaries"}, 50),
        (without("peer_silent", "fresh_and_alone"), {"stale data", "two Primaries"}, 50),
        (UpToDate_is_believed, {"stale data"}, 100),
        (silence_is_proof, {"two Primaries"}, 100),
        (protocol_A_is_taken_for_C, {"stale data"}, 200),
        (what_was_complete_once_is_complete, {"stale data"}, 200),
        (an_isolated_primary_that_goes_on, {"two Primaries"}, 200),
        (the_gate_opens_with_the_promotion, {"address"}, 10),
        (the_gate_closes_before_it_is_secondary, {"liveness"}, 200),
        (what_is_ours_is_forgotten, {"liveness"}, 50),
        (a_failed_promotion_is_left_half_done, {"liveness"}, 200),
        (unknown_words_take_the_role_away, {"known"}, 200),
        (a_refusal_without_its_rule, {"refusal"}, 200),
        (a_master_that_is_loud_while_its_gates_are_hindered, {"deposed"}, 50),
        (a_node_that_never_lets_go, {"liveness"}, 100),
        (a_serving_node_that_is_judged_like_a_standby, {"known", "liveness"}, 100),
        (a_kernel_that_lets_two_be_primary, {"two Primaries"}, 50),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_is_found(monkeypatch, mistake, rules, seeds):
    mistake(monkeypatch)
    histories = chain(map(History.read, sorted(FILES.glob("*.json"))), map(draw, range(seeds)))
    broken = map(violation, histories)
    assert any(found.rule in rules for found in broken if found is not None)
