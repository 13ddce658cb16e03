"""A host of its own for one test, which may be switched off: an engine with nothing but what is in its folder.

Its network is that of a thread: the engine, what it starts, and whatever the test does on that thread share one, which
nobody else has. So neither the bridges nor the packet filter of the tests' engine is touched. Owns how such a host
begins and ends; the daemons are started and stopped by `e2e.scripts.engine`.
"""

import concurrent.futures
import contextlib
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from e2e.harness import docker, stacks
from e2e.scripts import engine

NEW_NETWORK = 0x40000000  # CLONE_NEWNET of <sched.h>
GET_FLAGS, SET_FLAGS = 0x8913, 0x8914  # SIOCGIFFLAGS, SIOCSIFFLAGS of <linux/sockios.h>
UP = 1  # IFF_UP of <net/if.h>
Result = TypeVar("Result")


def missing() -> str:
    """What this machine lacks for it, in words; "" when it can be had."""
    if os.geteuid() != 0:
        return "only root starts an engine"
    path = f"{os.environ.get('PATH', '')}:{engine.ADMINISTRATION}"
    absent = [name for name in ("dockerd", "containerd", "runc", "iptables") if shutil.which(name, path=path) is None]
    return f"no {', '.join(absent)} here" if absent else ""


class Host:
    """One host. `switch_on` and everything that asks its engine run on its own thread: see `on`."""

    def __init__(self, folder: Path) -> None:
        self.layout = engine.Layout(folder)

    def switch_on(self) -> None:
        """Start the engine in a new and empty network. Containers with a restart policy come up by themselves."""
        _enter_network()
        self._engine("start")

    def shut_down(self) -> None:
        """As an init does it: the engine is asked to end, and ends its containers."""
        self._engine("stop")
        self._forget_memory()

    def cut_power(self) -> None:
        """Everything is gone at once."""
        self._engine("kill")
        self._forget_memory()

    def remove(self) -> None:
        """End it and leave nothing."""
        self._engine("kill")
        shutil.rmtree(self.layout.home)

    def _engine(self, command: str) -> None:
        own = {**os.environ, "ENGINE_DIR": str(self.layout.home), "DOCKER_HOST": f"unix://{self.layout.socket}"}
        words = [sys.executable, "-m", "e2e.scripts.engine", command]
        done = subprocess.run(words, cwd=stacks.ROOT, env=own, capture_output=True, text=True, check=False)
        if done.returncode:
            raise docker.CommandFailed(f"engine {command}: exit {done.returncode}\n{done.stderr}")

    def _forget_memory(self) -> None:
        """What a host has in /run."""
        shutil.rmtree(self.layout.home / "exec", ignore_errors=True)


@contextlib.contextmanager
def made(images: tuple[str, ...]) -> Iterator[Host]:
    """A host that is on, whose engine has these images of the tests' engine. Within the block the docker command asks
    the new one. The caller is on a thread of `on`. Removed afterwards."""
    usual = stacks.engine_socket()
    folder = Path(tempfile.mkdtemp(prefix="host-", dir=engine.PROJECT / ".engine" if _own_folder() else None))
    host, before = Host(folder), os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = f"unix://{host.layout.socket}"
    try:
        host.switch_on()
        _copy(images, usual, str(host.layout.socket))
        yield host
    finally:
        host.remove()
        os.environ.pop("DOCKER_HOST")
        os.environ |= {"DOCKER_HOST": before} if before is not None else {}


def on(scene: Callable[[], Result]) -> Result:
    """Run it on a thread of its own, whose network may be taken from it; its result, or what it raises."""
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(scene).result()


def _own_folder() -> bool:
    """Whether the tests' engine is the project's: its file system carries an engine."""
    return Path(stacks.engine_socket()).parent == engine.PROJECT / ".engine"


def _copy(images: tuple[str, ...], source: str, to: str) -> None:
    with subprocess.Popen(["docker", "--host", f"unix://{source}", "save", *images], stdout=subprocess.PIPE) as saved:
        load = ["docker", "--host", f"unix://{to}", "load", "--quiet"]
        subprocess.run(load, stdin=saved.stdout, stdout=subprocess.DEVNULL, check=True)
    if saved.returncode:
        raise docker.CommandFailed(f"docker save: exit {saved.returncode}")


def _enter_network() -> None:
    """Give this thread a network of its own, with a loopback. What the thread starts is in it too."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        name = b"lo".ljust(16, b"\0")
        answer = fcntl.ioctl(asked, GET_FLAGS, name + bytes(24))
        flags = struct.unpack_from("h", answer, 16)[0]
        fcntl.ioctl(asked, SET_FLAGS, name + struct.pack("h", flags | UP) + bytes(22))
