"""Where a demo plays: the lab, the timeline, and the machines' logs where something goes wrong."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from pyvrrp.demo.lab import Lab
from pyvrrp.demo.namespaces import LabError
from pyvrrp.demo.timeline import Timeline


@contextlib.contextmanager
def stage(introduction: str) -> Iterator[tuple[Lab, Timeline]]:
    """Build the lab, and remove it at the end; raises LabError."""
    timeline = Timeline()
    print(introduction)
    with Lab("demo") as lab:
        try:
            yield lab, timeline
        except LabError:
            _show_logs(lab)
            raise
    timeline.add()
    timeline.say("everything removed again")


def _show_logs(lab: Lab) -> None:
    for log in sorted(lab.directory.glob("*/*.log")):
        lines = log.read_text(errors="replace").splitlines()[-10:]
        print("\n".join([f"--- {log.parent.name} {log.stem}:", *lines]), file=sys.stderr)
