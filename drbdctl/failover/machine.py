"""Promoting and demoting a storage group, as a function of (event, now).

    UNKNOWN --look--> SECONDARY --WantPrimary--> PROMOTING --all verified--> PRIMARY
                          ^------- nothing left ------- DEMOTING <--WantSecondary, a step failed, too late--'
                                                           '--can't let go--> HELD

Level-triggered: it holds one wish, and after every step it looks anew and takes the first step of a fresh plan
(drbdctl.failover.planner), so that what was found half done, by whomever, is finished or undone. Nothing is believed
of an exit status. A failed promotion is undone by itself, whole. It never reads a clock: `deadline` says
when TimerExpired is due.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import assert_never

from drbdctl.failover.attempt import Attempt, Timer
from drbdctl.failover.budget import Budget
from drbdctl.failover.events import (
    Acknowledge,
    Action,
    Adopted,
    Alarm,
    Closed,
    Event,
    GaveUp,
    Kill,
    Look,
    Opened,
    Override,
    Reboot,
    Run,
    StepDone,
    StepFailed,
    Tell,
    TimerExpired,
    WantPrimary,
    WantSecondary,
)
from drbdctl.failover.exits import Again, Failure
from drbdctl.failover.fitness import Fitness, serving, standby
from drbdctl.failover.group import Group, OnDemoteFailure
from drbdctl.failover.memory import Memory, identifiers
from drbdctl.failover.plan import MountVolume, Plan, Planned, Promote, StartService, Step, Verify
from drbdctl.failover.planner import plan_demote, plan_promote
from drbdctl.failover.refusal import OVERRIDABLE, Refusal
from drbdctl.failover.seen import Seen
from drbdctl.failover.self_fence import pointless
from pyvrrp.core.events import Hindrance

Actions = list[Action]
_POLL = 0.25
"seconds between two looks at what may change soon"
_HELD_POLL = 2.0
"the same while a node can't let go"
_PEER_LIVES = 1.0
"seconds before DRBD is asked again whether a silent Primary lives (rule 3)"
_MOST_TRIES = 5
_TOO_OFTEN = 3
"times that a step ends well and changes nothing"


class Wish(Enum):
    """What is wanted."""

    NOTHING = "nothing yet"
    PRIMARY = "Primary"
    SECONDARY = "Secondary"


class Phase(Enum):
    """How far it is."""

    UNKNOWN = "unknown"
    SECONDARY = "secondary"
    PROMOTING = "promoting"
    PRIMARY = "primary"
    "and serving"
    DEMOTING = "demoting"
    HELD = "held"
    "it can't let go: Primary perhaps, without the addresses"


class Failover:
    """One storage group on this node."""

    def __init__(self, group: Group, *, ours: bool = False) -> None:
        """`ours`: the journal says that the daemon before us brought it up."""
        self.group = group
        self.phase = Phase.UNKNOWN
        self.wish = Wish.NOTHING
        self.seen: Seen | None = None
        "the last look, with what we remember"
        self.plan = Plan()
        "as last made for the wish"
        self.running: Planned | None = None
        self.stuck = ""
        "the step that was killed and does not end"
        self.budget = Budget(group.limits)
        self._memory = Memory(ours)
        self._attempt = Attempt()
        self._asked = False
        "somebody waits for Closed"

    # --- what can be asked -------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When to deliver TimerExpired; None: no timer runs."""
        return min(self._attempt.timers.values(), default=None)

    @property
    def fitness(self) -> Fitness | None:
        """For the tracker; None: nothing was seen yet. On the way up or down there is nothing to judge."""
        seen = self.seen
        if seen is None:
            return None
        match self.phase:
            case Phase.PROMOTING | Phase.DEMOTING:
                return Fitness()
            case Phase.PRIMARY:
                return serving(seen, self.group)
            case Phase.UNKNOWN | Phase.SECONDARY | Phase.HELD:
                return standby(seen, self.group, self.budget, accepted=self._memory.accepted(seen.at))
            case _:
                assert_never(self.phase)

    @property
    def hindered(self) -> Hindrance | None:
        """It is to serve, can't begin, and the peer may serve, for what is known: it must not be made to give way."""
        begun = self.running is not None or (self.plan.steps and not self.plan.refusals)
        if self.phase is not Phase.PROMOTING or begun:
            return None
        return Hindrance.UNSEEN if self.seen is None else self.seen.peer_may_serve(self.group)

    def fence_answer(self, resource: str) -> tuple[int, str]:
        """Exit status and sentence for `drbdctl fence-peer`: 5 while a promotion that was allowed is under way.

        Otherwise 1, no answer: a kernel with fencing then refuses to promote without its peer.
        """
        if self.running is not None and self.running.step == Promote(resource):
            return 5, f"{resource}: {self.running.because}"
        return 1, f"{resource}: no promotion of it has been allowed here"

    # --- what can happen ---------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> Sequence[Action]:
        """Take one event in; return what is to be done, in this order."""
        match event:
            case WantPrimary():
                return self._want_primary(now)
            case WantSecondary():
                return self._want_secondary(now)
            case Adopted():
                self.wish, self.phase, self._memory.ours = Wish.PRIMARY, Phase.PRIMARY, True
                return self._look(now)
            case Seen():
                return self._saw(event, now)
            case StepDone(step):
                return self._ended(step, None, now)
            case StepFailed(step, failure):
                return self._ended(step, failure, now)
            case TimerExpired():
                return self._timers_expired(now)
            case Override():
                return self._override(event, now)
            case Acknowledge(user):
                self.budget = self.budget.acknowledged()
                return [Tell(f"{user} has acknowledged what failed"), *self._advance(now)]
            case _:
                assert_never(event)

    def _want_primary(self, now: float) -> Actions:
        if self.wish is Wish.PRIMARY:
            return [Opened()] if self.phase is Phase.PRIMARY else []
        self._begin(Wish.PRIMARY, now)
        return self._advance(now)

    def _want_secondary(self, now: float) -> Actions:
        self._asked = True
        if self.wish is not Wish.SECONDARY:
            self._begin(Wish.SECONDARY, now)
        return self._advance(now)

    def _begin(self, wish: Wish, now: float) -> None:
        up, deadlines = wish is Wish.PRIMARY, self.group.deadlines
        self.wish, self.plan = wish, Plan()
        self.phase = Phase.PROMOTING if up else Phase.DEMOTING
        self._asked = self._asked and not up
        self._memory.claimed = now if up else None
        self._attempt = Attempt(now, deadlines.promotion if up else deadlines.demotion, self._attempt)

    def _saw(self, seen: Seen, now: float) -> Actions:
        if self.seen is not None and seen.at < self.seen.at:
            return []
        self.seen = self._memory.completed(seen, self.group)
        if seen.at >= self._attempt.look_from:
            self._attempt.timers.pop(Timer.LOOK, None)
        return self._advance(now)

    def _override(self, event: Override, now: float) -> Actions:
        aside, kept = event.rules & OVERRIDABLE, event.rules - OVERRIDABLE
        self._memory.override(aside, now)
        what = f"{event.user} sets rule {_numbers(aside)} aside for the next promotion: {event.reason}"
        refused = f"; rule {_numbers(kept)} can't be set aside" if kept else ""
        return [Tell(f"{what} ({identifiers(self.seen)}){refused}"), *self._advance(now)]

    # --- towards the wish --------------------------------------------------------------------------------------------

    def _advance(self, now: float) -> Actions:
        """Do what is next, if anything can be done now."""
        rests = self.phase is Phase.PRIMARY or (self.phase is Phase.SECONDARY and not self._asked)
        if rests or self.running is not None or self.wish is Wish.NOTHING or Timer.RETRY in self._attempt.timers:
            return []
        seen = self.seen
        if seen is None or seen.at < self._attempt.look_from or now - seen.at > self.group.deadlines.look:
            return self._look(now)
        return self._up(seen, now) if self.wish is Wish.PRIMARY else self._down(seen, now)

    def _look(self, now: float) -> Actions:
        if Timer.LOOK in self._attempt.timers:
            return []
        self._attempt.look_from = now
        self._attempt.timers[Timer.LOOK] = now + self.group.deadlines.look
        return [Look()]

    def _up(self, seen: Seen, now: float) -> Actions:
        accepted = self._memory.accepted(now)
        plan = self.plan = plan_promote(
            seen, self.group, self.budget, accepted=accepted, verified=self._attempt.verified
        )
        if plan.refusals:
            if all(each.until.soon for each in plan.refusals):
                return self._wait(_POLL, plan.refusals, now)
            return self._give_up(_sentence(plan.refusals), now, plan.refusals)
        if plan.steps:
            return self._run(plan.steps[0], now)
        self.phase = Phase.PRIMARY
        self.budget = self.budget.promoted(now)
        self._memory.override(frozenset(), now)
        self._attempt.timers.clear()
        return [Opened()]

    def _down(self, seen: Seen, now: float) -> Actions:
        plan = self.plan = plan_demote(seen, self.group) if self._memory.ours else Plan()
        if plan.done and (seen.trusted or not self._memory.ours):
            return self._let_go(seen)
        held = self.phase is Phase.HELD
        resets = self.group.policy.on_demote_failure is OnDemoteFailure.REBOOT
        if held and resets and not pointless(seen, self.group):
            return [Reboot("it can't let go, and by now the peer could take over (rule 15)")]
        if not plan.steps or plan.refusals:
            return self._wait(_HELD_POLL if held else _POLL, plan.refusals, now)
        return self._run(plan.steps[0], now)

    def _let_go(self, seen: Seen) -> Actions:
        """Nothing of ours is left; what others have promoted is theirs."""
        self.phase, self._memory.ours = Phase.SECONDARY, False
        self._attempt.timers.clear()
        asked, self._asked = self._asked, False
        self.seen = self._memory.completed(seen, self.group)
        return [Closed()] if asked else []

    def _run(self, planned: Planned, now: float) -> Actions:
        self.running = planned
        self._memory.ours = self._attempt.ran = True
        self._attempt.timers[Timer.STEP] = now + planned.deadline
        wish = "serve" if self.wish is Wish.PRIMARY else "give everything back"
        return [Run(planned, f"to {wish}: {planned} ({identifiers(self.seen)})")]

    def _wait(self, seconds: float, refusals: tuple[Refusal, ...], now: float) -> Actions:
        self._attempt.timers[Timer.RETRY] = now + seconds
        if self.hindered is Hindrance.HOLDER:  # who serves may at any moment cease to: it is waited for without an end
            self._attempt.timers[Timer.OVERALL] = now + self.group.deadlines.promotion
        return [Tell(f"it waits: {_sentence(refusals)}")] if self._attempt.news(refusals) else []

    def _give_up(self, why: str, now: float, refusals: tuple[Refusal, ...] = ()) -> Actions:
        """The gate fails; what was begun is undone."""
        self._begin(Wish.SECONDARY, now)
        return [GaveUp(why, refusals), *self._advance(now)]

    # --- steps -------------------------------------------------------------------------------------------------------

    def _ended(self, step: Step, failure: Failure | None, now: float) -> Actions:
        if self.running is None or self.running.step != step:
            return []
        self.running, self.stuck = None, ""
        attempt = self._attempt
        for timer in attempt.of_the_step():
            del attempt.timers[timer]
        if failure is None and isinstance(step, Verify):
            attempt.verified = True
            return self._advance(now)  # it has changed nothing: what was seen before it holds
        attempt.look_from = now
        if failure is None and attempt.done(step) > _TOO_OFTEN:
            failure = Failure(f"{step}: it ends well each time, and nothing changes")
        if failure is None:
            return self._advance(now)
        upwards = isinstance(step, Promote | MountVolume | StartService | Verify)
        if upwards is not (self.wish is Wish.PRIMARY):
            return self._advance(now)  # the wish has changed since it was begun
        return self._up_failed(step, failure, now) if upwards else self._down_failed(step, failure, now)

    def _up_failed(self, step: Step, failure: Failure, now: float) -> Actions:
        tries = self._attempt.failed(step)
        match failure.again:
            case Again.SOON:
                return self._wait(self._attempt.pause(step), (), now)
            case Again.ONCE if tries == 1:
                return self._advance(now)
            case Again.PEER_LIVES if tries < _MOST_TRIES and isinstance(step, Promote):
                self._memory.met(step.resource, now)
                return self._wait(_PEER_LIVES, (), now)
            case _:
                return self._fail(f"it can't {step}: {failure}; all of it is undone (rule 9)", now)

    def _fail(self, why: str, now: float) -> Actions:
        """A promotion that was allowed can't be carried out."""
        self.budget = self.budget.failed(now)
        return self._give_up(why, now)

    def _down_failed(self, step: Step, failure: Failure, now: float) -> Actions:
        first = self._attempt.failed(step) == 1
        told: Actions = [Tell(f"{failure}; it is tried again")] if first else []
        return [*told, *self._wait(self._attempt.pause(step), (), now)]

    # --- time --------------------------------------------------------------------------------------------------------

    def _timers_expired(self, now: float) -> Actions:
        timers, actions = self._attempt.timers, Actions()
        for timer in sorted((each for each in timers if timers[each] <= now), key=lambda each: timers[each]):
            if self._attempt.timers is not timers or timer not in timers:
                break  # one of them has led to another attempt
            del timers[timer]
            actions += self._expired(timer, now)
        return actions

    def _expired(self, timer: Timer, now: float) -> Actions:
        match timer:
            case Timer.STEP:
                assert self.running is not None
                self._attempt.timers[Timer.KILL] = now + self.group.deadlines.kill
                return [Kill(self.running.step)]
            case Timer.KILL:
                return self._does_not_end(now)
            case Timer.RETRY:
                self._attempt.look_from = now
                return self._advance(now)
            case Timer.LOOK:
                return self._look(now)
            case Timer.OVERALL if self.wish is Wish.PRIMARY:
                return self._too_late(now)
            case Timer.OVERALL:
                return self._can_not_let_go(now)
            case _:
                assert_never(timer)

    def _does_not_end(self, now: float) -> Actions:
        """Killed, and still there: it hangs in the kernel. Nothing is started beside it (rule 21)."""
        assert self.running is not None
        self.stuck = str(self.running.step)
        why = f"{self.stuck} was killed and hangs in the kernel: its I/O does not end (rule 21); see `dmesg`"
        return [Alarm(why), *(self._fail(why, now) if self.wish is Wish.PRIMARY else [])]

    def _too_late(self, now: float) -> Actions:
        """Rule 11: who does not serve in time lets others try."""
        at = f" at: {self.running.step}" if self.running else f" for: {_sentence(self.plan.refusals)}"
        why = f"it does not serve after {self.group.deadlines.promotion:g} s, it waited{at} (rule 11)"
        return self._fail(why, now) if self._attempt.ran else self._give_up(why, now, self.plan.refusals)

    def _can_not_let_go(self, now: float) -> Actions:
        """Rule 15: stay Primary without the addresses, which keeps the data with one writer; or go down."""
        self.phase = Phase.HELD
        left = ", ".join(str(each.step) for each in self.plan.steps) or "what is up is not known"
        hindered = f": {_sentence(self.plan.refusals)}" if self.plan.refusals else ""
        why = f"it can't let go within {self.group.deadlines.demotion:g} s; left to do: {left}{hindered} (rule 15)"
        if self.group.policy.on_demote_failure is OnDemoteFailure.REBOOT:
            nobody = pointless(self.seen, self.group)
            if not nobody:
                return [Alarm(why), Reboot(why)]
            why = f"{why}; it does not reset itself: {nobody}"
        return [Alarm(why), *self._advance(now)]


def _sentence(refusals: tuple[Refusal, ...]) -> str:
    return "; ".join(map(str, refusals))


def _numbers(rules: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(rules)))
