"""Statuses as they are shown over HTTP: made anew no more often than passes end, each for itself (faults.md C2, I2).

Beneath `controller.http.app`; lives in the event loop. What a status says comes from a callable, in a thread: one
target whose engine does not answer holds up nobody who asks for another.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette import responses

from controller import clock, errors, output
from controller.http import answers, background, shown


@dataclass(frozen=True, slots=True)
class Told:
    """A status, or why there is none."""

    payload: Mapping[str, Any]
    error: errors.ControllerError | None = None

    @property
    def good(self) -> bool:
        """Whether there is one."""
        return self.error is None

    @property
    def row(self) -> dict[str, Any]:
        """As one of several in `status-set/v1` of docs/json.md."""
        if self.error is None:
            return {"exit_code": errors.OK, "result": output.document("status", self.payload)}
        told = output.document("error", output.error_payload(self.error))
        return {"exit_code": self.error.meaning.exit_code, "result": told}


@dataclass(slots=True)
class _Kept:
    """A status as it was made at `made_s`, when `ended` runs of `of` were over. The lock makes it one for all who ask
    at the same time."""

    of: shown.Shown
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    made_s: float = 0.0
    ended: int = 0
    told: Told | None = None

    def is_old(self, now_s: float) -> bool:
        """Whether to make a new one: never more than one in `STATUS_KEPT_S`, and for every pass one at most."""
        if self.told is None:
            return True
        same = self.of.asked.ended == self.ended and self.told.good
        limit_s = self.of.status_kept_s if same else shown.STATUS_KEPT_S
        return now_s - self.made_s >= max(limit_s, shown.STATUS_KEPT_S)


class Statuses:
    """Of the targets of one server."""

    def __init__(self, machine: clock.Clock) -> None:
        self._clock = machine
        self._kept: dict[str, _Kept] = {}

    async def one(self, target: shown.Shown) -> responses.Response:
        """The status of one target."""
        told = await self._told(target)
        if told.error is None:
            return answers.reply(200, "status", told.payload, places=target.places)
        payload = {"error": told.error.reason, "message": told.error.message}
        return answers.reply(503, "refusal", payload, places=target.places)

    async def several(self, targets: Sequence[shown.Shown]) -> responses.Response:
        """Those of all; in the place of one that cannot be had stands why."""
        told = await asyncio.gather(*(self._told(one) for one in targets))
        self._forget(targets)
        rows = [
            {"target": one.name, **answers.neutral(found.row, one.places)}
            for one, found in zip(targets, told, strict=True)
        ]
        payload = {"exit_code": errors.worst(row["exit_code"] for row in rows), "targets": rows}
        return answers.reply(200 if any(one.good for one in told) else 503, "status-set", payload)

    async def _told(self, target: shown.Shown) -> Told:
        kept = self._kept.get(target.name)
        if kept is None or kept.of is not target:
            kept = self._kept[target.name] = _Kept(target)
        async with kept.lock:
            now_s, ended = self._clock.monotonic_s(), target.asked.ended
            if kept.told is None or kept.is_old(now_s):
                kept.made_s, kept.ended, kept.told = now_s, ended, await _made(target)
            return kept.told

    def _forget(self, targets: Sequence[shown.Shown]) -> None:
        names = {one.name for one in targets}
        self._kept = {name: kept for name, kept in self._kept.items() if name in names}


async def _made(target: shown.Shown) -> Told:
    try:
        return Told(await background.in_thread(target.status))
    except errors.ControllerError as error:
        return Told({}, error)
