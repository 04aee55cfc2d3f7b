"""Where the bytes of streams come from and go to: files, part files, and what else can be read or written.

A part file lies beside the file that it becomes, and is called like that with :data:`PART` behind. It needs no record
of what it is a part of: the digest of what it holds tells the sender.

Others may be able to write in that folder. So neither name is followed where it is a link, and nothing is opened for
long, written or waited for that is no plain file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Final, Protocol

from leadscomm.errors import LocalProtocolError
from leadscomm.protocol.records.stream_records import Offer
from leadscomm.protocol.records.streams import Digest, new_digest

PART: Final = ".leadscomm-part"
_BLOCK: Final = 1 << 20
_SYNC_EVERY: Final = 32 << 20
"""So many bytes are handed to the disk at a time: at the end little is left to wait for, and after a power cut the part
file still holds what it should."""
_LET_GO_S: Final = 10.0
"""How long a part file that another stream writes is waited for, looking every :data:`_AGAIN_S`."""
_AGAIN_S: Final = 0.02
_NAME_BYTES: Final = 200
_RESERVED: Final = frozenset(
    "con prn aux nul conin$ conout$ com1 com2 com3 com4 com5 com6 com7 com8 com9 com¹ com² com³ "
    "lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7 lpt8 lpt9 lpt¹ lpt² lpt³".split()
)
_Look = Callable[[], None]
"""Called now and then while something takes long; it raises when that is to end."""


class Readable(Protocol):
    """What is used of a binary file that is read."""

    def read(self, size: int, /) -> bytes | None: ...


class Writable(Protocol):
    """What is used of a binary file that is written."""

    def write(self, data: bytes, /) -> int | None: ...


def clean_name(name: str) -> str:
    """A file name made of what a peer calls a stream: of one folder, visible, and allowed on every system."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    plain = "".join(c if c.isprintable() and c not in '<>:"|?*\N{REPLACEMENT CHARACTER}' else "_" for c in last)
    short = plain.lstrip(". ").encode("utf-8", "replace")[:_NAME_BYTES].decode("utf-8", "ignore").rstrip(". ")
    if short.partition(".")[0].rstrip().lower() in _RESERVED or short.lower().endswith(PART):
        short += "_"
    return short or "stream"


# Sources --------------------------------------------------------------------------------------------------------------


class Source:
    """What a stream is read from.

    :param file: a binary file, or something like it; one that is seekable is read from where it is, and again from
        there if need be.
    :param size: its bytes; None: unknown.
    :ivar repeatable: whether it can be read again.
    """

    def __init__(self, file: Readable, size: int | None) -> None:
        self.size = size
        self._file = file
        self._seek = _seek_of(file)
        self.repeatable = self._seek is not None
        self._read = 0

    def known(self, size: int, look: _Look) -> Digest | None:
        """Go to this offset; the digest of what is before it. None: it ends earlier."""
        self.rewind()
        digest = new_digest()
        while self._read < size:
            look()
            block = self.read(min(_BLOCK, size - self._read))
            if not block:
                return None
            digest.update(block)
        return digest

    def rewind(self) -> None:
        """Go back to its beginning; it is repeatable, or nothing of it was read."""
        if self._seek is not None:
            self._seek()
        self._read = 0

    def read(self, size: int) -> bytes:
        """The next bytes, ``size`` at most; none: it has ended.

        :raises LocalProtocolError: it is no binary file, or not of the size that was told.
        """
        if self.size is not None:
            size = min(size, self.size - self._read)
        if not size:
            return b""
        block = self._file.read(size)
        if not isinstance(block, bytes):
            raise LocalProtocolError(f"a stream is read from a blocking binary file, and this one gave {block!r:.40}")
        if not block and self.size is not None:
            raise LocalProtocolError(f"it was to have {self.size} bytes, and ended after {self._read}")
        self._read += len(block)
        return block

    def check(self) -> None:
        """See that it is still what it was at the beginning.

        :raises LocalProtocolError: it has changed.
        """

    def close(self) -> None:
        """Release what this source has opened."""


