"""The webhook receiver: a genuine delivery asks for a look, and is told which run will answer it.

Stands before `core.webhooks`, which says what is genuine. Owns the bounds of a delivery: its size, its time, and how
often one leads to a look (faults.md I1, I2, I6, P14). Of its body nothing is kept, and nothing but its signature read.
"""

import asyncio
import math
from typing import Protocol

from starlette import requests, responses

from controller import clock, runs
from controller.http import answers, bounds
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
    """Of one secret. Lives in the event loop."""

    def __init__(
        self, secret: bytes, asked: runs.Runs, counts: Counts, limits: bounds.Limits, machine: clock.Clock
    ) -> None:
        self._secret = secret
        self._asked = asked
        self._counts = counts
        self._limits = limits
        self._clock = machine
        self._rate = rates.Rate(limits.rate_per_minute, float(limits.rate_per_minute))
        self._bucket = rates.full(self._rate, now_s=machine.monotonic_s())

    async def receive(self, request: requests.Request) -> responses.Response:
        """One delivery."""
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
        return self._judged(delivery.verdict())

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

    def _judged(self, verdict: webhooks.Verdict) -> responses.Response:
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
                return self._look()

    def _look(self) -> responses.Response:
        """Ask for a look. Joining one that waits already costs nothing, so that a burst loses no delivery."""
        if not self._asked.await_request(0):
            now_s = self._clock.monotonic_s()
            self._bucket, wait_s = rates.taken(self._bucket, self._rate, now_s=now_s)
            if wait_s:
                headers = {"retry-after": str(math.ceil(wait_s))}
                return self._told(LIMITED, 429, "TooMany", "too many deliveries; the interval covers them", headers)
        run_id = self._asked.request(runs.Cause.WEBHOOK)
        self._counts.webhook(_V.LOOK)
        url = f"/v1/runs/{run_id}"
        payload = {"result": "accepted", "run": run_id, "status_url": url}
        return answers.reply(202, "delivery", payload, headers={"location": url})

    def _told(
        self, result: str, status: int, error: str, message: str, headers: dict[str, str] | None = None
    ) -> responses.Response:
        self._counts.webhook(result)
        return answers.refusal(status, error, message, headers)


def _is_last(message: object) -> bool:
    return not (isinstance(message, dict) and message.get("more_body", False))
