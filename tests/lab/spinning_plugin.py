"""A plugin that the daemon finds by its entry point: it blocks the loop, and holds a gate that a command can undo.

Files in PYVRRP_TEST_DIRECTORY steer it: while there is a `spin`, the loop stands still (once: the file is removed);
the gate makes `held` when it is acquired and removes it when it is released; its undo command removes it too.
"""

import asyncio
import contextlib
import os
import time
from pathlib import Path

HERE = Path(os.environ.get("PYVRRP_TEST_DIRECTORY", "/nonexistent"))


class Gate:
    name = "held"
    undo = (("rm", str(HERE / "held")), ("touch", str(HERE / "undone")))

    async def acquire(self):
        (HERE / "held").touch()
        self.say("acquired")

    async def release(self):
        (HERE / "held").unlink(missing_ok=True)
        self.say("released")

    @staticmethod
    def say(what):
        with (HERE / "gate").open("a") as file:
            print(what, file=file)


class Spinning:
    name = "spinning"
    keywords = instance_keywords = trackers = ()

    def configure(self, config, diagnostics):
        return self

    def gates(self, instance):
        return [Gate()] if instance == "GATED" else []

    async def start(self):
        self.task = asyncio.create_task(self.work())

    async def stop(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    def status(self):
        return {}

    async def work(self):
        while True:
            await asyncio.sleep(0.02)
            if (HERE / "spin").exists():
                (HERE / "spin").unlink()
                self.spin()

    @staticmethod
    def spin():
        while True:
            time.monotonic()


def install(directory):
    """Make `directory` a place on PYTHONPATH where the entry point is found."""
    directory.mkdir()
    (directory / "spinning_plugin.py").write_text(Path(__file__).read_text())
    metadata = directory / "spinning_plugin-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: spinning-plugin\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[pyvrrp.plugins]\nspinning = spinning_plugin:Spinning\n")
