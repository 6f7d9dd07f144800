"""keepalived.data, .stats and .json against what keepalived 2.2.7 wrote for the same configurations.

keepalived_dumps/ has the configurations and the files that it wrote on USR1, USR2 and SIGRTMIN+2 (.data without the
sections that are not ours, .json indented). What differs on purpose is spelt out in `ours`.
"""

import json
import os
import re
import stat
import time
from pathlib import Path

import pytest

from pyvrrp.config import load
from pyvrrp.config.model import Config, Globals
from pyvrrp.core.discard import DiscardReason, Statistics
from pyvrrp.core.events import State
from pyvrrp.core.virtual_router import VirtualRouter
from pyvrrp.daemon import dump as dump_files
from pyvrrp.daemon.dump import Dump, dump, dump_path
from pyvrrp.daemon.dump_json import json_text
from pyvrrp.daemon.dump_text import data_text, stats_text
from pyvrrp.daemon.run_directory import Unusable
from pyvrrp.daemon.status import Address, GroupStatus, Master, Timers, TrackerStatus, iso
from tests.unit.snapshots import daemon, instance

DUMPS = Path(__file__).parent / "keepalived_dumps"
TAKEN = 1795361930.0

# name: state, last transition, read timeout (None: disabled), and what else differs from a MASTER on 10.99.0.1
TOPOLOGY = {
    "VI_1": (State.MASTER, 1795361934.505754, 1795361940.505949, {}),
    "VI_I": (State.INIT, 1795361922.027310, None, {}),
    "VI_N": (State.INIT, 1795361922.027312, None, {"pending": ("script chk_new",)}),
    "VI_M": (State.MASTER, 1795361925.698315, 1795361939.706644, {}),
}
STATES = {
    "VI_1": (State.MASTER, 1795361944.519525, 1795361949.520754, {}),
    "VI_6": (State.MASTER, 1795361944.768366, 1795361949.250243, {"source": "fe80::902a:7eff:fe0d:dee5"}),
    "VI_U": (State.MASTER, 1795361944.747549, 1795361949.768837, {}),
    "VI_F": (State.FAULT, 1795361941.070975, None, {"faults": ("interface down", "no address"), "source": None}),
}
BACKUP = {
    "VI_B": (State.BACKUP, 1795361958.702554, 1795361965.570115, {"master": Master(address="10.99.0.2", priority=200)}),
    "VI_6B": (State.BACKUP, 1795361958.702758, 1795361963.925911, {
        "master": Master(address="fe80::78df:76ff:fe2e:8191", priority=200), "source": "fe80::902a:7eff:fe0d:dee5",
        "master_adver_int": 0.41,
    }),
}  # fmt: skip
COUNTED = {"VI_B": Statistics(advertisements_received=4), "VI_6B": Statistics(advertisements_received=10),
           ("topology", "VI_1"): Statistics(advertisements_sent=2, became_master=1),
           "VI_M": Statistics(advertisements_sent=14, became_master=1),
           "VI_1": Statistics(advertisements_sent=5, became_master=1),
           "VI_U": Statistics(advertisements_sent=5, became_master=1),
           "VI_6": Statistics(advertisements_sent=9, became_master=1)}  # fmt: skip
