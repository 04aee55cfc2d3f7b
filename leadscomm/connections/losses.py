"""What to say of a conversation that broke."""

from __future__ import annotations

from leadscomm.connections import shortage
from leadscomm.errors import CommError, ConnectionLost


def lost(who: str, error: Exception) -> Exception:
    """What reading has raised, in words."""
    if isinstance(error, CommError):
        return error
    if not isinstance(error, OSError):
        return odd(who, error)
    if isinstance(error, ConnectionResetError):
        why = "it ended the conversation abruptly (reset)"
    elif isinstance(error, TimeoutError):
        why = "its host does not answer any more"
    else:
        why = shortage.why(error)
    failure = ConnectionLost(f"{who}: {why}")
    failure.__cause__ = error
    return failure


def odd(who: str, error: Exception) -> ConnectionLost:
    """What a transport or a framing has raised that is no ``OSError``, in words."""
    failure = ConnectionLost(f"{who}: its transport or framing failed with {error!r}; that is a fault of its program")
    failure.__cause__ = error
    return failure
