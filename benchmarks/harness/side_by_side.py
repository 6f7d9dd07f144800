"""Labs that run side by side, each in a process of its own, so that none waits for another one's interpreter."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from threading import Thread

PROCESSES = 2
"more would disturb each other's timing on two processors"

GRACE = 10.0
"seconds in which a lab may be removed because of the signal that ended the parent; another one would disturb it"


@contextmanager
def pool() -> Iterator[ProcessPoolExecutor]:
    """Processes that end, and remove their labs, with this one."""
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=_end_with_parent)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def interruptible() -> Iterator[None]:
    """Around a lab: a signal ends the process once the lab is removed; the pool would go on with the next task."""
    try:
        yield
    except KeyboardInterrupt:
        os._exit(130)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        time.sleep(GRACE)
        os.kill(os.getpid(), signal.SIGTERM)  # a lab turns it into KeyboardInterrupt

    Thread(target=watch, name="end with parent", daemon=True).start()
