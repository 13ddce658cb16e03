"""A7: somebody clears CONFIG_DIR and copies plain files into it, without any lock, while it is published."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.crash import scenarios, sweep
from tests.crash import server as servers

pytestmark = [pytest.mark.crash]

ROUNDS = 60


@contextmanager
def clearing_and_copying(config: Path) -> Iterator[None]:
    """``rm -rf CONFIG_DIR/*; cp -a legacy/. CONFIG_DIR``, over and over."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for name in sweep.DOCUMENTS:
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


def test_a7_a_writer_behind_our_back(server: servers.Server, prepared: scenarios.Prepared, place: Path) -> None:
    """A7: no bug, only 0 or 73, never two of our sets in one look; one run converges when it stops."""
    config = place / "config"
    config.mkdir()
    versions = ("v1", "v2")
    codes = set()
    with sweep.reading(config) as reader, clearing_and_copying(config):
        for turn in range(ROUNDS):
            line = scenarios.arguments(prepared.sources[versions[turn % 2]], config)
            ended = server.run(servers.Run(line))
            assert "Traceback" not in ended.err, ended.err
            assert ended.code in (0, 73), ended.err
            codes.add(ended.code)
    assert 0 in codes
    mixed = [found for found in reader.sets if _versions(found) == set(versions)]
    assert not mixed, mixed[0]
    run = servers.Run(scenarios.arguments(prepared.sources["v1"], config))
    healed = server.run(run)
    assert healed.code == 0, healed.err
    assert not scenarios.healing(server, run, config, sweep.visible(config))
    assert _versions(sweep.visible(config)) == {"v1"}


def _versions(found: sweep.Documents) -> set[str]:
    """Which of our versions the looked-at set has something of."""
    functions, routing = found["functions.yml"] or b"", found["routing.yml"] or b""
    return {
        version
        for version in ("v1", "v2")
        if f"orders-create:{version}".encode() in functions or f"/orders-{version}".encode() in routing
    }
