"""The rows of `make bench` about a controller that stays: reactions, and what it costs to do nothing.

Part of `bench/run.py`. A reaction is the time from the end of the last write, or of the push, until a reader of
CONFIG_DIR sees the new documents; the reader looks every millisecond.
"""

import hashlib
import hmac
import json
import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import engine
import trees

from tests.fakes import daemons, git_server

INTERVAL_S = 5.0
"""Of the idle rows: six times as often as by default, so that enough passes are seen; the share is scaled."""
IDLE_S = 60.0
_TARGETS = 20
SETTLED_S = 3.0
"""What follows the first pass (the look that listening begins with, the collecting of garbage) is no idleness."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


def rows(runs: int, *, quick: bool) -> Iterator[str]:
    """Every row."""
    with tempfile.TemporaryDirectory(prefix="artifact-controller-bench-") as folder:
        place = Path(folder)
        yield _directory(place / "small", (1, 11), ("0.15 s", "0.3 s"), runs * 6)
        yield _push(place / "git", runs * 4)
        yield from _idle(place / "idle")
        yield from _several(place / "several")
        if not quick:
            yield _directory(place / "large", (200, 100), ("1 s", "1 s"), runs)


def _row(case: str, limits: tuple[str, str], seconds: list[float], memory_mib: float) -> str:
    ordered = sorted(seconds)
    late = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    middle = statistics.median(ordered)
    return f"| {case} | {limits[0]}, {limits[1]} | {middle:.3f} s | {late:.3f} s | {memory_mib:.0f} MiB |"


def _directory(place: Path, size: tuple[int, int], limits: tuple[str, str], runs: int) -> str:
    """A folder with so many entries of so many functions each."""
    source, config = place / "source", place / "config"
    trees.write(source, entries=size[0], functions=size[1])
    with daemons.running("--source", source, "--config-dir", config) as daemon:
        daemon.await_pass("FirstPublish")
        seconds = []
        for _ in range(runs):
            time.sleep(1.3)  # two publishes in one second wait for the next: consumers compare whole seconds
            seconds.append(_reaction(config, lambda: trees.change_one(source)))
        name = f"one entry changed in a folder with {size[0] * size[1]:,} functions, to published"
        return _row(name, limits, seconds, _memory_mib(daemon.process.pid))


def _reaction(config: Path, act: Callable[[], object]) -> float:
    """Seconds from the end of `act` until CONFIG_DIR shows another generation."""
    before = os.readlink(config / "..data")
    act()
    began = time.perf_counter()
    while os.readlink(config / "..data") == before:
        if time.perf_counter() - began > 60:
            raise TimeoutError("no reaction")
        time.sleep(0.001)
    return time.perf_counter() - began


def _memory_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_MIB


def _cpu_s(pid: int) -> float:
    """Of the process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def _push(place: Path, runs: int) -> str:
    """From the end of `git push` to a remote over http, with a webhook right after it, to the new documents."""
    author = git_server.Author(place / "work", place / "remote" / "shop.git")
    trees.write(author.folder / "artifacts", entries=1, functions=11)
    author.publish()
    config, secret = place / "config", "0123456789abcdef0123456789abcdef"
    with git_server.serving(place / "remote") as server:
        settings = {
            "CONTROLLER_SOURCE__GIT__URL": server.url("shop.git"),
            "CONTROLLER_SOURCE__GIT__PATH": "artifacts",
            "CONTROLLER_HTTP__WEBHOOK_SECRET": secret,
        }
        flags = ("--config-dir", config, "--state-dir", place / "state", "--listen", "127.0.0.1:0")
        with daemons.running(*flags, environment=settings) as daemon:
            daemon.await_pass("FirstPublish")
            seconds = []
            for _ in range(runs):
                time.sleep(1.2)
                trees.change_one(author.folder / "artifacts")
                author.commit()
                seconds.append(_reaction(config, lambda: _announced(author, daemon.address, secret)))
            return _row(
                "`git push` with a webhook, to published", ("1 s", "1 s"), seconds, _memory_mib(daemon.process.pid)
            )


