"""A target as strangers may see it over HTTP, and what of it is health and readiness (faults.md I4).

Values and payloads only; `controller.http.app` answers with them. One target is told as ever; of several each has its
entry in ``targets``, and the whole is as good as the worst of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller import pulse, runs
from controller.http import answers

STATUS_KEPT_S = 1.0
"""For so long at least a status is shown again instead of being made anew: asking for it costs reading the record, and
asking the engine. A failure is kept no longer."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One target. It is ready when its last good check is no longer ago than `ready_within_s` and what the pulse allows
    beyond that. A status is shown again for `status_kept_s`, unless a pass ended meanwhile. `places` are folders of
    this machine, and the word for each."""

    name: str
    asked: runs.Runs
    beats: pulse.Pulse
    status: Callable[[], Mapping[str, Any]]
    ready_within_s: float
    places: answers.Places = field(default_factory=dict)
    status_kept_s: float = STATUS_KEPT_S


def health(targets: Sequence[Shown], now_s: float) -> tuple[bool, dict[str, Any]]:
    """Whether every loop lives; what each one does, and which hang."""
    told = [_health(one, now_s) for one in targets]
    if len(told) == 1:
        return told[0]["alive"], told[0]
    alive = all(one["alive"] for one in told)
    hung = [one.name for one, found in zip(targets, told, strict=True) if not found["alive"]]
    return alive, {"alive": alive, "hung": hung, "targets": _named(targets, told)}


def _health(one: Shown, now_s: float) -> dict[str, Any]:
    beat, alive = one.beats.beat, one.beats.alive
    return {
        "alive": alive,
        "step": beat.step,
        "seconds": round(now_s - beat.since_s, 1),
        "limit_seconds": round(beat.until_s - beat.since_s, 1),
    }


def readiness(targets: Sequence[Shown]) -> tuple[bool, dict[str, Any]]:
    """Whether the last good check of every target is recent; not while none has begun."""
    told = [_readiness(one) for one in targets]
    if len(told) == 1:
        return told[0]["ready"], told[0]
    ready = bool(told) and all(one["ready"] for one in told)
    return ready, {"ready": ready, "targets": _named(targets, told)}


def _readiness(one: Shown) -> dict[str, Any]:
    ago_s, within_s = one.beats.good_ago_s, one.ready_within_s + one.beats.allowance_s
    return {
        "ready": ago_s is not None and ago_s <= within_s,
        "seconds_since_good": None if ago_s is None else round(ago_s, 1),
        "limit_seconds": round(within_s, 1),
    }


def _named(targets: Sequence[Shown], told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": one.name, **found} for one, found in zip(targets, told, strict=True)]
