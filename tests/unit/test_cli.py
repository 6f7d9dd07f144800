"""The command line: verbs, keepalived's flags, exit statuses, the way to the background."""

import json
import logging
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyvrrp import __version__
from pyvrrp.cli import VERBS, main
from pyvrrp.cli.flags import FLAGS, UsageError, parse
from pyvrrp.cli.keepalived import run_options
from pyvrrp.core.events import State
from pyvrrp.daemon import main as daemon_main
from pyvrrp.daemon.control import status_method
from pyvrrp.daemon.options import RunOptions
from tests.unit.snapshots import instance, taken
from tests.unit.test_control import answering, in_thread

ROOT = Path(__file__).parents[2]
# `keepalived --help`, 2.2.7: short, long, argument ("": none, "=": required, "[=": optional)
KEEPALIVED_2_2_7 = """
f use-file =, P vrrp, C check, B no_bfd, - all, l log-console, D log-detail, S log-facility =, G no-syslog, u umask =,
X release-vips, V dont-release-vrrp, I dont-release-ipvs, R dont-respawn, n dont-fork, d dump-conf, p pid =,
r vrrp_pid =, T genhash, c checkers_pid =, a address-monitoring, b bfd_pid =, x snmp, A snmp-agent-socket =,
s namespace =, m core-dump, M core-dump-pattern [=, e all-config, i config-id =, - signum =, t config-test [=,
v version, h help
"""


def program(*arguments, **options):
    """`python -m pyvrrp` in a process of its own."""
    command = [sys.executable, "-m", "pyvrrp", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, **options)


@pytest.fixture
def started(monkeypatch):
    """What the daemon would have been started with; nothing is started."""
    calls = []

    def run(options):
        calls.append(options)
        return 0

    monkeypatch.setattr(daemon_main, "run", run)
    monkeypatch.setattr("pyvrrp.daemon.logs.setup", lambda options: calls.append(options))
    return calls


@pytest.fixture
def config(tmp_path):
    """Writes a keepalived.conf."""

    def write(extra="", *, instance_lines=""):
        path = tmp_path / "keepalived.conf"
        path.write_text(
            f"{extra}\nvrrp_instance VI_1 {{\n  interface lo\n  virtual_router_id 51\n  {instance_lines}\n"
            "  virtual_ipaddress {\n    192.0.2.1/24\n  }\n}\n"
        )
        return path

    return write


# --- verbs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--version", "-v"])
def test_version(capsys, flag):
    assert main([flag]) == 0
    assert capsys.readouterr().out == f"pyvrrp {__version__}\n"


def test_version_imports_nothing_that_takes_time():
    code = "import sys; from pyvrrp.cli import main; main(['--version']); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"argparse", "asyncio", "dataclasses", "ipaddress", "logging", "socket", "pyvrrp.core"}


