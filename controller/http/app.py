"""The routes: what the server answers to whom. Read-only but for the webhook (faults.md I3, I4).

Home of starlette, with `answers` and `webhooks`. Owns no socket. What it shows comes from the pulse of the loop, the
runs, the metrics and a callable for the status; it decides nothing about a target and never waits in the event loop.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette import applications, exceptions, requests, responses, routing
from starlette.types import ASGIApp, Receive, Scope, Send

from controller import clock, errors, pulse, runs
from controller.http import answers, background, bounds, naming, webhooks

STATUS_KEPT_S = 1.0
"""For so long at least a status is shown again instead of being made anew: asking for it costs reading the record, and
asking the engine. A failure is kept no longer."""

_FOR_ANY_NAME = frozenset({("GET", "/healthz"), ("HEAD", "/healthz"), ("POST", "/v1/webhook")})
"""What shows nothing, or has a signature: asked for by whatever name."""

_SLICE_S = 0.5
"""A thread that waits for a run looks this often whether it still should."""

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Protocol):
    """What is asked of `metrics.Metrics`."""

    def webhook(self, result: str) -> None:
        """A delivery was answered."""

    def text(self) -> bytes:
        """Everything that was counted, for Prometheus."""


def _silent(text: str) -> None:
    del text


@dataclass(frozen=True, slots=True)
class Served:
    """What there is to tell, and to ask for. Without `secret` there is no webhook receiver. A target is ready when its
    last good check is no longer ago than `ready_within_s` and what the pulse allows beyond that. A status is shown
    again for `status_kept_s`, unless a pass ended meanwhile. `names` are further ones that the server may be asked for
    by. `warn` takes a sentence for the log."""

    asked: runs.Runs
    beats: pulse.Pulse
    metrics: Metrics
    status: Callable[[], Mapping[str, Any]]
    ready_within_s: float
    secret: bytes | None = None
    places: answers.Places = field(default_factory=dict)
    warn: Callable[[str], object] = _silent
    machine: clock.Clock = clock.Clock()
    status_kept_s: float = STATUS_KEPT_S
    names: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class _Kept:
    """A status as it was made at `made_s`, when `ended` runs were over."""

    made_s: float
    ended: int
    answer: responses.Response

    def is_old(self, now_s: float, ended: int, kept_s: float) -> bool:
        """Whether to make a new one: never more than one in `STATUS_KEPT_S`, and for every pass one at most."""
        limit_s = kept_s if ended == self.ended and self.answer.status_code == 200 else STATUS_KEPT_S
        return now_s - self.made_s >= max(limit_s, STATUS_KEPT_S)


class Application:
    """Callable as ASGI. `close` sends home everybody who waits."""

    def __init__(self, served: Served, limits: bounds.Limits = bounds.USUAL) -> None:
        self._served = served
        self._limits = limits
        self._closed = threading.Event()
        self._waiting = 0
        self._status_lock = asyncio.Lock()
        self._status: _Kept | None = None
        self._routes = _without_redirects(self._table(), self._bug)

    def _table(self) -> list[routing.Route]:
        table: list[tuple[str, Any]] = [
            ("/healthz", self._health),
            ("/readyz", self._readiness),
            ("/metrics", self._metrics),
            ("/v1/status", self._state),
            ("/v1/runs/{run_id}", self._run),
        ]
        routes = [routing.Route(path, endpoint, methods=["GET"]) for path, endpoint in table]
        served = self._served
        if served.secret is not None:
            receiver = webhooks.Receiver(served.secret, served.asked, served.metrics, self._limits, served.machine)
            routes.append(routing.Route("/v1/webhook", receiver.receive, methods=["POST"]))
        return routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. A bug ends that answer, and is told; it is not the server's end, nor the loop's."""
        try:
            await self._app(scope)(scope, receive, send)
        except Exception:  # noqa: BLE001 - `_bug` has answered and told already
            return

    def _app(self, scope: Scope) -> ASGIApp:
        """A page of somebody else's whose name leads here asks with that name (DNS rebinding): it gets nothing."""
        if (scope["method"], scope["path"]) in _FOR_ANY_NAME:
            return self._routes
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if all(naming.is_own(host.decode("latin-1"), self._served.names) for host in hosts):
            return self._routes
        return answers.refusal(421, "WrongHost", "this server does not answer to that name: see http.names")

    def close(self) -> None:
        """Let go of those who wait for a run; they are told how far it is."""
        self._closed.set()

    async def _bug(self, request: requests.Request, error: Exception) -> responses.Response:
        del request
        self._served.warn(f"a bug ended an answer over HTTP: {type(error).__name__}")
        return answers.refusal(500, "Bug", "this answer failed; see the controller's log")

    async def _health(self, request: requests.Request) -> responses.Response:
        """Whether the loop lives (I4)."""
        del request
        beats = self._served.beats
        beat, now_s, alive = beats.beat, self._served.machine.monotonic_s(), beats.alive
        payload = {
            "alive": alive,
            "step": beat.step,
            "seconds": round(now_s - beat.since_s, 1),
            "limit_seconds": round(beat.until_s - beat.since_s, 1),
        }
        return answers.reply(200 if alive else 503, "health", payload)

    async def _readiness(self, request: requests.Request) -> responses.Response:
        """Whether the last good check is recent (I4)."""
        del request
        beats = self._served.beats
        ago_s, within_s = beats.good_ago_s, self._served.ready_within_s + beats.allowance_s
        ready = ago_s is not None and ago_s <= within_s
        payload = {
            "ready": ready,
            "seconds_since_good": None if ago_s is None else round(ago_s, 1),
            "limit_seconds": round(within_s, 1),
        }
        return answers.reply(200 if ready else 503, "readiness", payload)

    async def _metrics(self, request: requests.Request) -> responses.Response:
        del request
        return answers.text(self._served.metrics.text(), _METRICS_TYPE)

    async def _state(self, request: requests.Request) -> responses.Response:
        """As `controller status` shows it. Made once for all who ask at the same time."""
        del request
        async with self._status_lock:
            now_s, ended = self._served.machine.monotonic_s(), self._served.asked.ended
            if self._status is None or self._status.is_old(now_s, ended, self._served.status_kept_s):
                self._status = _Kept(now_s, ended, await self._new_state())
            return self._status.answer

    async def _new_state(self) -> responses.Response:
        places = self._served.places
        try:
            payload = await background.in_thread(self._served.status)
        except errors.ControllerError as error:
            told = {"error": error.reason, "message": error.message}
            return answers.reply(503, "refusal", told, places=places)
        return answers.reply(200, "status", payload, places=places)

    async def _run(self, request: requests.Request) -> responses.Response:
        """What became of a run; with ``?wait=true``, after its end."""
        run_id, wanted = request.path_params["run_id"], request.query_params.getlist("wait")
        if wanted not in ([], ["true"], ["false"]):
            return answers.refusal(400, "BadRequest", "wait takes true or false")
        run = self._served.asked.find(run_id)
        if run is not None and run.state is not runs.State.ENDED and wanted == ["true"]:
            if self._waiting >= self._limits.waiters:
                return answers.refusal(503, "TooManyWait", "too many wait already", {"retry-after": "5"})
            run = await self._ended(run_id, request)
        if run is None:
            return answers.refusal(404, "NoSuchRun", "there is no such run, or it was too long ago")
        payload = {
            "id": run.id,
            "state": run.state,
            "causes": sorted(run.causes),
            "requested_at": run.requested_at,
            "outcome": run.outcome,
        }
        return answers.reply(200, "run", payload, places=self._served.places)

    async def _ended(self, run_id: str, request: requests.Request) -> runs.Run | None:
        """The run after its end, or as it is when waiting is over: the time is, the client left, the server ends."""
        left = threading.Event()
        self._waiting += 1
        gone = asyncio.ensure_future(_gone(request))
        gone.add_done_callback(lambda _: left.set())
        try:
            return await background.in_thread(lambda: self._await_end(run_id, left))
        finally:
            self._waiting -= 1
            gone.cancel()

    def _await_end(self, run_id: str, left: threading.Event) -> runs.Run | None:
        asked, machine = self._served.asked, self._served.machine
        until_s = machine.monotonic_s() + self._limits.wait_s
        while True:
            rest_s = until_s - machine.monotonic_s()
            run = asked.await_end(run_id, min(max(rest_s, 0.0), _SLICE_S))
            if run is None or run.state is runs.State.ENDED or rest_s <= 0 or left.is_set() or self._closed.is_set():
                return run


async def _gone(request: requests.Request) -> None:
    """Until the client is."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _refused(request: requests.Request, error: Exception) -> responses.Response:
    """No such route, or not with this method. A method is told where it would be right."""
    del request
    if isinstance(error, exceptions.HTTPException) and error.status_code == 405:
        return answers.refusal(405, "MethodNotAllowed", "this path takes another method", error.headers)
    return answers.refusal(404, "NotFound", "there is nothing at this path")


def _without_redirects(routes: list[routing.Route], bug: Any) -> ASGIApp:
    """The library's application. It would lead ``/healthz/`` to an address made of the request's Host header."""
    built = applications.Starlette(
        routes=routes, exception_handlers={exceptions.HTTPException: _refused, Exception: bug}
    )
    built.router.redirect_slashes = False
    return built
