"""The choice of the program that makes and keeps the archives."""

from __future__ import annotations

from collections.abc import Mapping

from drbdctl.backup.borg import Borg
from drbdctl.backup.driver import Driver
from drbdctl.backup.restic import Restic
from drbdctl.backup.settings import Backup, Program


def driver(settings: Backup, environment: Mapping[str, str]) -> Driver:
    """The driver that the settings name; `environment` is what their file adds."""
    return (Restic if settings.program is Program.RESTIC else Borg)(settings, environment)
