"""What a test left behind: threads, file descriptors, child processes.

`Snapshot()` notes what there is; `left_since(snapshot)` waits, bounded, until everything newer is gone and returns what
is not. Both take well under a millisecond where nothing was left.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from dataclasses import dataclass, field

GRACE_S = 5.0
POLL_S = 0.01
FD_FOLDER = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
# Opened by an import or by the interpreter once, and kept for the life of the process.
KEPT = ("/dev/urandom", "/dev/random", "/dev/null")
HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


@dataclass
class Snapshot:
    threads: set[threading.Thread] = field(default_factory=lambda: set(threading.enumerate()))
    fds: dict[int, str] = field(default_factory=lambda: open_fds())
    children: set[int] = field(default_factory=lambda: child_pids())


def left_since(before: Snapshot, grace: float = GRACE_S) -> list[str]:
    """Describe what is there now and was not before, after `grace` seconds at most."""
    deadline = time.monotonic() + grace
    collected = False
    while True:
        left = [*new_threads(before, deadline), *new_children(before), *new_fds(before)]
        if not left or time.monotonic() >= deadline:
            return left
        if not collected:  # what only a reference cycle holds is not left behind
            gc.collect()
            collected = True
        else:
            time.sleep(POLL_S)


def new_threads(before: Snapshot, deadline: float) -> list[str]:
    left = []
    for thread in set(threading.enumerate()) - before.threads:
        if isinstance(thread, threading._DummyThread):  # a foreign thread that once called Python
            continue
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            left.append(f"thread {thread.name!r} (daemon: {thread.daemon}), {where(thread)}")
    return left


def where(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    return f"at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}" if frame else "just ended"


def open_fds() -> dict[int, str]:
    """{fd: what it is}; empty where the system does not tell."""
    try:
        names = os.listdir(FD_FOLDER)
    except OSError:
        return {}
    found = {}
    for name in names:
        try:
            found[int(name)] = target_of(int(name))
        except OSError:  # the folder's own descriptor, closed by now
            pass
    return found


def target_of(fd: int) -> str:
    if FD_FOLDER.startswith("/proc"):
        return os.readlink(f"{FD_FOLDER}/{fd}")
    status = os.fstat(fd)
    return f"mode {status.st_mode:o}, inode {status.st_ino}"


def new_fds(before: Snapshot) -> list[str]:
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    kept_fd = getattr(getattr(tracker, "_resource_tracker", None), "_fd", None)
    return [
        f"file descriptor {fd} ({target})"
        for fd, target in open_fds().items()
        if before.fds.get(fd) != target and fd != kept_fd and target not in KEPT
    ]


def child_pids() -> set[int]:
    """The children of all threads of this process, zombies included; empty where the system does not tell."""
    found: set[int] = set()
    if not os.path.isdir("/proc/self/task"):
        return found
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children") as listed:
                found.update(map(int, listed.read().split()))
        except OSError:  # a thread that has just ended: its children are another's now, and the next look sees them
            pass
    return found


def new_children(before: Snapshot) -> list[str]:
    left = []
    for pid in child_pids() - before.children:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as line:
                command = line.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if not any(helper in command for helper in HELPERS):
            left.append(f"child process {pid} ({command or 'ended, but nobody waited for it'})")
    return left
