"""What one virtual router hears: the checks of each packet, and who is configured differently."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pyvrrp.core.advertisement import ChecksumForm
from pyvrrp.core.claim import message_of, read
from pyvrrp.core.datagram import Datagram
from pyvrrp.core.discard import Discard, DiscardReason
from pyvrrp.core.events import AdvertisementReceived, IPAddress, State
from pyvrrp.core.mismatch import differences, fields, sentence
from pyvrrp.core.parameters import Parameters
from pyvrrp.core.reception import GROUP4, GROUP6, Reception
from pyvrrp.core.senders import Register, Remark, Sender
from pyvrrp.daemon.wire import Wire
from pyvrrp.host.capabilities import MissingCapability

if TYPE_CHECKING:
    from pyvrrp.daemon.instance import Instance

MOST = 16
"senders with our VRID that are listed"
_LOG = logging.getLogger("pyvrrp")


class Hearing:
    """The ear of one instance; what passes the checks goes to its router."""

    def __init__(self, instance: Instance, parameters: Parameters) -> None:
        self.deaf = ""
        "why it can't listen"
        self.last_discard: tuple[Discard, IPAddress, float] | None = None
        "what was refused last, from whom, when"
        self._instance = instance
        self._wire: Wire | None = None
        self.configure(parameters)

    def configure(self, parameters: Parameters) -> None:
        """Begin anew with the instance's configuration as it is now; not while it listens."""
        config = self._instance.config
        peers = None
        if config.check_unicast_src or any(
            peer.min_ttl is not None or peer.max_ttl is not None for peer in config.unicast_peers
        ):
            peers = {
                peer.address: (
                    0 if peer.min_ttl is None else peer.min_ttl,
                    255 if peer.max_ttl is None else peer.max_ttl,
                )
                for peer in config.unicast_peers
            }
        self.register = Register(MOST)
        self._reception = Reception(
            parameters=parameters,
            security=self._instance.security,
            unicast=config.unicast,
            group=self.group,
            checksum=ChecksumForm.MESSAGE if config.v3_checksum_as_v2 else ChecksumForm.PSEUDO_HEADER,
            peers=peers,
            statistics=self._instance.statistics,
        )

    # --- what can be asked -------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The instance's."""
        return self._instance.name

    @property
    def interface(self) -> str:
        """Where it listens."""
        return self._instance.config.interface

    @property
    def parameters(self) -> Parameters:
        """What the packets are compared with."""
        return self._reception.parameters

    @property
    def source(self) -> IPAddress | None:
        """The address that we advertise from."""
        return self._instance.router.source

    @property
    def remarks(self) -> dict[str, str]:
        """What the last accepted advertisement had different from our configuration: field -> sentence."""
        return dict(self._reception.remarks)

    @property
    def group(self) -> IPAddress | None:
        """The multicast group, None for unicast."""
        config, settings = self._instance.config, self._instance.node.settings
        if config.unicast:
            return None
        if config.parameters.family == 4:
            return config.multicast_group or settings.multicast_group4 or GROUP4
        return config.multicast_group or settings.multicast_group6 or GROUP6

    # --- listening ---------------------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Open what is needed to hear advertisements; what prevents it is a fault of the instance."""
        config, parameters = self._instance.config, self.parameters
        wire = self._instance.node.wire(config.interface)
        if wire is None or wire is self._wire:
            return
        try:
            wire.listen(self, parameters.family, parameters.vrid, self._reception.group, config.kernel_rx_buf_size)
        except (OSError, MissingCapability) as error:
            why = error.strerror if isinstance(error, OSError) else None
            self.deaf = f"can't listen on {config.interface}: {why or error}"
        else:
            self.deaf = ""
            self._wire = wire

    def stop_listening(self) -> None:
        """Hear nothing any more."""
        if self._wire is not None:
            self._wire.leave(self, self.parameters.family, self.parameters.vrid, self._reception.group)
        self._wire = None

    def heard(self, datagram: Datagram) -> bool:
        """Take a packet with our VRID; what is no valid advertisement is counted, and False."""
        instance = self._instance
        try:
            if datagram.source == instance.router.source:
                raise Discard(DiscardReason.OWN_SOURCE, "it has our own address as its source")
            advertisement = self._reception.check(datagram)
        except Discard as refused:
            instance.statistics.discarded[refused.reason] += 1
            self.last_discard = (refused, datagram.source, instance.node.clock())
            return False
        if self._reception.remarks:
            self._remark(datagram, None)
        elif self.register.senders:
            self._agreed(datagram.source)
        instance.deliver(AdvertisementReceived(advertisement, datagram.source))
        return True

    # --- telling -----------------------------------------------------------------------------------------------------

    def complain(self, datagram: Datagram) -> None:
        """Tell of a packet that `heard` refused just now, and that is not for another instance with this VRID."""
        if self.last_discard is None or self._wire is None:
            return
        refused, source, now = self.last_discard
        if refused.reason is DiscardReason.OWN_SOURCE:
            self._wire.strangers.heard_ourselves(self.parameters.vrid, source, now)
        elif refused.reason is not DiscardReason.OWNER:
            self._remark(datagram, refused)

    def saw(self, source: IPAddress, mac: str, now: float) -> None:
        """A packet with our VRID came from this MAC."""
        self.register.saw((self.parameters.vrid, source), mac, now)

    def tell(self, sender: Sender) -> None:
        """Log one line about another router with our VRID."""
        router = self._instance.router
        followed = router.master if router.state is State.BACKUP else None
        text = sentence(sender, self.parameters, master=router.state is State.MASTER, followed=followed)
        self._log(logging.WARNING, text, sender)

    def tell_again(self) -> None:
        """The state has changed: who is configured differently may be the reason."""
        self.register.forget_told()

    def _remark(self, datagram: Datagram, refused: Discard | None) -> None:
        now, vrid = self._instance.node.clock(), self.parameters.vrid
        packet = (message_of(datagram), None if refused is None else refused.reason)

        def describe() -> Remark:
            try:
                claim = read(datagram)
            except Discard:
                claim = None
            if refused is None:
                return claim, dict(self._reception.remarks)
            return claim, differences(claim, refused, self._reception)

        key = (vrid, datagram.source)
        if self.register.heard(key, packet, now, describe, vrid=vrid, refused=refused is not None):
            self._instance.node.finder.attend(self)

    def _agreed(self, source: IPAddress) -> None:
        sender = self.register.agreed((self.parameters.vrid, source), self._instance.node.clock())
        if sender is not None:
            text = f"{sender.who} is configured as we are now; it had {fields(sender.differs)}"
            self._log(logging.INFO, text, sender)

    def _log(self, level: int, text: str, sender: Sender) -> None:
        fields_of_journal = {"VRRP_INSTANCE": self.name, "VRRP_SOURCE": str(sender.source), "VRRP_MAC": sender.mac}
        _LOG.log(level, "%s: %s", self.name, text, extra=fields_of_journal)
