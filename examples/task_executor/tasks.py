"""What host and device say to each other about tasks. No I/O, no clock.

Each message is a JSON object. From the host::

    {"op": "order", "id": "5d…", "name": "count", "arguments": {"to": 3}, "seconds": 20.0}
    {"op": "cancel", "id": "5d…"}

From the device::

    {"op": "accepted", "id": "5d…"}
    {"op": "progress", "id": "5d…", "share": 0.5, "text": "half way"}
    {"op": "ended", "id": "5d…", "state": "done", "value": 3, "text": ""}

``seconds`` is what is left to the deadline when the order is sent: two machines share no clock. An order may come
again, with the same ``id``; it is answered with how the task stands, and never carried out twice.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, Final

LONGEST: Final = 1 << 20
"""The longest message in bytes; what a task returns has to fit."""


class State(Enum):
    """How a task stands; all but the first two are final."""

    ORDERED = "ordered"
    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"  # its function raised
    REFUSED = "refused"  # the device does not know it, or has too much to do
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # its deadline has passed
    INTERRUPTED = "interrupted"  # the device died while it was at it, and does not begin it again

    @property
    def final(self) -> bool:
        return self not in (State.ORDERED, State.ACCEPTED)


class BadMessage(ValueError):
    """The peer said something about tasks that cannot be understood."""


def pack(op: str, task: str, **more: Any) -> bytes:
    """Return a message.

    :raises ValueError: `more` is no JSON, or too long.
    """
    try:
        message = json.dumps({"op": op, "id": task, **more}, allow_nan=False).encode()
    except TypeError as error:
        raise ValueError(f"what goes through JSON is None, bool, int, float, str, list and dict: {error}") from None
    if len(message) > LONGEST:
        raise ValueError(f"the message has {len(message)} bytes, and {LONGEST} are allowed")
    return message


_FIELDS: Final[dict[str, dict[str, tuple[type, ...]]]] = {
    "order": {"id": (str,), "name": (str,), "arguments": (dict,), "seconds": (int, float)},
    "cancel": {"id": (str,)},
    "accepted": {"id": (str,)},
    "progress": {"id": (str,), "share": (int, float), "text": (str,)},
    "ended": {"id": (str,), "state": (str,), "value": (object,), "text": (str,)},
}


def unpack(message: bytes) -> dict[str, Any]:
    """Return the fields of a message, each there and of its type.

    :raises BadMessage: it is none of those above.
    """
    try:
        fields = json.loads(message.decode())
        types = _FIELDS[fields["op"]]
        wrong = [name for name, type_ in types.items() if not isinstance(fields[name], type_)]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise BadMessage(f"no message about a task: {message[:80]!r} ({error!r})") from None
    if wrong:
        raise BadMessage(f"no message about a task: {message[:80]!r} ({', '.join(wrong)})")
    return dict(fields)
