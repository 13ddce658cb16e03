"""The webhook receiver: a genuine delivery asks for a look, and is told which run will answer it.

Stands before `core.webhooks`, which says what is genuine. Owns the bounds of a delivery: its size, its time, and how
often one leads to a look (faults.md I1, I2, I6, P14). Of its body nothing is kept, and nothing but its signature read.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from starlette import requests, responses

from controller import clock, runs
from controller.http import answers, bounds, shown
from core import rates, webhooks


class Counts(Protocol):
    """Who counts deliveries."""

    def webhook(self, result: str) -> None:
        """A delivery was answered: a `core.webhooks.Verdict`, or one of `RESULTS`."""


LIMITED, TOO_LARGE, TOO_SLOW, BROKEN = "limited", "too-large", "too-slow", "broken"
RESULTS = (*webhooks.Verdict, LIMITED, TOO_LARGE, TOO_SLOW, BROKEN)
"""Everything that a delivery can come to."""

_V = webhooks.Verdict


class _TooLarge(Exception):
    pass


class _Broken(Exception):
    pass


class Receiver:
    """Of one secret. Lives in the event loop. `targets` are those of the moment."""

    def __init__(
        self,
        secret: bytes,
        targets: Callable[[], Sequence[shown.Shown]],
        counts: Counts,
        *,
        limits: bounds.Limits,
        machine: clock.Clock,
    ) -> None:
        self._secret = secret
        self._targets = targets
        self._counts = counts
        self._limits = limits
        self._clock = machine
        self._rate = rates.Rate(limits.rate_per_minute, float(limits.rate_per_minute))
        self._buckets: dict[str, rates.Bucket] = {}

    async def receive(self, request: requests.Request) -> responses.Response:
        """One delivery, for all targets or for the one in its path."""
        delivery = webhooks.Delivery(request.headers.raw, self._secret, now_s=self._clock.now_s())
        try:
            async with asyncio.timeout(self._limits.body_s):
                await self._read(request, delivery)
        except _TooLarge:
            return self._told(TOO_LARGE, 413, "TooLarge", "the body is too large")
        except TimeoutError:
            return self._told(TOO_SLOW, 408, "TooSlow", "the body did not come in time")
        except _Broken:
            return self._told(BROKEN, 400, "Broken", "the body ended before its end")
        return self._judged(delivery.verdict(), request.path_params.get("target", ""))

    async def _read(self, request: requests.Request, delivery: webhooks.Delivery) -> None:
        """Feed the body to the delivery. One that is too large is read a little further, so that who sends it comes to
        read the answer; not when it says beforehand that it is far too large."""
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._limits.max_drained_bytes:
            raise _TooLarge
        size = 0
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise _Broken
            piece = message.get("body", b"")
            size += len(piece)
            if size <= self._limits.max_body_bytes:
                delivery.take(piece)
            if size > self._limits.max_drained_bytes or (size > self._limits.max_body_bytes and _is_last(message)):
                raise _TooLarge
            if _is_last(message):
                return

    def _judged(self, verdict: webhooks.Verdict, name: str) -> responses.Response:
        """Who has no signature is told nothing about which targets there are."""
        match verdict:
            case _V.UNSIGNED:
                challenge = {"www-authenticate": "Signature"}
                return self._told(verdict, 401, "Unsigned", "a webhook needs a signature", challenge)
            case _V.REFUSED:
                return self._told(verdict, 403, "Refused", "the signature is wrong")
            case _V.PING | _V.OTHER:
                self._counts.webhook(verdict)
                return answers.reply(200, "delivery", {"result": "pong" if verdict is _V.PING else "ignored"})
            case _V.LOOK:
                return self._look(name)

    def _look(self, name: str) -> responses.Response:
        """Ask for a look, of all targets or of one. Joining those that wait already costs nothing, so that a burst
        loses no delivery."""
        targets = [one for one in self._targets() if name in ("", one.name)]
        if not targets:
            return self._told(_V.OTHER, 404, "NoSuchTarget", "there is no such target")
        wait_s = 0.0 if all(one.asked.await_request(0) for one in targets) else self._taken_s(name)
        if wait_s:
            headers = {"retry-after": str(math.ceil(wait_s))}
            return self._told(LIMITED, 429, "TooMany", "too many deliveries; the interval covers them", headers)
        begun = [_accepted(one.name, one.asked.request(runs.Cause.WEBHOOK)) for one in targets]
        self._counts.webhook(_V.LOOK)
        if len(begun) > 1:
            return answers.reply(202, "delivery", {"result": "accepted", "runs": begun})
        payload = {"result": "accepted", "run": begun[0]["run"], "status_url": begun[0]["status_url"]}
        return answers.reply(202, "delivery", payload, headers={"location": begun[0]["status_url"]})

    def _taken_s(self, name: str) -> float:
        """Seconds until there may be a look again, 0 when now: each path has looks of its own."""
        now_s = self._clock.monotonic_s()
        bucket = self._buckets.get(name) or rates.full(self._rate, now_s=now_s)
        self._buckets[name], wait_s = rates.taken(bucket, self._rate, now_s=now_s)
        return wait_s

    def _told(
        self, result: str, status: int, error: str, message: str, headers: dict[str, str] | None = None
    ) -> responses.Response:
        self._counts.webhook(result)
        return answers.refusal(status, error, message, headers)


def _accepted(target: str, run_id: str) -> dict[str, Any]:
    return {"target": target, "run": run_id, "status_url": f"/v1/runs/{run_id}"}


def _is_last(message: object) -> bool:
    return not (isinstance(message, dict) and message.get("more_body", False))
