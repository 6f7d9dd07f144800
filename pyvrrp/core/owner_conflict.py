"""Two routers that both claim to own the addresses (priority 255)."""

from __future__ import annotations

from pyvrrp.core.parameters import OWNER


class OwnerConflict:
    """Decides when an address owner gives up its 255 because another owner goes on advertising.

    The owner with the lower address yields at once. When the other one is still heard after two of our advertisements
    and 1.2 of the longer interval it is deaf to us, and one of the two has to go: we claim 254 until it is gone
    (keepalived's rule; RFC 9568 erratum 8298 leaves the conflict to the state machine).
    """

    def __init__(self) -> None:
        self.yielded = False
        "we claim 254 for now"
        self._until: float | None = None
        self._heard = 0.0

    def heard(self, advert_int: float, their_interval: float, now: float) -> None:
        """Another owner's advertisement came while we are MASTER with 255; intervals and `now` in seconds."""
        patience = 2 * advert_int + 1.2 * max(advert_int, their_interval)
        if self._until is None or now > self._heard + patience:
            self._until = now + patience
        elif now >= self._until:
            self.yielded = True
        self._heard = now

    def over(self) -> None:
        """We are MASTER again, or no longer: the other one is gone or has won."""
        self._until = None

    @property
    def priority(self) -> int:
        """What an owner claims: 255, or 254 after it has yielded."""
        return OWNER - 1 if self.yielded else OWNER
