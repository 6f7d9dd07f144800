"""What every list of actions of a virtual router must obey, whatever the events were."""

from collections.abc import Iterable, Sequence

from pyvrrp.core.events import (
    AcquireAddresses,
    Action,
    AnnounceAddresses,
    CloseGates,
    LowerPriorityHeard,
    OpenGates,
    Phase,
    ReleaseAddresses,
    SendAdvertisement,
    State,
    Transition,
    WantMaster,
)
from pyvrrp.core.timers import Timer
from pyvrrp.core.virtual_router import VirtualRouter


def together(routers: Iterable[VirtualRouter]) -> bool:
    """Whether the members of a sync group are all MASTER or none is; who hands over may still be either."""
    decided = [r for r in routers if not (r.state is State.MASTER and r.phase is Phase.HANDING_OVER)]
    return len({router.claims for router in decided}) < 2


class Contract:
    """Follows one router as its environment does: by its actions alone; `check` after each call of `handle`."""

    def __init__(self, router: VirtualRouter) -> None:
        self.router = router
        self.told = State.INIT
        "where the last Transition led to"
        self.addresses = False
        self.gates = False
        "the last wish: open"
        self.advertises = False
        "it has said that it is MASTER, and not yet that it is not"
        self._before = (State.INIT, Phase.RELEASING)

    def check(self, actions: Sequence[Action]) -> None:
        """The actions, in their order, make sense in an environment that has carried out all before them."""
        for action in actions:
            self._carry_out(action)
        if self.router.state is State.MASTER and self.router.phase is Phase.WAITING:
            self.advertises = False
        self._in_step()
        self._before = (self.router.state, self.router.phase)

    def _carry_out(self, action: Action) -> None:
        router = self.router
        match action:
            case SendAdvertisement(0):
                before, _ = self._before
                assert before is State.MASTER, "gives up what it does not have"
                assert self.advertises, "gives up what it never said it had, or twice"
                self.advertises = False
                assert router.state is not State.MASTER or router.phase is Phase.HANDING_OVER, "gives up and goes on"
            case SendAdvertisement(priority):
                assert State.MASTER in (self._before[0], router.state), "advertises without being MASTER"
                assert router.state is not State.MASTER or router.phase is not Phase.HANDING_OVER, "gave up just now"
                assert 1 <= priority <= 255
                self.advertises = True
            case OpenGates():
                assert not self.gates, "opens open gates"
                assert not self.addresses, "opens gates behind addresses that are up"
                self.gates = True
            case AcquireAddresses():
                assert not self.addresses, "takes the addresses twice"
                self.addresses = True
            case AnnounceAddresses(repeat):
                assert self.addresses, "announces what it does not hold"
                assert repeat > 0
            case ReleaseAddresses(after):
                assert self.addresses, "releases what it does not hold"
                assert after == 0.0 or not self.gates, "goes on answering while its gates close"
                self.addresses = False
            case CloseGates():
                assert self.gates, "closes closed gates"
                assert not self.addresses, "closes the gates under its addresses"
                self.gates = False
            case Transition(old, new, reason):
                assert old is self.told, f"the last Transition led to {self.told}, this one starts in {old}"
                assert self.addresses is (new is State.MASTER), f"tells {new} with addresses: {self.addresses}"
                assert new is State.MASTER or not self.gates, f"tells {new} with open gates"
                assert reason is router.reason or new is not router.state
                self.told = new
            case LowerPriorityHeard():
                # A late member of its sync group may have taken MASTER away in the same moment.
                assert State.MASTER in (self._before[0], router.state)
            case WantMaster():
                assert router.state is State.BACKUP

    def _in_step(self) -> None:
        router = self.router
        handing_over = router.state is State.MASTER and router.phase is Phase.HANDING_OVER
        assert self.addresses is (router.serving or handing_over)
        if router.state is State.MASTER:
            assert self.told is State.MASTER or not self.addresses
            assert self.told in (State.MASTER, State.BACKUP)
            assert router.phase is not Phase.RELEASING or not self.gates
            assert self.advertises or router.phase in (Phase.WAITING, Phase.HANDING_OVER, Phase.RELEASING)
            assert (Timer.ADVER in router.timers) is self.advertises, "who says that it is MASTER goes on saying so"
            assert (Timer.GATE in router.timers) is (router.phase not in (Phase.SERVING, Phase.HANDING_OVER))
        else:
            self.advertises = False
            assert self.told is router.state, f"is {router.state} and never said so"
            assert not self.gates
        if router.state in (State.BACKUP, State.MASTER):
            assert router.deadline is not None, f"{router.state} waits for nothing"
        if router.state is State.FAULT:
            assert router.detail, "does not say why it is in FAULT"
