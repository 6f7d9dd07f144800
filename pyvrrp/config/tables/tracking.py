"""What may be watched: vrrp_script, the other trackers, and the `track_*` blocks that name them."""

from __future__ import annotations

from pyvrrp.config.keywords import Body
from pyvrrp.config.tables.shorthand import flag, known, lines, used

NOT_WATCHED = "it is not watched, as if it were always healthy: watch the same thing with a vrrp_script"

TRACKS = (
    lines("track_script"),
    lines("track_interface"),
    known("track_file", NOT_WATCHED, 0, 0, Body.LINES),
    known("track_process", NOT_WATCHED, 0, 0, Body.LINES),
    known("track_bfd", NOT_WATCHED, 0, 0, Body.LINES),
)

VRRP_SCRIPT = used(
    "vrrp_script",
    body=(
        used("script", 1, None),
        used("interval"),
        used("timeout"),
        used("weight", 1, 2),
        used("rise"),
        used("fall"),
        used("user", 1, 2),
        flag("init_fail"),
    ),
    repeatable=True,
)

_PROCESS = "watch it with a vrrp_script that runs pgrep"
_FILE = "watch it with a vrrp_script that reads the file"
_BFD = "there is no BFD; a shorter advert_int with version 3 finds a dead router in less than a second"

_TRACK_FILE = (
    known("file", _FILE, 0),
    known("weight", _FILE, 0),
    known("init_file", _FILE, 0),
)

TRACKERS = (
    VRRP_SCRIPT,
    known("track_file", _FILE, 1, 1, _TRACK_FILE),
    known("vrrp_track_file", _FILE, 1, 1, _TRACK_FILE),
    known(
        "vrrp_track_process",
        _PROCESS,
        1,
        1,
        (
            known("process", _PROCESS, 1),
            known("param_match", _PROCESS),
            known("weight", _PROCESS),
            known("quorum", _PROCESS, 1),
            known("quorum_max", _PROCESS, 1),
            known("delay", _PROCESS, 1),
            known("fork_delay", _PROCESS, 1),
            known("terminate_delay", _PROCESS, 1),
            known("full_command", _PROCESS),
        ),
    ),
    known(
        "bfd_instance",
        _BFD,
        1,
        1,
        (
            known("neighbor_ip", _BFD, 1),
            known("neighbour_ip", _BFD, 1),
            known("source_ip", _BFD, 1),
            known("min_rx", _BFD, 1),
            known("min_tx", _BFD, 1),
            known("idle_tx", _BFD, 1),
            known("multiplier", _BFD, 1),
            known("passive", _BFD),
            known("ttl", _BFD, 1),
            known("hoplimit", _BFD, 1),
            known("max_hops", _BFD, 1),
            known("multihop", _BFD),
            known("weight", _BFD, 1),
            known("vrrp", _BFD),
            known("checker", _BFD),
        ),
    ),
)
