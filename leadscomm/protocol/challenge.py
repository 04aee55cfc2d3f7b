"""Two peers show each other that they hold the same key, without telling it.

::

    client → server   "LCK1" nonce_c[32]
    server → client   "LCK1" nonce_s[32] HMAC-SHA256(key, "LCK1 server" nonce_c nonce_s)
    client → server   HMAC-SHA256(key, "LCK1 client" nonce_s nonce_c)
    server → client   06

Each side answers the other's fresh nonce, and each answer names its side, so that an answer can be neither replayed
nor reflected. After it the stream is used as without a key: the challenge tells who is there; it does not hide or
protect what is said. TLS does.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

MAGIC: Final = b"LCK1"
NONCE_BYTES: Final = 32
PROOF_BYTES: Final = 32
ACCEPTED: Final = b"\x06"
GREETING_BYTES: Final = len(MAGIC) + NONCE_BYTES


def greeting(nonce: bytes) -> bytes:
    """The first words of either side."""
    return MAGIC + nonce


def nonce_of(words: bytes) -> bytes | None:
    """The nonce in a peer's greeting; None if it is no greeting."""
    return words[len(MAGIC) :] if len(words) == GREETING_BYTES and words.startswith(MAGIC) else None


def server_proof(key: bytes, client_nonce: bytes, server_nonce: bytes) -> bytes:
    """What shows the client that the server holds the key."""
    return hmac.new(key, b"LCK1 server" + client_nonce + server_nonce, hashlib.sha256).digest()


def client_proof(key: bytes, client_nonce: bytes, server_nonce: bytes) -> bytes:
    """What shows the server that the client holds the key."""
    return hmac.new(key, b"LCK1 client" + server_nonce + client_nonce, hashlib.sha256).digest()


def same(proof: bytes, expected: bytes) -> bool:
    """Compare in a time that does not tell where they differ."""
    return hmac.compare_digest(proof, expected)