NOT_SET = {
    "10.99.0.100/24": "topology",
    "fd00:99::202/64": "topology",
}  # keepalived could not add them: `brd`, `autojoin`
SETS = {"topology": TOPOLOGY, "states": STATES, "backup": BACKUP}


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def taken_from(name):
    """Our snapshot of the daemon whose dump it was, and its configuration."""
    config = load(str(DUMPS / f"{name}.conf")).config
    groups = {member: group.name for group in config.sync_groups for member in group.members}
    instances = []
    for made in config.instances:
        state, since, read_at, changes = SETS[name][made.name]
        parameters = made.parameters
        router = VirtualRouter(parameters)
        router.master_adver_int = changes.get("master_adver_int", parameters.advert_int)
        vips = made.virtual_addresses
        instances.append(
            instance(
                name=made.name,
                interface=made.interface,
                vrid=parameters.vrid,
                version=parameters.version,
                family=parameters.family,
                state=state,
                since=iso(since),
                base_priority=parameters.priority,
                effective_priority=parameters.priority,
                preempt=not parameters.nopreempt,
                preempt_delay=parameters.preempt_delay,
                sync_group=groups.get(made.name),
                unicast=made.unicast,
                statistics=COUNTED.get((name, made.name)) or COUNTED.get(made.name),
                addresses=tuple(
                    Address(
                        address=str(vip.interface),
                        device=vip.device,
                        held=state is State.MASTER and NOT_SET.get(str(vip.interface)) != name,
                    )
                    for vip in vips
                ),
                timers=Timers(
                    running={} if read_at is None else {"master down": read_at - TAKEN, "announcement": 1000.0},
                    advert_int=parameters.advert_int,
                    master_adver_int=router.master_adver_int,
                    master_down_interval=router.master_down_interval,
                    skew_time=router.skew_time,
                ),
                **{
                    "master": None,
                    "source": "10.99.0.1",
                    **{key: value for key, value in changes.items() if key != "master_adver_int"},
                },
            )
        )
    states = {each.name: each.state for each in instances}
    status = daemon(
        *instances,
        taken=iso(TAKEN),
        groups=tuple(
            GroupStatus(
                name=group.name, state=states[group.members[0]], since=iso(0), since_seconds=0.0, members=group.members
            )
            for group in config.sync_groups
        ),
        trackers=(*(tracker(script) for script in config.scripts), TrackerStatus(kind="dns", name="x", healthy=None)),
    )
    return status, config


def tracker(script):
    healthy, result, running = {
        "chk_ok": (True, 4, False),
        "chk_fatal": (True, 1, False),
        "chk_rev": (False, 0, False),
        "chk_slow": (None, 0, True),
        "chk_new": (None, 0, True),
    }[script.name]
    return TrackerStatus(kind="script", name=script.name, healthy=healthy, result=result, running=running)