def _announced(author: git_server.Author, address: str, secret: str) -> None:
    author.push()
    _hook(address, secret)


def _hook(address: str, secret: str) -> None:
    body = b"{}"
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={signature}", "X-GitHub-Event": "push"}
    wanted = urllib.request.Request(f"{address}/v1/webhook", body, headers)  # noqa: S310 - an address of our own
    urllib.request.urlopen(wanted, timeout=30).read()  # noqa: S310 - the same


def _idle(place: Path) -> Iterator[str]:
    """A thousand functions, and twenty containers where there is an engine; the share is of one core at 30 s."""
    source, config = place / "source", place / "config"
    trees.write(source, entries=10, functions=100)
    with engine.twenty_containers("bench-idle") as environment:
        flags = ("--source", source, "--config-dir", config, "--interval", f"{INTERVAL_S:g}s")
        with daemons.running(*flags, environment=environment, engine=bool(environment)) as daemon:
            daemon.await_line(lambda line: line.get("reason") == "InSync")
            pid = daemon.process.pid
            time.sleep(SETTLED_S)
            before, passes = _cpu_s(pid), len(daemon.passes)
            time.sleep(IDLE_S)
            used_s, made = _cpu_s(pid) - before, len(daemon.passes) - passes
            quiet = _quiet_share(place, environment)
            share = quiet + max(used_s / IDLE_S - quiet, 0.0) * (IDLE_S / max(made, 1)) / 30.0
            words = "doing nothing: 1,000 functions" + (", 20 containers" if environment else "")
            yield f"| {words}, every 30 s | 0.5 %, 90 MiB | {share * 100:.2f} % | - | {_memory_mib(pid):.0f} MiB |"


def _several(place: Path) -> Iterator[str]:
    """Twenty targets of ten functions each, every 30 s: the share of a core, and what each of them adds to the memory
    of one."""
    alone_mib = _of_targets(place / "alone", 1, IDLE_S / 6)[1]
    share, all_mib = _of_targets(place / "all", _TARGETS, IDLE_S)
    words = f"doing nothing: {_TARGETS} targets of 10 functions"
    yield f"| {words}, every 30 s | 2 % | {share * 100:.2f} % | - | {all_mib:.0f} MiB |"
    further_mib = (all_mib - alone_mib) / (_TARGETS - 1)
    yield f"| {words}, memory of each further one | 15 MiB | - | - | {further_mib:.1f} MiB |"


def _of_targets(place: Path, count: int, idle_s: float) -> tuple[float, float]:
    """The share of a core that so many targets take, and the memory in MiB."""
    targets = {}
    for number in range(count):
        source, config = place / f"source-{number}", place / f"config-{number}"
        trees.write(source, entries=1, functions=10)
        targets[f"t{number}"] = {"source": {"directory": {"path": str(source)}}, "config_dir": str(config)}
    settings = place / "controller.yml"
    settings.write_text(json.dumps({"http": {"listen": "127.0.0.1:0"}, "targets": targets}), encoding="utf-8")
    with daemons.running("--config", settings) as daemon:
        daemons.until(lambda: {line["target"] for line in daemon.passes} == set(targets))
        time.sleep(SETTLED_S)
        pid = daemon.process.pid
        before = _cpu_s(pid)
        time.sleep(idle_s)
        return (_cpu_s(pid) - before) / idle_s, _memory_mib(pid)


def _quiet_share(place: Path, environment: dict[str, str]) -> float:
    """What waiting alone costs: the same without passes."""
    flags = ("--source", place / "source", "--config-dir", place / "config", "--interval", "1h")
    with daemons.running(*flags, environment=environment, engine=bool(environment)) as daemon:
        daemon.await_pass()
        time.sleep(SETTLED_S)
        before = _cpu_s(daemon.process.pid)
        time.sleep(IDLE_S / 3)
        return (_cpu_s(daemon.process.pid) - before) / (IDLE_S / 3)
