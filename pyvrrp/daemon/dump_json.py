"""keepalived.json, version 1 (`json_version 1`): an array of {"data": {...}, "stats": {...}}, one per instance.

The names, their order, and which flags are numbers and which are booleans are those of keepalived 2.2.7.
"""

from __future__ import annotations

import json

from pyvrrp.config.model import Config, VrrpInstance
from pyvrrp.core.events import State
from pyvrrp.daemon.dump_words import address_lines, command, error_count, seconds
from pyvrrp.daemon.status import DaemonStatus, InstanceStatus

_STATES = {State.INIT: 0, State.BACKUP: 1, State.MASTER: 2, State.FAULT: 3}
_AUTH_TYPES = {"PASS": 1, "AH": 2}


def json_text(status: DaemonStatus, config: Config) -> str:
    """The file for a snapshot; `config` is the configuration that it was taken with."""
    made = {each.name: each for each in config.instances}
    entries = [{"data": _data(now, made[now.name], config), "stats": _stats(now)} for now in status.instances]
    return json.dumps(entries, separators=(",", ":")) + "\n"


def _data(now: InstanceStatus, made: VrrpInstance, config: Config) -> dict[str, object]:
    parameters, notify, timers = made.parameters, made.notify, now.timers
    advertised, excluded = address_lines(now, made)
    commands = {each.name: command(each.command) for each in config.scripts}
    scripts = {
        "script_backup": notify.backup,
        "script_master": notify.master,
        "script_fault": notify.fault,
        "script_stop": notify.stop,
        "script_deleted": notify.deleted,
        "script": notify.any,
        "script_master_rx_lower_pri": notify.master_rx_lower_pri,
    }
    lists = {
        "vips": advertised,
        "evips": excluded,
        "track_ifp": [track.name for track in made.tracks if track.kind == "interface"],
        "track_script": [
            commands[track.name] for track in made.tracks if track.kind == "script" and track.name in commands
        ],
    }
    return {
        "iname": now.name,
        "dont_track_primary": int(made.dont_track_primary),
        "skip_check_adv_addr": int(parameters.skip_check_adv_addr),
        "strict_mode": 0,
        "vmac_ifname": "",
        "ifp_ifname": now.interface,
        "master_priority": now.master.priority if now.master and not now.master.myself else 0,
        "last_transition": seconds(now.since),
        "garp_delay": _number(parameters.garp_master_delay),
        "garp_refresh": _number(parameters.garp_master_refresh),
        "garp_rep": parameters.garp_master_repeat,
        "garp_refresh_rep": parameters.garp_master_refresh_repeat,
        "garp_lower_prio_delay": _number(parameters.garp_lower_prio_delay),
        "garp_lower_prio_rep": parameters.garp_lower_prio_repeat,
        "lower_prio_no_advert": int(parameters.lower_prio_no_advert),
        "higher_prio_send_advert": int(parameters.higher_prio_send_advert),
        "vrid": now.vrid,
        "base_priority": now.base_priority,
        "effective_priority": now.effective_priority,
        "vipset": any(each.held for each in now.addresses),
        "promote_secondaries": False,
        "adver_int": _number(timers.advert_int),
        "master_adver_int": _number(timers.master_adver_int),
        "accept": 1,
        "nopreempt": not now.preempt,
        "preempt_delay": _number(now.preempt_delay),
        "state": _STATES[now.state],
        "wantstate": _STATES[now.state],
        "version": now.version,
        "smtp_alert": False,
        "notify_deleted": notify.deleted is not None,
        **{name: command(script) for name, script in scripts.items() if script},
        **{name: lines for name, lines in lists.items() if lines},
        "auth_type": _AUTH_TYPES.get(made.authentication.auth_type, 0) if made.authentication else 0,
        **({"auth_data": "********"} if made.authentication else {}),
    }


def _stats(now: InstanceStatus) -> dict[str, int]:
    count = now.counters
    return {
        "advert_rcvd": count["advertisements_received"],
        "advert_sent": count["advertisements_sent"],
        "become_master": count["became_master"],
        "release_master": count["released_master"],
        "packet_len_err": error_count(now, "packet_length_errors"),
        "advert_interval_err": error_count(now, "adv_interval_errors"),
        "ip_ttl_err": error_count(now, "ip_ttl_errors"),
        "invalid_type_rcvd": error_count(now, "invalid_type_pkts_received"),
        "addr_list_err": error_count(now, "address_list_errors"),
        "invalid_authtype": error_count(now, "invalid_auth_type"),
        "authtype_mismatch": error_count(now, "auth_type_mismatch"),
        "auth_failure": error_count(now, "auth_failures"),
        "pri_zero_rcvd": count["priority_zero_received"],
        "pri_zero_sent": count["priority_zero_sent"],
    }


def _number(value: float) -> float:
    """Whole seconds without a fraction, as keepalived prints them."""
    return int(value) if value == int(value) else value