def ours(text):
    """keepalived's text without what we do not have: descriptors, uid and gid, a password in the clear, ifindex."""
    text = re.sub(r"^   (fd_in|Script uid:gid|VRRP instances :).*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r", uid:gid \d+:\d+$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^   Password = .*$", "   Password = ********", text, flags=re.MULTILINE)
    text = re.sub(r"^(   Multicast address .*), ifindex \d+$", r"\1", text, flags=re.MULTILINE)
    text = text.replace("   Flags:\n   Wantstate", "   Flags: none\n   Wantstate")
    # 2.2.7 calls an instance FAULT that waits for its trackers; 2.3 and we call it INIT
    return re.sub(
        r"State = FAULT\n(   Flags:.*\n(?:     .*\n)?)   Wantstate = BACKUP",
        r"State = INIT\n\1   Wantstate = INIT",
        text,
    )


@pytest.mark.parametrize("name", SETS)
def test_data_reads_as_keepalived_s(name):
    text = data_text(*taken_from(name))
    globals_, _, topology = text.partition("------< VRRP Topology >------\n")
    assert globals_.startswith("------< Global definitions >------\n Network namespace = (default)\n")
    expected = ours((DUMPS / f"{name}.data").read_text()).removeprefix("------< VRRP Topology >------\n")
    assert topology.splitlines() == expected.splitlines()


def test_the_lines_that_exporters_search_for():
    text = data_text(*taken_from("backup"))
    for line in (
        " VRRP Instance = VI_B",
        "   State = BACKUP",
        "   Master router = 10.99.0.2",
        "   Master priority = 200",
        "   Wantstate = BACKUP",
        "   Last transition = 1795361958.702554 (Sun Nov 22 15:39:18.702554 2026)",
        "   Interface = op-a0",
        "   Virtual Router ID = 61",
        "   Priority = 100",
        "   Effective priority = 100",
        "   Advert interval = 330 milli-sec",
        "   Virtual IP (1):",
        "     10.99.0.61/24 dev op-a0 scope global",
    ):
        assert f"\n{line}\n" in text


@pytest.mark.parametrize("name", SETS)
def test_json_has_keepalived_s_names_order_types_and_values(name):
    written = json.loads((DUMPS / f"{name}.json").read_text())
    made = json.loads(json_text(*taken_from(name)))
    for theirs in written:
        if "auth_data" in theirs["data"]:
            theirs["data"]["auth_data"] = "********"
        if theirs["data"]["iname"] in ("VI_I", "VI_N"):
            theirs["data"] |= {"state": 0, "wantstate": 0}
    assert [list(entry["data"]) for entry in made] == [list(entry["data"]) for entry in written]
    assert made == written
    types = [[type(value) for value in entry["data"].values()] for entry in written]
    assert [[type(value) for value in entry["data"].values()] for entry in made] == types


def test_stats_are_keepalived_s():
    status, _ = taken_from("backup")
    assert stats_text(status) == (DUMPS / "backup.stats").read_text()


def test_every_counter_has_its_line():
    statistics = Statistics(
        advertisements_received=1, advertisements_sent=2, became_master=3, released_master=4,
        priority_zero_received=13, priority_zero_sent=14, address_list_mismatches=1,
    )  # fmt: skip
    reasons = (
        DiscardReason.LENGTH, DiscardReason.TTL, DiscardReason.TYPE, DiscardReason.INTERVAL, DiscardReason.ADDRESS_LIST,
        DiscardReason.AUTH_TYPE_INVALID, DiscardReason.AUTH_TYPE_MISMATCH, DiscardReason.AUTH_FAILURE,
    )  # fmt: skip
    for count, reason in enumerate(reasons, 5):
        statistics.discarded[reason] = count
    status = daemon(instance(statistics=statistics))
    numbers = [
        int(line.rpartition(": ")[2])
        for line in stats_text(status).splitlines()
        if line[0] == " " and line[-1].isdigit()
    ]
    assert numbers == [1, 2, 3, 4, 5, 6, 7, 8, 9 + 1, 10, 11, 12, 13, 14]
    [entry] = json.loads(json_text(status, Config(instances=load(str(DUMPS / "states.conf")).config.instances[:1])))
    assert list(entry["stats"].values()) == [1, 2, 3, 4, 5, 8, 6, 7, 9 + 1, 10, 11, 12, 13, 14]


# --- the files -------------------------------------------------------------------------------------------------------


@pytest.fixture
def directory(monkeypatch, tmp_path):
    monkeypatch.setattr(dump_files, "DIRECTORY", tmp_path)
    return tmp_path


def test_files_are_written_for_their_owner_only_where_keepalived_writes_them(directory):
    status, config = taken_from("backup")
    paths = [dump(what, status, config) for what in Dump]
    assert paths == [directory / name for name in ("keepalived.data", "keepalived.stats", "keepalived.json")]
    assert sorted(directory.iterdir()) == sorted(paths)
    assert [stat.filemode(path.stat().st_mode) for path in paths] == ["-rw-------"] * 3
    assert [path.read_text()[:8] for path in paths] == ["------< ", "VRRP Ins", '[{"data"']


def test_default_directory_is_tmp_and_the_configuration_may_name_others():
    assert [str(dump_path(what, Globals())) for what in Dump] == [
        "/tmp/keepalived.data", "/tmp/keepalived.stats", "/tmp/keepalived.json",
    ]  # fmt: skip
    settings = Globals(state_dump_file="/run/x/state", stats_dump_file="mystats")
    assert str(dump_path(Dump.DATA, settings)) == "/run/x/state"
    assert str(dump_path(Dump.STATS, settings)) == "/tmp/mystats"


def test_a_link_that_somebody_left_in_tmp_is_replaced_not_followed(directory):
    victim = directory / "victim"
    victim.write_text("precious")
    (directory / "keepalived.stats").symlink_to(victim)
    path = dump(Dump.STATS, daemon(), Config())
    assert victim.read_text() == "precious"
    assert not path.is_symlink()


def test_a_reader_of_the_old_file_keeps_the_old_text(directory):
    path = dump(Dump.STATS, daemon(instance()), Config())
    with path.open() as reader:
        dump(Dump.STATS, daemon(), Config())
        assert reader.read().startswith("VRRP Instance: VI_1\n")
    assert path.read_text() == ""


def test_a_file_that_can_not_be_written_is_one_line_and_leaves_nothing(tmp_path):
    missing = Config(globals=Globals(stats_dump_file=str(tmp_path / "none" / "stats")))
    with pytest.raises(Unusable, match=r"^dump file .*/none/stats: No such file or directory$"):
        dump(Dump.STATS, daemon(), missing)
    (tmp_path / "stats").mkdir()
    taken = Config(globals=Globals(stats_dump_file=str(tmp_path / "stats")))
    with pytest.raises(Unusable, match=r"^dump file .*/stats: Is a directory$"):
        dump(Dump.STATS, daemon(), taken)
    assert os.listdir(tmp_path) == ["stats"]
