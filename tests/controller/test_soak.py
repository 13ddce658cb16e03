"""L5: thousands of passes with everything that can go wrong, checked by a model of the promises; and thousands with
nothing to do, which leave nothing behind. `make soak` runs both for long.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from controller import pulse, retry
from core import items, policy
from tests.fakes import command, events, promises, soak
from tests.fakes import world as worlds

LONG = "SOAK_TICKS" in os.environ
TICKS = int(os.environ.get("SOAK_TICKS", "6000"))
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 32) if LONG else 20260220))
PASSES = 10_000 if LONG else 3_000
CHANGES = 900 if LONG else 90


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_l5_a_soak_with_random_faults_breaks_no_promise(seed: int) -> None:
    """P1 to P12 after every pass, and convergence after the last fault; the seed is part of every complaint."""
    happened = soak.soak(seed, TICKS)
    assert set(happened) >= {*events.WHILE_IT_WAITS}, "something never happened"
    assert happened["calms"] >= TICKS // 1000
    assert {"InSync", "SourceChanged", "Drifted", "PublishFailed"} <= set(happened)


def test_l5_a_soak_is_the_same_for_the_same_seed() -> None:
    assert soak.soak(7, 300) == soak.soak(7, 300)


def complaint(ticks: int = 300) -> str:
    """What the model says of a soak in which one promise does not hold."""
    with pytest.raises(promises.Violation) as broken:
        soak.Soak(1, ticks=ticks).run()
    return str(broken.value)


def test_the_model_sees_a_mixed_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    real = worlds.World._write

    def write(world: worlds.World, action: Any, known: Any) -> Any:
        done = real(world, action, known)
        routes = [key for key in world.place.disk.shown if key.kind is items.Kind.ROUTE]
        world.place.disk.shown.pop(routes[0] if routes else None, None)  # type: ignore[arg-type]  # None is no key
        return done

    monkeypatch.setattr(worlds.World, "_write", write)
    assert complaint().startswith("P1")


def test_the_model_sees_a_back_off_that_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "doubling", lambda first_s, longest_s: lambda failures: first_s)
    assert complaint().startswith("C3, C4")


def test_the_model_sees_new_content_that_is_not_worked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    real = soak.SoakWorker.look
    monkeypatch.setattr(soak.SoakWorker, "look", lambda one: real(one) if one._soak.checking else None)
    assert "P11" in complaint(3000)


def test_the_model_sees_a_failure_that_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds.World, "fail", lambda world, failure: None)
    assert "P2" in complaint()


def test_the_model_sees_a_look_that_comes_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "RESCAN_S", 3600.0)
    assert complaint().startswith("P10")


def test_the_model_sees_repairs_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "RULES", policy.Policy(max_removed=1.0, stall=policy.Stall(1000, promises.WINDOW_S)))
    monkeypatch.setattr(events, "WHILE_IT_WAITS", {"fight": 1, "ask": 9})
    monkeypatch.setattr(events, "IN_A_PASS", {"ask": 1})
    assert complaint(3000).startswith("P12")


def test_the_model_sees_a_step_that_says_nothing_of_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "MARGIN_S", -61.0)
    assert complaint().startswith("P8")


def measured(folder: Path, passes: int, every: int) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What a process was like after a tenth of its passes, and after all; their reasons are those of the whole run."""
    shop = command.Shop(folder)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.fakes.idle", str(shop.source), str(shop.config), str(passes), str(every)],
        env=command.child_environment(),
        cwd=command.ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    early, late = map(json.loads, ended.stdout.splitlines())
    return early, late


def assert_flat(early: Mapping[str, Any], late: Mapping[str, Any]) -> None:
    """Nothing grows with the number of passes."""
    assert late["rss_bytes"] < early["rss_bytes"] * 1.10, (early, late)
    assert late["blocks"] < early["blocks"] * 1.05, (early, late)
    for name in ("descriptors", "threads", "files"):
        assert late[name] == early[name], (name, early, late)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_l5_idle_passes_over_a_real_folder_leave_nothing_behind(tmp_path: Path) -> None:
    early, late = measured(tmp_path, PASSES, 0)
    assert late["passes"] == PASSES
    assert late["reasons"] == {"FirstPublish": 1, "InSync": PASSES - 1}
    assert_flat(early, late)
    assert late["disk_bytes"] == early["disk_bytes"]


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_l5_changes_in_a_real_folder_leave_nothing_behind(tmp_path: Path) -> None:
    """Every other pass publishes; generations, applied sets and history stay within their bounds."""
    early, late = measured(tmp_path, CHANGES * 2, 2)
    assert late["reasons"]["SourceChanged"] == CHANGES - 1
    assert_flat(early, late)
    assert late["disk_bytes"] < 2_000_000
