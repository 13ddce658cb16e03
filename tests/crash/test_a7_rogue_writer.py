"""A7: somebody clears CONFIG_DIR and copies plain files into it, without any lock, while it is published."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from controller import reconciler, settings, target, world
from core import policy
from tests.crash import clocks, scenarios, sweep
from tests.crash import server as servers
from tests.fakes import command

pytestmark = [pytest.mark.crash]

ROUNDS = 100
WHOLE_COMMANDS = 6
"""Each waits up to a second, so that no file is dated ahead; under a shown clock none does."""
VERSIONS = ("v1", "v2")
TAKING_OVER = policy.Permissions(take_over=True)
"""Each version of the sample is a source of its own."""


@contextmanager
def clearing_and_copying(config: Path) -> Iterator[None]:
    """``rm -rf CONFIG_DIR/*; cp -a legacy/. CONFIG_DIR``, over and over."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for name in command.DOCUMENTS:
                (config / name).unlink(missing_ok=True)
            stop.wait(0.002)
            for name, text in scenarios.LEGACY.items():
                with suppress(OSError):
                    (config / name).write_text(text, encoding="utf-8")
            stop.wait(0.02)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def converges(server: servers.Server, prepared: scenarios.Prepared, config: Path) -> None:
    """One run after it has stopped."""
    run = servers.Run(scenarios.arguments(prepared.sources["v1"], config))
    healed = server.run(run)
    assert healed.code == 0, healed.err
    assert versions(command.documents(config)) == {"v1"}
    assert not scenarios.healing(server, run, config, command.documents(config))


def versions(found: sweep.Documents) -> set[str]:
    """Which of our sets the files of one look come from."""
    functions, routing = found["functions.yml"] or b"", found["routing.yml"] or b""
    return {
        version
        for version in VERSIONS
        if f"orders-create:{version}".encode() in functions or f"/orders-{version}".encode() in routing
    }


def test_a7_a_writer_behind_our_back(server: servers.Server, prepared: scenarios.Prepared, place: Path) -> None:
    """A7: no bug, only 0 or 73, never two of our sets in one look; one run converges when it stops."""
    config = place / "config"
    config.mkdir()
    machine = clocks.ShownClock(time.time())
    codes = set()
    with sweep.reading(config) as reader, clearing_and_copying(config):
        for turn in range(ROUNDS):
            source = prepared.sources[VERSIONS[turn % 2]]
            flags = {("config_dir",): config, ("source", "directory", "path"): source}
            with target.Target(settings.load(None, flags), machine=machine) as opened:
                codes.add(reconciler.reconcile_once(opened, world.Request(opened.rules, TAKING_OVER)).exit_code)
    assert 0 in codes
    assert codes <= {0, 73}
    mixed = [found for found in reader.sets if versions(found) == set(VERSIONS)]
    assert not mixed, mixed[0]
    converges(server, prepared, config)


def test_a7_a_writer_behind_the_command(server: servers.Server, prepared: scenarios.Prepared, place: Path) -> None:
    """A7: the same with the command itself."""
    config = place / "config"
    config.mkdir()
    with sweep.reading(config) as reader, clearing_and_copying(config):
        for turn in range(WHOLE_COMMANDS):
            ended = server.run(servers.Run(scenarios.arguments(prepared.sources[VERSIONS[turn % 2]], config)))
            assert "Traceback" not in ended.err, ended.err
            assert ended.code in (0, 73), ended.err
    assert not [found for found in reader.sets if versions(found) == set(VERSIONS)]
    converges(server, prepared, config)
