"""When the process, or the system, has run out of something, such as descriptors: what to say. It may be tried again,
and be there by then."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from leadscomm.errors import CommError, ConnectFailed, EndpointError

_NO_DESCRIPTOR: Final = (errno.EMFILE, errno.ENFILE)
_SHORT: Final = (*_NO_DESCRIPTOR, errno.ENOBUFS, errno.ENOMEM)


def is_short(error: OSError) -> bool:
    """Whether something has run out, so that nothing is wrong with what was asked for."""
    return error.errno in _SHORT


def why(error: OSError) -> str:
    """What the system says, with the mend where it is known."""
    said = error.strerror or str(error)
    return f"{said}; raise `ulimit -n`, or close some" if error.errno in _NO_DESCRIPTOR else said


@contextmanager
def or_failed(what: str) -> Iterator[None]:
    """Make what the system refuses inside this an error of ours.

    :param what: what cannot be done then, such as "it cannot be reached".
    :raises ConnectFailed: an ``OSError`` came that was none of ours.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, CommError):
            raise
        raise ConnectFailed(f"{what}: {why(error)}") from error


def unreadable(what: str, error: OSError) -> CommError:
    """The error for a file of an option that cannot be read: the option is wrong, unless something has run out."""
    text = f"{what} cannot be read: {why(error)}"
    return ConnectFailed(text) if is_short(error) else EndpointError(text)
