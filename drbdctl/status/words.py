"""DRBD's own words for roles and states, as its kernel module and its tools print them.

A word that is not among them is UNRECOGNIZED, which is none of the good states; DRBD's own `Unknown` and `DUnknown`
(the peer is not seen) are something else. Source: drbd_strings.c of drbd-headers, LINBIT/drbd drbd_proc.c 8.0-9.3.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeVar


class Role(Enum):
    """Who may use the device."""

    PRIMARY = "Primary"
    SECONDARY = "Secondary"
    UNKNOWN = "Unknown"
    "of a peer that is not seen"
    UNRECOGNIZED = ""


class DiskState(Enum):
    """What the data on a disk are worth."""

    DISKLESS = "Diskless"
    ATTACHING = "Attaching"
    DETACHING = "Detaching"
    FAILED = "Failed"
    NEGOTIATING = "Negotiating"
    INCONSISTENT = "Inconsistent"
    OUTDATED = "Outdated"
    D_UNKNOWN = "DUnknown"
    "of a peer that is not seen"
    CONSISTENT = "Consistent"
    UP_TO_DATE = "UpToDate"
    UNRECOGNIZED = ""


class ConnectionState(Enum):
    """The link to a peer; the 8.x words in /proc/drbd are translated, WFConnection to CONNECTING."""

    STANDALONE = "StandAlone"
    DISCONNECTING = "Disconnecting"
    UNCONNECTED = "Unconnected"
    TIMEOUT = "Timeout"
    BROKEN_PIPE = "BrokenPipe"
    NETWORK_FAILURE = "NetworkFailure"
    PROTOCOL_ERROR = "ProtocolError"
    TEAR_DOWN = "TearDown"
    CONNECTING = "Connecting"
    WF_REPORT_PARAMS = "WFReportParams"
    CONNECTED = "Connected"
    UNRECOGNIZED = ""


class ReplicationState(Enum):
    """What goes over the link for one volume."""

    OFF = "Off"
    ESTABLISHED = "Established"
    STARTING_SYNC_S = "StartingSyncS"
    STARTING_SYNC_T = "StartingSyncT"
    WF_BITMAP_S = "WFBitMapS"
    WF_BITMAP_T = "WFBitMapT"
    WF_SYNC_UUID = "WFSyncUUID"
    SYNC_SOURCE = "SyncSource"
    SYNC_TARGET = "SyncTarget"
    VERIFY_S = "VerifyS"
    VERIFY_T = "VerifyT"
    PAUSED_SYNC_S = "PausedSyncS"
    PAUSED_SYNC_T = "PausedSyncT"
    AHEAD = "Ahead"
    BEHIND = "Behind"
    UNRECOGNIZED = ""


Word = Role | DiskState | ConnectionState | ReplicationState
_Word = TypeVar("_Word", Role, DiskState, ConnectionState, ReplicationState)


def recognize(kind: type[_Word], text: str) -> _Word:
    """The word, or UNRECOGNIZED."""
    try:
        return kind(text)
    except ValueError:
        return kind.UNRECOGNIZED
