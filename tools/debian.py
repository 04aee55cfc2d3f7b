"""What comes from Debian's and Ubuntu's packages: installed where that is possible without a question."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tools.pythons import has_venv, version_of
from tools.running import Trouble, output, say

BOARD_TOOLS = (
    *("gcc-avr", "avr-libc", "arduino-core-avr", "arduino-builder", "avrdude"),  # sketches compiled and uploaded
    *("simavr", "libsimavr-dev", "libelf-dev", "make", "gcc", "g++"),  # the virtual board
)
EMULATOR = ("libsimavr-dev", "libelf-dev", "gcc", "libc6-dev")  # the virtual board alone, with firmware that is ready
TEST_TOOLS = ("clang", "libnewlib-dev", "strace")  # the library for other boards; journals whose system calls fail
NETWORK_TOOLS = ("iproute2", "nftables", "util-linux")  # the networks of the fault laboratory


def install_venv(python: str) -> None:
    """Debian splits venv off into a package of its own: install it, or say how."""
    package = f"python{version_of(python)}-venv"
    if not shutil.which("apt-get"):
        raise Trouble(python + " lacks venv or ensurepip: install them, or another Python")
    if become_root() is None:
        raise Trouble(f"{python} has no venv; run: sudo apt-get install {package}")
    said = install(package)
    if said or not has_venv(python):
        sys.stderr.buffer.write(said)
        raise Trouble(f"that did not give {python} its venv; try: apt-get update && apt-get install {package}")


def install_board_tools() -> None:
    """What sketches, uploads and virtual boards need."""
    install_tools(BOARD_TOOLS, "tests that need a compiler or an emulator for boards")


def install_network_tools() -> None:
    """What networks with faults need; the tests that make them are root's."""
    install_tools(NETWORK_TOOLS, "tests that need a network with faults")


def install_emulator() -> None:
    """What the demo's virtual board needs."""
    install_tools(EMULATOR, "the demo's virtual boards")


def install_test_tools() -> None:
    """What tests need and nothing else does."""
    install_board_tools()
    install_network_tools()
    install_tools(TEST_TOOLS, "tests that need another compiler, or system calls that fail")


def install_tools(packages: tuple[str, ...], what: str) -> None:
    """Install what is missing. Where it cannot be had, what needs it says so.

    :param what: what is left out without them.
    """
    missing = not_installed(packages) if shutil.which("apt-get") else ()
    if not missing:
        return
    mend = "sudo apt-get install --no-install-recommends " + " ".join(missing)
    if become_root() is None:
        say(f"{what} are left out; for them run: {mend}")
        return
    said = install(*missing)
    if said:
        sys.stderr.buffer.write(said)
        say(f"that did not work; {what} are left out. For them try: apt-get update && {mend}")


def not_installed(packages: tuple[str, ...]) -> tuple[str, ...]:
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *packages]
    listed = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().splitlines()
    return tuple(package for package in packages if package + " installed" not in listed)


def become_root() -> list[str] | None:
    """What goes before a command that only root may run; None if that would need a password."""
    if os.geteuid() == 0:
        return []
    may = shutil.which("sudo") and output("sudo", "-n", "true") is not None
    return ["sudo", "-n"] if may else None


def install(*packages: str) -> bytes:
    """Install packages; what apt-get said if it failed, and nothing if all went well."""
    say("installing Debian's packages: " + " ".join(packages))
    apt = [*(become_root() or []), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    apt += ["-o", "DPkg::Lock::Timeout=300"]  # another apt-get, or another ./dev, may be at it
    for arguments in (["update"], ["install", "--no-install-recommends", *packages]):  # an older list may do as well
        done = subprocess.run([*apt, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return (done.stdout or b"apt-get failed\n") if done.returncode else b""
