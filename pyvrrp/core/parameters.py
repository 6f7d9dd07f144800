"""What one virtual router is configured to be, as far as the election is concerned."""

from __future__ import annotations

from dataclasses import dataclass

from pyvrrp.core.events import IPAddress, State

OWNER = 255
"the priority of the router that owns the addresses (RFC 3768 section 5.3.4)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Parameters per virtual router (RFC 3768 section 6.1.2, RFC 9568 section 6.1, keepalived.conf(5))."""

    vrid: int
    "1-255"
    version: int = 2
    "2 or 3; 2 over IPv6 is keepalived's own, it comes by `version 2` only"
    family: int = 4
    "4 or 6: the IP version that carries the advertisements"
    addresses: tuple[IPAddress, ...] = ()
    "the VIPs of the advertisement, in configured order (excluded ones are not here)"
    priority: int = 100
    "the configured (base) priority, 1-255; 255 is the address owner"
    advert_int: float = 1.0
    "seconds; v2: whole seconds 1-255, v3: hundredths, 0.01-40.95"
    initial_state: State = State.BACKUP
    "`state MASTER` is a wish: see VirtualRouter"
    nopreempt: bool = False
    preempt_delay: float = 0.0
    "seconds"
    down_timer_adverts: int = 3
    "Master_Down_Interval = this many intervals + skew; 1-100"
    garp_master_delay: float = 5.0
    "seconds until the second burst after taking over; 0: none"
    garp_master_repeat: int = 5
    garp_master_refresh: float = 0.0
    "seconds between refreshes while MASTER; 0: none"
    garp_master_refresh_repeat: int = 1
    garp_lower_prio_delay: float = 5.0
    garp_lower_prio_repeat: int = 5
    lower_prio_no_advert: bool = False
    higher_prio_send_advert: bool = True
    """Deposed by a higher priority, say so by one last advertisement: after a partition has healed, the other may have
    been MASTER all along, and announces its addresses again only when it learns that there was another one."""
    owner_ignore_adverts: bool = False
    skip_check_adv_addr: bool = False
    "do not compare the VIP list with that of the advertisements received"
    startup_delay: float = 0.0
    "seconds after Startup in which advertisements are ignored and none is sent (vrrp_startup_delay)"
    in_sync_group: bool = False
    gated: bool = False
    "plugins must acquire something before the addresses come up"
    gate_timeout: float = 60.0
    "seconds until an acquisition that has not answered counts as failed"
    gate_cool_down: float = 30.0
    "seconds in FAULT after a failed acquisition before trying again"

    def __post_init__(self) -> None:
        """Refuse what can't be put on the wire; a configuration file has had its diagnostics before."""
        if not 1 <= self.vrid <= 255:
            raise ValueError(f"vrid {self.vrid} is not in 1-255")
        if self.version not in (2, 3):
            raise ValueError(f"version {self.version} is neither 2 nor 3")
        if self.family not in (4, 6):
            raise ValueError(f"family {self.family} is neither 4 nor 6")
        if not 1 <= self.priority <= OWNER:
            raise ValueError(f"priority {self.priority} is not in 1-255")
        if self.version == 2 and not (self.advert_int == int(self.advert_int) and 1 <= self.advert_int <= 255):
            raise ValueError(f"advert_int {self.advert_int} s: VRRPv2 carries whole seconds, 1-255")
        if self.version == 3 and not 0.01 <= self.advert_int <= 40.95:
            raise ValueError(f"advert_int {self.advert_int} s: VRRPv3 carries 0.01-40.95 s")
        if not 1 <= self.down_timer_adverts <= 100:
            raise ValueError(f"down_timer_adverts {self.down_timer_adverts} is not in 1-100")
        if len(self.addresses) > 255:
            raise ValueError(f"{len(self.addresses)} addresses: an advertisement carries at most 255")