class FileSource(Source):
    """A file.

    :raises OSError: it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._own = open(path, "rb", buffering=0)
        state = os.fstat(self._own.fileno())
        self._state = (state.st_size, state.st_mtime_ns)
        regular = self._own.seekable()
        super().__init__(self._own, state.st_size if regular else None)

    def check(self) -> None:
        state = os.fstat(self._own.fileno())
        if self.repeatable and (state.st_size, state.st_mtime_ns) != self._state:
            raise LocalProtocolError("it changed while it was sent; send it again")

    def close(self) -> None:
        self._own.close()


def _seek_of(file: Readable) -> Callable[[], object] | None:
    """What brings a file back to where it is now; None: nothing does."""
    seekable = getattr(file, "seekable", None)
    if seekable is None or not seekable():
        return None
    begin = file.tell()  # type: ignore[attr-defined]
    return lambda: file.seek(begin)  # type: ignore[attr-defined]


# Sinks ----------------------------------------------------------------------------------------------------------------


class Sink(ABC):
    """Where a stream is written to."""

    @abstractmethod
    def open(self, offer: Offer, look: _Look) -> tuple[int, Digest]:
        """Begin; how much of the stream there is already, and its digest."""

    @abstractmethod
    def write(self, offset: int, data: bytes) -> None:
        """Write a piece; one at offset 0 replaces all that was there."""

    @abstractmethod
    def finish(self) -> None:
        """All of it was written, and is whole."""

    def close(self) -> None:
        """Let go of it; what there is of it stays."""

    def discard(self) -> None:
        """Let go of it, and of what there is of it."""
        self.close()

    def kept(self) -> str:
        """What there is of it, for an error: `` in x.part``; or nothing."""
        return ""


class WritableSink(Sink):
    """Something that can be written to. It is not closed."""

    def __init__(self, file: Writable) -> None:
        self._file = file

    def open(self, offer: Offer, look: _Look) -> tuple[int, Digest]:
        return 0, new_digest()

    def write(self, offset: int, data: bytes) -> None:
        rest = data
        while rest:
            count = self._file.write(rest)
            rest = rest[len(rest) if count is None else count :]

    def finish(self) -> None:
        flush = getattr(self._file, "flush", None)
        if flush is not None:
            flush()


class FileSink(Sink):
    """A file. It gets its name when all of it is there; before, it is a part file.

    :param path: what it is to be called.
    :param overwrite: whether it may take the place of another file of that name.
    """

    def __init__(self, path: Path, overwrite: bool) -> None:
        self.path = path
        self.part = path.with_name(path.name + PART)
        self._overwrite = overwrite
        self._file: FileIO | None = None
        self._present = False  # the file itself is perhaps what is offered
        self._unsynced = 0

    def open(self, offer: Offer, look: _Look) -> tuple[int, Digest]:
        """
        :raises OSError: it cannot be written, or is there already and is not to be replaced.
        """
        resumable = offer.repeatable and offer.size is not None
        there = _state(self.path)
        plain = there is not None and stat.S_ISREG(there.st_mode) and there.st_size == offer.size
        if resumable and plain and not (self._overwrite and _state(self.part)):
            self._present = True
            with _open_plain(self.path, "r") as present:
                return _digest_of(present, look)
        if there is not None:
            self._check_free()
            self._complete(there)
        file = self._open_part(look)
        size = os.fstat(file.fileno()).st_size
        if not offer.repeatable or (offer.size is not None and size > offer.size):
            file.truncate(0)
        return _digest_of(file, look)

    def _complete(self, there: os.stat_result) -> None:
        """Finish what an earlier program was killed at, between giving the file its name and taking away the other."""
        part = _state(self.part)
        if part is not None and os.path.samestat(part, there):
            os.unlink(self.part)

    def _check_free(self) -> None:
        if not self._overwrite:
            raise FileExistsError(errno.EEXIST, "there is another file of that name", str(self.path))

    def _open_part(self, look: _Look) -> FileIO:
        """The part file, for this stream alone. An earlier attempt may be about to let go of it."""
        deadline = time.monotonic() + _LET_GO_S
        while (file := self._try_part()) is None:
            if time.monotonic() >= deadline:
                raise FileExistsError(errno.EBUSY, "another stream is being written there", str(self.part))
            look()
            time.sleep(_AGAIN_S)
        self._file = file
        return file

    def _try_part(self) -> FileIO | None:
        file = _open_plain(self.part, "a+")
        try:
            _lock(file)
            if self._is_part(file):
                _check_alone(file, self.part)
                return file
        except BlockingIOError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()  # another has it, or has just given it its name
        return None

    def _is_part(self, file: FileIO) -> bool:
        there = _state(self.part)
        return there is not None and os.path.samestat(os.fstat(file.fileno()), there)

    def write(self, offset: int, data: bytes) -> None:
        if self._present:
            self._check_free()  # it is not what is there
            self._present = False
            self._open_part(_nothing)
        file = self._file
        assert file is not None
        if offset == 0:
            file.truncate(0)
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        self._unsynced += len(data)
        if self._unsynced >= _SYNC_EVERY:
            os.fsync(file.fileno())
            self._unsynced = 0

    def finish(self) -> None:
        if self._present:
            return
        assert self._file is not None
        os.fsync(self._file.fileno())
        if not self._is_part(self._file):
            raise FileNotFoundError(errno.ENOENT, "somebody has put another file in its place", str(self.part))
        if sys.platform == "win32":
            self._file.close()  # there an open file cannot be renamed
        _rename(self.part, self.path, self._overwrite)
        self._file.close()  # not before: others wait for this to write a part file of their own
        self._file = None

    def close(self) -> None:
        file, self._file = self._file, None
        if file is None or file.closed:
            return
        if not os.fstat(file.fileno()).st_size:
            with contextlib.suppress(OSError):
                os.unlink(self.part)
        file.close()

    def discard(self) -> None:
        if self._file is not None and not self._file.closed:
            self._file.truncate(0)
        self.close()

    def kept(self) -> str:
        return f" in {self.part}"


def _state(path: Path) -> os.stat_result | None:
    """What there is of this name, be it a link; None: nothing."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _open_plain(path: Path, mode: str) -> FileIO:
    """Open a plain file.

    :raises OSError: it cannot be opened, or it is a link, a folder, a pipe or a device.
    """
    file = FileIO(path, mode, opener=_unfollowed)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _no_plain(path)
    return file


