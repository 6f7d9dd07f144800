"""The gate runner: one wish, the latest counts; what was acquired is undone, in reverse order."""

import asyncio

import pytest

from pyvrrp.core.events import GatesBegun, GatesClosed, GatesFailed, GatesHindered, GatesOpened, Hindrance
from pyvrrp.daemon.gates import GateRunner
from pyvrrp.daemon.plugins import GateFailed


class Recorder:
    """Gates that write down what is asked of them, and the runner's answers."""

    def __init__(self):
        self.log = []
        self.begun = []
        "GatesBegun, GatesHindered"
        self.answered = asyncio.Event()

    def __call__(self, event):
        if isinstance(event, GatesBegun | GatesHindered):
            self.begun.append(event)
            return
        self.log.append(event)
        self.answered.set()

    async def logged(self):
        """Wait until a gate is asked for something."""
        for _ in range(100):
            if not self.log:
                await asyncio.sleep(0)

    async def answer(self):
        async with asyncio.timeout(60):
            await self.answered.wait()
        self.answered.clear()


class Gate:
    def __init__(self, name, recorder, *, refuse="", block=None, error=None, stuck=0):
        self.name, self.recorder, self.refuse, self.block, self.error, self.stuck = (
            name, recorder, refuse, block, error, stuck,
        )  # fmt: skip

    async def acquire(self):
        self.recorder.log.append(f"+{self.name}")
        if self.block is not None:
            await self.block.wait()
        if self.error is not None:
            raise self.error
        if self.refuse:
            raise GateFailed(self.refuse)

    async def release(self):
        self.recorder.log.append(f"-{self.name}")
        if self.stuck:
            self.stuck -= 1
            raise GateFailed("device is busy")


def run(scenario):
    asyncio.run(scenario())


def test_gates_open_in_order_and_close_in_reverse():
    async def scenario():
        recorder = Recorder()
        runner = GateRunner("I", [Gate("a", recorder), Gate("b", recorder)], recorder)
        runner.open()
        await recorder.answer()
        assert recorder.log == ["+a", "+b", GatesOpened()]
        assert runner.held == ["a", "b"]
        runner.close()
        await recorder.answer()
        assert recorder.log[3:] == ["-b", "-a", GatesClosed()]
        assert runner.held == []

    run(scenario)


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [({"refuse": "drbd0 is Outdated"}, "drbd0 is Outdated"), ({"error": KeyError("x")}, "KeyError: 'x'")],
)
def test_a_gate_that_refuses_is_undone_with_those_before_it(problem, sentence):
    async def scenario():
        recorder = Recorder()
        runner = GateRunner("I", [Gate("a", recorder), Gate("b", recorder, **problem), Gate("c", recorder)], recorder)
        runner.open()
        await recorder.answer()
        assert recorder.log == ["+a", "+b", "-b", "-a", GatesFailed(f"gate b: {sentence}")]

    run(scenario)


def test_a_wish_to_close_cancels_an_acquisition():
    async def scenario():
        recorder, block = Recorder(), asyncio.Event()
        runner = GateRunner("I", [Gate("a", recorder, block=block)], recorder)
        runner.open()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        runner.close()
        await recorder.answer()
        assert recorder.log == ["+a", "-a", GatesClosed()]

    run(scenario)


def test_master_backup_master_while_acquiring_goes_on_with_the_same_attempt():
    async def scenario():
        recorder, block = Recorder(), asyncio.Event()
        runner = GateRunner("I", [Gate("a", recorder, block=block)], recorder)
        runner.open()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        runner.close()
        runner.open()
        block.set()
        await recorder.answer()
        assert recorder.log == ["+a", GatesOpened()]

    run(scenario)


class ContestedGate(Gate):
    """Somebody else may hold it; it says what hinders it."""

    hindered = None

    async def acquire(self):
        await super().acquire()
        self.hindered(None)
        self.hindered(Hindrance.HOLDER)
        self.hindered(None)


def test_the_first_gate_says_whether_they_have_begun():
    async def scenario():
        recorder, block = Recorder(), asyncio.Event()
        gates = [ContestedGate("a", recorder, block=block), ContestedGate("b", recorder)]
        GateRunner("I", gates, recorder).open()
        await recorder.logged()
        assert recorder.begun == []
        block.set()
        await recorder.answer()
        assert recorder.begun == [GatesBegun(), GatesHindered(Hindrance.HOLDER), GatesBegun()]
        assert recorder.log == ["+a", "+b", GatesOpened()]

    run(scenario)


def test_gates_that_nobody_contests_begin_at_once():
    async def scenario():
        recorder, block = Recorder(), asyncio.Event()
        runner = GateRunner("I", [Gate("a", recorder, block=block)], recorder)
        runner.open()
        await recorder.logged()
        assert recorder.begun == [GatesBegun()]
        runner.close()
        runner.open()
        block.set()
        await recorder.answer()
        assert recorder.begun == [GatesBegun()] * 2, "it is MASTER again, and has to be told again"

    run(scenario)


def test_a_gate_that_says_nothing_of_it_has_begun_when_it_is_open():
    class Held(ContestedGate):
        async def acquire(self):
            pass

    async def scenario():
        recorder = Recorder()
        GateRunner("I", [Held("a", recorder)], recorder).open()
        await recorder.answer()
        assert (recorder.log, recorder.begun) == ([GatesOpened()], [GatesBegun()])

    run(scenario)


def test_a_gate_that_can_not_be_released_is_tried_again(monkeypatch):
    monkeypatch.setattr("pyvrrp.daemon.gates._RETRY", 0.001)

    async def scenario():
        recorder = Recorder()
        runner = GateRunner("I", [Gate("a", recorder, stuck=2)], recorder)
        runner.open()
        await recorder.answer()
        runner.close()
        await recorder.answer()
        assert recorder.log[2:] == ["-a", "-a", "-a", GatesClosed()]
        assert runner.problem == ""

    run(scenario)


def test_without_gates_both_wishes_are_granted():
    async def scenario():
        recorder = Recorder()
        runner = GateRunner("I", [], recorder)
        runner.open()
        await recorder.answer()
        runner.close()
        await recorder.answer()
        assert recorder.log == [GatesOpened(), GatesClosed()]
        await runner.wait_closed()

    run(scenario)


def test_other_gates_wait_until_those_that_are_held_are_released():
    async def scenario():
        recorder = Recorder()
        runner = GateRunner("I", [Gate("old", recorder)], recorder)
        runner.open()
        await recorder.answer()
        runner.replace([Gate("new", recorder)])
        runner.close()
        await recorder.answer()
        await runner.wait_closed()
        runner.open()
        await recorder.answer()
        assert recorder.log == ["+old", GatesOpened(), "-old", GatesClosed(), "+new", GatesOpened()]

    run(scenario)
