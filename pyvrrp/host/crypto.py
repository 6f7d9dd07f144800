"""The HMAC functions that the core is handed."""

from __future__ import annotations


def hmac_md5(key: bytes, message: bytes) -> bytes:
    """HMAC-MD5 (RFC 2104), 16 bytes; `cryptography` also has it where the system's policy keeps MD5 from hashlib."""
    from cryptography.hazmat.primitives.hashes import MD5
    from cryptography.hazmat.primitives.hmac import HMAC

    context = HMAC(key, MD5())  # AH of RFC 2338 is HMAC-MD5-96; what it protects is the LAN's own advertisement
    context.update(message)
    return context.finalize()
