"""What an instance authenticates with, keys and digests in place."""

from __future__ import annotations

from pyvrrp.config.model import VrrpInstance
from pyvrrp.core.auth import AuthenticationHeader, NoAuthentication, Security, SimpleText
from pyvrrp.host.crypto import hmac_md5


def security_of(config: VrrpInstance, before: Security | None = None) -> Security:
    """The authentication of an instance; an AH's sequence goes on where the one before was."""
    match config.authentication:
        case None:
            return NoAuthentication()
        case authentication if authentication.auth_type == "AH":
            sequence = before.sequence if isinstance(before, AuthenticationHeader) else 0
            return AuthenticationHeader(authentication.key, hmac_md5, sequence)
        case authentication:
            return SimpleText(authentication.key)