def test_a_speaker_loads_nothing_before_it_advertises_that_can_wait(tmp_path):
    """What it takes to start decides whether the next one can adopt its role before a peer takes over."""
    config = tmp_path / "keepalived.conf"
    config.write_text("vrrp_instance A {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress { 192.0.2.1 }\n}\n")
    code = (
        "import sys; from pyvrrp.daemon import main, plugins; from pyvrrp.cli import run; "
        "from pyvrrp.daemon.options import RunOptions; from pathlib import Path; loaded = plugins.load(); "
        f"config = main._load(RunOptions(config_file=Path({str(config)!r})), loaded).config; "
        "main.Speaker(config, plugins=loaded); print(*sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {name.partition(".")[0] for name in loaded} & {"pyroute2", "dns", "cryptography", "scapy"}
    told_of = {f"pyvrrp.daemon.{name}" for name in ("status", "snapshot", "dump", "telling", "web", "pages")}
    told_of |= {"pyvrrp.core.metrics", "pyvrrp.core.report", "dnslb.metrics", "drbdctl.metrics", "drbdctl.report"}
    of_the_guard = {"pyvrrp.daemon.guard", "pyvrrp.core.supervision"}
    of_blocks_that_are_not_there = {
        "dnslb.model",
        "dnslb.pool",
        "drbdctl.settings",
        "drbdctl.status",
        "drbdctl.failover",
    }
    assert not loaded & (told_of | of_the_guard | of_blocks_that_are_not_there)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_verb(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"    {verb} " in shown for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(capsys, verb):
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert f"usage: pyvrrp {verb}" in capsys.readouterr().out


def test_an_unknown_verb_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["strat"])
    assert ended.value.code == 2
    assert "run" in capsys.readouterr().err


def test_an_error_of_ours_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr("pyvrrp.cli.status.call", lambda *_: 1 / 0)
    assert main(["status"]) == 70
    assert capsys.readouterr().err == (
        "pyvrrp: unexpected ZeroDivisionError: division by zero; please report it with what PYVRRP_DEBUG=1 shows\n"
    )


def test_a_closed_pipe_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m pyvrrp -n --help | true; exit ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode in (0, 141)
    assert done.stderr == ""


# --- run -------------------------------------------------------------------------------------------------------------


def test_run_hands_its_options_over(started, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYVRRP_RUN_DIR", raising=False)
    assert main(["run"]) == 0
    log, options = started
    assert options == RunOptions()
    assert options.config_file == Path("/etc/keepalived/keepalived.conf")
    assert options.run_dir == Path("/run/pyvrrp")
    assert log.level == logging.INFO
    main(["run", "-f", "x.conf", "-i", "node1", "--run-dir", "r", "--pid-file", "p", "--log-level", "debug"])
    assert started[3] == RunOptions(
        config_file=tmp_path / "x.conf", config_id="node1", run_dir=tmp_path / "r", pid_file=tmp_path / "p"
    )
    assert started[2].level == logging.DEBUG


def test_run_without_a_configuration_file_is_one_line_and_status_6(tmp_path):
    done = program("run", "-f", tmp_path / "none.conf", "--run-dir", tmp_path)
    assert done.returncode == 6
    assert done.stderr.count("\n") == 1
    assert "none.conf: No such file or directory" in done.stderr


def test_run_with_an_error_of_ours_is_one_line_and_status_70(tmp_path):
    code = (
        "import sys; from pyvrrp.daemon import main; main.run = lambda options: 1 / 0;"
        "from pyvrrp.cli import main; sys.exit(main(['run']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 70
    assert done.stderr.count("\n") == 1
    assert "ZeroDivisionError: division by zero; please report it" in done.stderr


# --- keepalived's flags ----------------------------------------------------------------------------------------------


def test_every_flag_of_keepalived_2_2_7_is_known():
    known = {(flag.short or "-", flag.long): {"": "", "[": "[="}.get(flag.argument[:1], "=") for flag in FLAGS}
    for entry in KEEPALIVED_2_2_7.replace("\n", " ").split(","):
        short, long, *argument = entry.split()
        assert known[short, long] == (argument[0] if argument else ""), long
    assert len({flag.short for flag in FLAGS if flag.short}) == sum(bool(flag.short) for flag in FLAGS)


@pytest.mark.parametrize(
    ("line", "found", "others"),
    [
        ("-nlD", {"dont-fork": "", "log-console": "", "log-detail": ""}, []),
        ("-f /etc/x -P", {"use-file": "/etc/x", "vrrp": ""}, []),
        ("-f/etc/x", {"use-file": "/etc/x"}, []),
        ("-nf /etc/x", {"dont-fork": "", "use-file": "/etc/x"}, []),
        ("--use-file /etc/x", {"use-file": "/etc/x"}, []),
        ("--use-file=/etc/x", {"use-file": "/etc/x"}, []),
        ("--use-file= -n", {"use-file": "", "dont-fork": ""}, []),
        ("--dont-fork", {"dont-fork": ""}, []),
        ("--dont-f", {"dont-fork": ""}, []),
        ("--vrrp", {"vrrp": ""}, []),
        ("-f a -f b", {"use-file": "b"}, []),
        ("-t -f x", {"config-test": "", "use-file": "x"}, []),
        ("-t/tmp/x", {"config-test": "/tmp/x"}, []),
        ("--config-test=/tmp/x", {"config-test": "/tmp/x"}, []),
        ("-t /tmp/x", {"config-test": ""}, ["/tmp/x"]),
        ("-M -n", {"core-dump-pattern": "", "dont-fork": ""}, []),
        ("-n -- -x", {"dont-fork": ""}, ["-x"]),
        ("-n - x", {"dont-fork": ""}, ["-", "x"]),
        ("-p -1", {"pid": "-1"}, []),
    ],
)
def test_flags_are_read_as_getopt_long_does(line, found, others):
    assert parse(line.split()) == (found, others)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("-Q", "option -Q is unknown; "),
        ("-nQ", "option -Q is unknown; "),
        ("--nope", "option --nope is unknown; "),
        ("--dont", "option --dont is ambiguous: --dont-release-vrrp, --dont-release-ipvs, --dont-respawn, --dont-fork"),
        ("--dont-fork=yes", "option --dont-fork takes no argument"),
        ("-n -f", "option -f FILE: the argument is missing"),
        ("--pid", "option --pid FILE: the argument is missing"),
    ],
)
def test_flags_that_can_not_be_understood_are_one_line_and_status_1(capsys, line, text):
    with pytest.raises(UsageError, match=text):
        parse(line.split())
    assert main(line.split()) == 1
    assert capsys.readouterr().err.startswith(f"pyvrrp: {text}")


def test_the_flags_of_a_unit_file(started, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    line = "--dont-fork --log-console --log-detail -P -V -d -f k.conf -p a.pid -r b.pid -i id -s ns"
    assert main(line.split()) == 0
    log, options = started
    assert options == RunOptions(
        config_file=tmp_path / "k.conf",
        config_id="id",
        net_namespace="ns",
        pid_file=tmp_path / "a.pid",
        vrrp_pid_file=tmp_path / "b.pid",
        keepalived_form=True,
        vrrp=True,
        plugins=False,
        keep_addresses=True,
        dump_config=True,
    )
    assert (log.level, log.destination.value, log.file, log.facility) == (logging.DEBUG, "console", None, "daemon")


@pytest.mark.parametrize(
    ("line", "destination", "file", "facility"),
    [
        ("-n", "system", None, "daemon"),
        ("-n -S 3", "system", None, "local3"),
        ("-n -S local7", "system", None, "local7"),
        ("-n -S user", "system", None, "user"),
        ("-n -G", "none", None, "daemon"),
        ("-n -G -g /x/k.log", "none", "/x/k.log", "daemon"),
        ("-n -l -G", "console", None, "daemon"),
    ],
)
def test_where_to_log(started, line, destination, file, facility):
    main(line.split())
    log = started[0]
    assert (log.level, log.destination.value, log.facility) == (logging.INFO, destination, facility)
    assert log.file == (Path(file) if file else None)


@pytest.mark.parametrize(
    ("line", "vrrp", "plugins"),
    [("-n", True, True), ("-n -P", True, False), ("-n -C", False, True), ("-n -P -C", True, True)],
)
def test_subsystems(line, vrrp, plugins):
    options = run_options(parse(line.split())[0])
    assert (options.vrrp, options.plugins) == (vrrp, plugins)


def test_flags_without_effect_are_named_in_one_warning(started, capsys):
    line = "-n -x -A /var/agentx -I -R -B --all -a -e --perf=all --debug -c /c.pid -b /b.pid word"
    assert main(line.split()) == 0
    [warning] = capsys.readouterr().err.splitlines()
    assert warning.startswith("pyvrrp: no effect here: -B (there is no BFD process), --all (")
    assert "-x (there is no SNMP agent)" in warning
    assert warning.endswith("'word' (not a flag)")
    assert len(started) == 2


def test_flags_with_an_effect_say_nothing(started, capsys):
    main(["-n", "-l", "-D", "-P"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("-n -S 9", "-S 9: the facility is 0-7"),
        ("-n -u 999", "-u 999: the umask is"),
        ("-T", "-T: there is no genhash"),
    ],
)
def test_bad_arguments_are_one_line(started, capsys, line, text):
    assert main(line.split()) == 1
    assert capsys.readouterr().err.startswith(f"pyvrrp: {text}")
    assert started == []


def test_umask_and_core_dumps(tmp_path):
    code = (
        "import sys, os, resource; from pyvrrp.daemon import main\n"
        "main.run = lambda options: print(oct(os.umask(0)), resource.getrlimit(resource.RLIMIT_CORE)) or 0\n"
        "from pyvrrp.cli import main; sys.exit(main(['-n', '-l', '-u', '027', '-m']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "0o27 (-1, -1)\n"


@pytest.mark.parametrize(
    ("name", "number"), [("STOP", 15), ("RELOAD", 1), ("DATA", 10), ("STATS", 12), ("STATS_CLEAR", 63), ("JSON", 36)]
)
def test_signal_numbers_are_those_of_keepalived_on_glibc(capsys, name, number):
    assert main([f"--signum={name}"]) == 0
    assert capsys.readouterr().out == f"{number}\n"


def test_an_unknown_signal_is_status_1(capsys):
    assert main(["--signum", "NOPE"]) == 1
    assert "NOPE: unknown; known: STOP, RELOAD" in capsys.readouterr().err


def test_the_flags_explain_themselves(capsys):
    assert main(["-n", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "  -f, --use-file=FILE\n" in shown
    assert "  -t, --config-test[=FILE]\n" in shown
    assert "  -x, --snmp                        no effect: there is no SNMP agent\n" in shown


# --- -t --------------------------------------------------------------------------------------------------------------


SECURE = "global_defs {\n  enable_script_security\n  script_user root\n}"
SCRIPT = 'vrrp_script chk {\n  script "/usr/bin/true"\n}'


def test_config_test_of_a_clean_file(config, capsys):
    assert main(["-t", "-f", str(config())]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("extra", "lines", "status", "code"),
    [
        ("nonsense", "", 5, "unknown-keyword"),
        (SCRIPT, "track_script {\n    chk\n  }", 6, "script-security"),
        (SECURE + SCRIPT, "track_script {\n    chk\n  }", 0, ""),
        (SCRIPT, "track_script {\n    chk\n  }\n  nonsense", 5, "unknown-keyword"),
        ("", "virtual_router_id 300", 4, ""),
    ],
    ids=["errors", "script security only", "secure scripts", "both", "can't be run"],
)
def test_config_test_returns_what_keepalived_returns(config, capsys, extra, lines, status, code):
    assert main(["--config-test", "-f", str(config(extra, instance_lines=lines))]) == status
    assert code in capsys.readouterr().err


def test_config_test_of_a_missing_file_is_4(tmp_path, capsys):
    assert main(["-t", "-f", str(tmp_path / "none.conf")]) == 4
    assert capsys.readouterr().err == f"pyvrrp: {tmp_path}/none.conf: No such file or directory\n"


def test_config_test_writes_to_the_file_it_was_given(config, tmp_path, capsys):
    assert main([f"-t{tmp_path}/found", "-f", str(config("nonsense"))]) == 5
    assert "unknown-keyword" in (tmp_path / "found").read_text()
    assert capsys.readouterr().err == ""
    assert main([f"-t{tmp_path}/none/found", "-f", str(config())]) == 4
    assert "none/found: No such file or directory" in capsys.readouterr().err


# --- the background --------------------------------------------------------------------------------------------------


BACKGROUND = """
import os, signal, sys, time
from pathlib import Path
from pyvrrp.cli.background import in_background
def work(on_up):
    Path(sys.argv[1]).write_text(f"{os.getpid()} {os.getppid()} {os.getsid(0)} {os.getcwd()}")
    print("early", file=sys.stderr)
    %s
    on_up()
    print("late", file=sys.stderr)
    for path in sys.argv[2:]:
        while not Path(path).exists(): time.sleep(0.01)
    on_up()
    Path(sys.argv[1]).write_text("ended")
    return 3
sys.exit(in_background(work))
"""


def background(tmp_path, extra="", *arguments):
    command = [sys.executable, "-c", BACKGROUND % extra, tmp_path / "state", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    return done, (tmp_path / "state").read_text().split()


def test_the_caller_returns_when_the_daemon_is_up_and_the_daemon_goes_on(tmp_path):
    """subprocess reads standard error to its end: a daemon that kept it open would hold it up."""
    done, (pid, _parent, session, directory) = background(tmp_path, "", tmp_path / "stop")
    assert done.returncode == 0
    assert done.stderr == "early\n"
    assert directory == "/"
    assert session not in (pid, str(os.getsid(0))), "it must not be able to get a terminal"
    os.kill(int(pid), 0)
    (tmp_path / "stop").touch()
    deadline = time.monotonic() + 5
    while (tmp_path / "state").read_text() != "ended":
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("extra", "status"),
    [("return 2", 2), ("os._exit(4)", 70), ("os.kill(os.getpid(), signal.SIGKILL)", 70), ("return 0", 0)],
)
def test_the_status_of_a_failed_start_reaches_the_caller(tmp_path, extra, status):
    done, _ = background(tmp_path, extra)
    assert done.returncode == status
    why = f"pyvrrp: it did not start (exit status {status}); the system log says why, or run it with -n -l\n"
    assert done.stderr == "early\n" + (why if status else "")


def test_an_early_error_of_the_daemon_reaches_the_caller(tmp_path):
    done = program("-f", tmp_path / "none.conf", "-p", tmp_path / "pid", "-G", "-g", tmp_path / "log")
    assert done.returncode == 6
    assert "it did not start (exit status 6)" in done.stderr
    assert "none.conf: No such file or directory" in (tmp_path / "log").read_text()
    assert not (tmp_path / "pid").exists()


# --- status ----------------------------------------------------------------------------------------------------------


def served(tmp_path, *instances):
    return in_thread(tmp_path / "control", {"status": status_method(taken(*instances))})


def test_status_of_a_healthy_daemon(tmp_path, capsys):
    with served(tmp_path, instance()):
        assert main(["status", "--run-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "VI_1  MASTER  for 2 h 3 min" in shown.out
    assert "\x1b" not in shown.out
    assert shown.err == ""


def test_status_with_a_fault_is_1_unless_another_instance_was_asked_for(tmp_path, capsys):
    with served(tmp_path, instance(), instance(name="VI_2", state=State.FAULT, phase=None)):
        assert main(["status", "--run-dir", str(tmp_path)]) == 1
        assert main(["status", "--run-dir", str(tmp_path), "VI_1"]) == 0
        assert "VI_2" not in capsys.readouterr().out.rpartition("pyvrrp ")[2]
        assert main(["status", "--run-dir", str(tmp_path), "VI_9"]) == 2
    assert capsys.readouterr().err == "pyvrrp: no vrrp_instance VI_9; there are: VI_1, VI_2\n"


def test_status_as_json_is_the_snapshot(tmp_path, capsys):
    with served(tmp_path, instance()):
        assert main(["status", "--json", "--run-dir", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["instances"][0]["vrid"]) == (1, 51)


def test_status_of_a_daemon_with_a_name(tmp_path, capsys):
    with in_thread(tmp_path / "control-blue", {"status": status_method(taken())}):
        assert main(["status", "--instance", "blue", "--run-dir", str(tmp_path)]) == 0


def test_status_without_a_daemon_is_3_and_one_line(tmp_path, capsys):
    assert main(["status", "--run-dir", str(tmp_path)]) == 3
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"pyvrrp: pyvrrp is not running ({tmp_path}/control: No such file or directory); start it")


@pytest.mark.parametrize(
    "answer", [b'{"ok": true, "result": {"schema": 2, "instances": []}}\n', b'{"ok": true, "result": 5}\n', b"?\n"]
)
def test_status_from_something_else_is_4_and_one_line(tmp_path, capsys, answer):
    with answering(tmp_path / "control", answer):
        assert main(["status", "--run-dir", str(tmp_path)]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_watching_goes_on_until_interrupted_also_while_the_daemon_is_away(tmp_path):
    command = [sys.executable, "-m", "pyvrrp", "status", "--json", "--watch", "0.1", "--run-dir", tmp_path]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a shell's `&` has it ignored
    ) as watching:
        assert "is not running" in watching.stderr.readline()
        with served(tmp_path, instance()):
            lines = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 0
    assert [line["pid"] for line in lines] == [812, 812]


@pytest.mark.parametrize("seconds", ["0", "nan", "-1", "VI_1"])
def test_watching_needs_a_number_of_seconds(capsys, seconds):
    with pytest.raises(SystemExit):
        main(["status", "--watch", seconds])
    assert "seconds between 0.1 and 86400" in capsys.readouterr().err


# --- metrics ---------------------------------------------------------------------------------------------------------


def measured(tmp_path):
    async def metrics(parameters):
        return f"# ü openmetrics {parameters['openmetrics']}\nup 1\n"

    return in_thread(tmp_path / "control", {"metrics": metrics})


def test_metrics_are_printed_as_they_are(tmp_path, capfd):
    with measured(tmp_path):
        assert main(["metrics", "--run-dir", str(tmp_path)]) == 0
        assert main(["metrics", "--openmetrics", "--run-dir", str(tmp_path)]) == 0
    assert capfd.readouterr().out == "# ü openmetrics False\nup 1\n# ü openmetrics True\nup 1\n"


def test_metrics_replace_a_file_whole_and_leave_nothing_beside_it(tmp_path, capfd):
    directory = tmp_path / "collector"
    directory.mkdir()
    file = directory / "pyvrrp.prom"
    file.write_text("old")
    with measured(tmp_path):
        assert main(["metrics", "--write", str(file), "--run-dir", str(tmp_path)]) == 0
        assert main(["metrics", "--write", str(directory / "no" / "x.prom"), "--run-dir", str(tmp_path)]) == 1
    assert file.read_text() == "# ü openmetrics False\nup 1\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert list(directory.iterdir()) == [file]
    told = capfd.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert told.err.startswith(f"pyvrrp: {directory}/no/x.prom: No such file or directory; ")


def test_metrics_without_a_daemon_are_3_and_leave_the_file_alone(tmp_path, capfd):
    file = tmp_path / "pyvrrp.prom"
    file.write_text("old")
    assert main(["metrics", "--write", str(file), "--run-dir", str(tmp_path)]) == 3
    assert file.read_text() == "old"
    assert "pyvrrp is not running" in capfd.readouterr().err
