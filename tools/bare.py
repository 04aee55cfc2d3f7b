"""./dev bare: a machine that has nothing but git and Python, on which the project has to show itself.

It is a folder with a Debian 12 that debootstrap puts there, with its own mounts and processes; what the project sets up
by itself, it sets up in there. Of this machine it has the way to the packages, and nothing else: names, certificates
and pip's settings. Linux, root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.debian import install_tools
from tools.running import ROOT, Trouble, run, say
from tools.suite import RECORD

RELEASE = "bookworm"
HAS = "git,python3,ca-certificates"
MIRROR = "http://deb.debian.org/debian"
WAY_OUT = ("resolv.conf", "hosts", "pip.conf", "ssl/certs/ca-certificates.crt")  # files in /etc
SETTINGS = ("PIP_CERT", "PIP_INDEX_URL", "PIP_PROXY", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
HOME = "/root/leadscomm"
INSIDE = """
set -e
cd "$1"; shift
mount -t proc proc proc
mount -t sysfs sys sys
mount -t tmpfs -o mode=755 dev dev
mkdir -p dev/pts dev/shm dev/net
for name in null zero full random urandom tty net/tun; do
    if [ -e /dev/$name ]; then touch dev/$name; mount --bind /dev/$name dev/$name; fi
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
exec chroot . "$@"
"""


def bare(args: list[str]) -> None:
    """Run the demo and the tests there: the tests as ``./dev repeat`` with these arguments, once by default."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise Trouble("only root can make a machine in a folder")
    install_tools(("debootstrap",), "a bare Debian")
    folder = Path(tempfile.mkdtemp(prefix="leadscomm-bare-", dir="/var/tmp"))
    try:
        say(f"making a bare Debian in {folder}")
        run("debootstrap", "--variant=minbase", f"--include={HAS}", RELEASE, folder, MIRROR, stdout=subprocess.DEVNULL)
        show_the_way_out(folder)
        run("git", "clone", "--quiet", "--no-hardlinks", ROOT, f"{folder}{HOME}")
        if RECORD.exists():
            shutil.copy2(RECORD, f"{folder}{HOME}/tests")
        inside(folder, "demo")
        try:
            inside(folder, "repeat", *(args or ["1"]))
        finally:
            shutil.copy2(f"{folder}{HOME}/tests/{RECORD.name}", RECORD)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def show_the_way_out(folder: Path) -> None:
    """Copy what this machine knows of the network."""
    for name in WAY_OUT:
        source, target = Path("/etc", name), folder / "etc" / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def inside(folder: Path, *command: str) -> None:
    """Run one of ./dev's commands in there, as root and with nothing of this machine's environment but the way out."""
    kept = {name: value for name, value in os.environ.items() if name.upper() in SETTINGS}
    environment = {**kept, "HOME": "/root", "LANG": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    there = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", INSIDE, "sh", folder]
    run(*there, "sh", "-c", f'cd {HOME} && exec ./dev "$@"', "dev", *command, env=environment)