def _unfollowed(path: str, flags: int) -> int:
    """Open, without following a link, or waiting for somebody at the other end of a pipe."""
    try:
        if not hasattr(os, "O_NOFOLLOW") and os.path.islink(path):
            raise _no_plain(path)
        return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
            raise _no_plain(path) from error
        raise


def _check_alone(file: FileIO, path: Path) -> None:
    """What is written to a file with a second name is written to that one as well."""
    if os.fstat(file.fileno()).st_nlink > 1:
        raise _no_plain(path)


def _no_plain(path: str | os.PathLike[str]) -> OSError:
    return OSError(errno.ELOOP, "this is a link, or no plain file, and is not written to; remove it", os.fspath(path))


def _digest_of(file: FileIO, look: _Look) -> tuple[int, Digest]:
    """Read all of a file; its size and its digest."""
    file.seek(0)
    digest, size = new_digest(), 0
    while block := file.read(_BLOCK):
        digest.update(block)
        size += len(block)
        look()
    return size, digest


def _rename(part: Path, path: Path, overwrite: bool) -> None:
    """Give a file its name at one blow, and see that this stays so."""
    if overwrite:
        os.replace(part, path)
    elif sys.platform == "win32":
        os.rename(part, path)  # there it replaces nothing
    else:
        _rename_unless_there(part, path)
    if sys.platform != "win32":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _rename_unless_there(part: Path, path: Path) -> None:
    try:
        if os.link in os.supports_follow_symlinks:
            os.link(part, path, follow_symlinks=False)
        else:
            os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "there is another file of that name", str(path)) from None
        os.rename(part, path)
    else:
        with contextlib.suppress(FileNotFoundError):  # another stream has found both, and finished this
            os.unlink(part)


def _lock(file: FileIO) -> None:
    """Keep others from writing it, as long as it is open.

    :raises BlockingIOError: another has it.
    """
    if sys.platform == "win32":
        import msvcrt

        file.seek(1 << 62)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            raise BlockingIOError from None
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _nothing() -> None: ...
