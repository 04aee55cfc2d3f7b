"""The key challenge of :mod:`leadscomm.protocol.challenge`, spoken over a connection that has just been opened."""

from __future__ import annotations

import contextlib
import secrets
import time
from typing import Protocol

from leadscomm.errors import AuthenticationFailed, CommTimeout, ConnectFailed
from leadscomm.protocol import challenge
from leadscomm.protocol.framing import guess
from leadscomm.protocol.session.base import GIVES_BACK

_MEND = "give both sides the same key (key_file= or key_env=), or neither"


class Stream(Protocol):
    """The raw half of a connection."""

    def _read(self) -> bytes | None: ...
    def _write(self, data: bytes | memoryview) -> int: ...
    def _wait_readable(self, timeout: float | None) -> bool: ...
    def _wait_writable(self, timeout: float) -> bool: ...


class _Talk:
    """Exact reads and whole writes before a deadline (as ``time.monotonic()`` counts)."""

    def __init__(self, stream: Stream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline
        self.unused = b""

    def take(self, count: int, what: str, begins: bytes = b"") -> bytes:
        """:param begins: how it begins; what begins otherwise is returned as it is, at once."""
        while len(self.unused) < count and begins.startswith(self.unused[: len(begins)]):
            if not self._stream._wait_readable(max(0.0, self._deadline - time.monotonic())):
                raise self._instead() or CommTimeout(f"{self._stream} did not send {what} in time; {_MEND}")
            try:
                data = self._stream._read()
            except BlockingIOError:
                continue
            if data is None:
                raise self._instead() or AuthenticationFailed(
                    f"{self._stream} ended the conversation instead of sending {what}; {_MEND}"
                )
            self.unused += data
        words, self.unused = self.unused[:count], self.unused[count:]
        return words

    def _instead(self) -> AuthenticationFailed | None:
        """What the peer wants instead of a proof, if it has said so."""
        wants = "" if self.unused.startswith(challenge.MAGIC) else guess.greeting(self.unused)
        return AuthenticationFailed(f"{self._stream} {wants}") if wants else None

    def hint(self, words: bytes) -> None:
        """Tell a peer that does not speak of a key what is wrong; it is on its way out."""
        with contextlib.suppress(OSError):
            self._stream._write(words)

    def say(self, words: bytes) -> None:
        while words:
            try:
                words = words[self._stream._write(words) :]
            except BlockingIOError:
                if not self._stream._wait_writable(max(0.0, self._deadline - time.monotonic())):
                    raise CommTimeout(f"{self._stream} takes nothing of the key challenge") from None


def authenticate(stream: Stream, key: bytes, *, server: bool, deadline: float) -> bytes:
    """Make sure that the peer holds ``key``, and show it that we do.

    :return: bytes that the peer sent after the challenge.
    :raises AuthenticationFailed: it does not.
    :raises ConnectFailed: it is nobody: the line gives back what is sent.
    :raises CommTimeout: it did not answer before ``deadline``.
    """
    talk = _Talk(stream, deadline)
    nonce = secrets.token_bytes(challenge.NONCE_BYTES)
    if server:
        try:
            theirs = _nonce(talk, stream)
        except (AuthenticationFailed, CommTimeout):
            talk.hint(challenge.MAGIC)
            raise
        talk.say(challenge.greeting(nonce) + challenge.server_proof(key, theirs, nonce))
        expected = challenge.client_proof(key, theirs, nonce)
    else:
        talk.say(challenge.greeting(nonce))
        theirs = _nonce(talk, stream)
        if theirs == nonce:
            raise ConnectFailed(f"{stream}: {GIVES_BACK}")
        expected = challenge.server_proof(key, nonce, theirs)
    if not challenge.same(talk.take(challenge.PROOF_BYTES, "its proof"), expected):
        raise AuthenticationFailed(f"{stream} holds another key; {_MEND}")
    if server:
        talk.say(challenge.ACCEPTED)
    else:
        talk.say(challenge.client_proof(key, nonce, theirs))
        if talk.take(1, "its consent") != challenge.ACCEPTED:
            raise AuthenticationFailed(f"{stream} did not accept the key; {_MEND}")
    return talk.unused


def _nonce(talk: _Talk, stream: Stream) -> bytes:
    words = talk.take(challenge.GREETING_BYTES, "the key challenge", challenge.MAGIC)
    nonce = challenge.nonce_of(words)
    if nonce is None and (wants := guess.greeting(words)):
        raise AuthenticationFailed(f"{stream} {wants}")
    if nonce is None:
        raise AuthenticationFailed(f"{stream} began with {words[:16]!r} instead of the key challenge; {_MEND}")
    return nonce
