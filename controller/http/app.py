"""The routes: what the server answers to whom. Read-only but for the webhook (faults.md I3, I4).

Home of starlette, with `answers`, `statuses` and `webhooks`. Owns no socket. What it shows comes from the pulses of the
loops, their runs, the metrics and a callable for each status; it decides nothing about a target and never waits in the
event loop.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from starlette import applications, exceptions, requests, responses, routing
from starlette.types import ASGIApp, Receive, Scope, Send

from controller import clock, runs
from controller.http import answers, background, bounds, naming, shown, statuses, webhooks

_FOR_ANY_NAME = frozenset({("GET", "/healthz"), ("HEAD", "/healthz")})
"""What shows nothing: asked for by whatever name, as a webhook is, which has a signature."""

_WEBHOOK = "/v1/webhook"

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
    """What there is to tell, and to ask for. `targets` are those of the moment, in their order. Without `secret` there
    is no webhook receiver. `names` are further ones that the server may be asked for by. `warn` takes a sentence for
    the log."""

    targets: Callable[[], Sequence[shown.Shown]]
    metrics: Metrics
    secret: bytes | None = None
    warn: Callable[[str], object] = _silent
    machine: clock.Clock = clock.Clock()
    names: Collection[str] = ()

    def find(self, name: str) -> shown.Shown | None:
        """The target of this name."""
        return next((one for one in self.targets() if one.name == name), None)


class Application:
    """Callable as ASGI. `close` sends home everybody who waits."""

    def __init__(self, served: Served, limits: bounds.Limits = bounds.USUAL) -> None:
        self._served = served
        self._limits = limits
        self._closed = threading.Event()
        self._waiting = 0
        self._statuses = statuses.Statuses(served.machine)
        self._routes = _without_redirects(self._table(), self._bug)

    def _table(self) -> list[routing.Route]:
        table: list[tuple[str, Any]] = [
            ("/healthz", self._health),
            ("/readyz", self._readiness),
            ("/metrics", self._metrics),
            ("/v1/status", self._state),
            ("/v1/status/{target}", self._state_of_one),
            ("/v1/runs/{run_id}", self._run),
        ]
        routes = [routing.Route(path, endpoint, methods=["GET"]) for path, endpoint in table]
        served = self._served
        if served.secret is not None:
            receiver = webhooks.Receiver(
                served.secret, served.targets, served.metrics, limits=self._limits, machine=served.machine
            )
            paths = (_WEBHOOK, f"{_WEBHOOK}/{{target}}")
            routes += [routing.Route(path, receiver.receive, methods=["POST"]) for path in paths]
        return routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. A bug ends that answer, and is told; it is not the server's end, nor the loop's."""
        try:
            await self._app(scope)(scope, receive, send)
        except Exception:  # noqa: BLE001 - `_bug` has answered and told already
            return

    def _app(self, scope: Scope) -> ASGIApp:
        """A page of somebody else's whose name leads here asks with that name (DNS rebinding): it gets nothing."""
        if (scope["method"], scope["path"]) in _FOR_ANY_NAME or _is_webhook(scope):
            return self._routes
        if self._is_named(scope):
            return self._routes
        return answers.refusal(421, "WrongHost", "this server does not answer to that name: see http.names")

    def _is_named(self, scope: Scope) -> bool:
        """Whether it is asked for by a name of its own."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        return all(naming.is_own(host.decode("latin-1"), self._served.names) for host in hosts)

    def close(self) -> None:
        """Let go of those who wait for a run; they are told how far it is."""
        self._closed.set()

    async def _bug(self, request: requests.Request, error: Exception) -> responses.Response:
        del request
        self._served.warn(f"a bug ended an answer over HTTP: {type(error).__name__}")
        return answers.refusal(500, "Bug", "this answer failed; see the controller's log")

    async def _health(self, request: requests.Request) -> responses.Response:
        """Whether every loop lives (I4). Which targets there are is not told to a page of somebody else's (I3)."""
        alive, payload = shown.health(self._served.targets(), self._served.machine.monotonic_s())
        if "targets" in payload and not self._is_named(request.scope):
            payload = {"alive": alive}
        return answers.reply(200 if alive else 503, "health", payload)

    async def _readiness(self, request: requests.Request) -> responses.Response:
        """Whether the last good check of every target is recent (I4)."""
        del request
        ready, payload = shown.readiness(self._served.targets())
        return answers.reply(200 if ready else 503, "readiness", payload)

    async def _metrics(self, request: requests.Request) -> responses.Response:
        del request
        return answers.text(self._served.metrics.text(), _METRICS_TYPE)

    async def _state(self, request: requests.Request) -> responses.Response:
        """As `controller status` shows it."""
        del request
        targets = self._served.targets()
        return await (self._statuses.one(targets[0]) if len(targets) == 1 else self._statuses.several(targets))

    async def _state_of_one(self, request: requests.Request) -> responses.Response:
        """That of the target of this name."""
        target = self._served.find(request.path_params["target"])
        if target is None:
            return answers.refusal(404, "NoSuchTarget", "there is no such target")
        return await self._statuses.one(target)

    async def _run(self, request: requests.Request) -> responses.Response:
        """What became of a run; with ``?wait=true``, after its end."""
        run_id, wanted = request.path_params["run_id"], request.query_params.getlist("wait")
        if wanted not in ([], ["true"], ["false"]):
            return answers.refusal(400, "BadRequest", "wait takes true or false")
        target = next((one for one in self._served.targets() if one.asked.find(run_id) is not None), None)
        run = target.asked.find(run_id) if target else None
        if target is not None and run is not None and run.state is not runs.State.ENDED and wanted == ["true"]:
            if self._waiting >= self._limits.waiters:
                return answers.refusal(503, "TooManyWait", "too many wait already", {"retry-after": "5"})
            run = await self._ended(target.asked, run_id, request)
        if target is None or run is None:
            return answers.refusal(404, "NoSuchRun", "there is no such run, or it was too long ago")
        payload = {
            "id": run.id,
            "target": target.name,
            "state": run.state,
            "causes": sorted(run.causes),
            "requested_at": run.requested_at,
            "outcome": run.outcome,
        }
        return answers.reply(200, "run", payload, places=target.places)

    async def _ended(self, asked: runs.Runs, run_id: str, request: requests.Request) -> runs.Run | None:
        """The run after its end, or as it is when waiting is over: the time is, the client left, the server ends."""
        left = threading.Event()
        self._waiting += 1
        gone = asyncio.ensure_future(_gone(request))
        gone.add_done_callback(lambda _: left.set())
        try:
            return await background.in_thread(lambda: self._await_end(asked, run_id, left))
        finally:
            self._waiting -= 1
            gone.cancel()

    def _await_end(self, asked: runs.Runs, run_id: str, left: threading.Event) -> runs.Run | None:
        machine = self._served.machine
        until_s = machine.monotonic_s() + self._limits.wait_s
        while True:
            rest_s = until_s - machine.monotonic_s()
            run = asked.await_end(run_id, min(max(rest_s, 0.0), _SLICE_S))
            if run is None or run.state is runs.State.ENDED or rest_s <= 0 or left.is_set() or self._closed.is_set():
                return run


def _is_webhook(scope: Scope) -> bool:
    path = str(scope["path"])
    return scope["method"] == "POST" and (path == _WEBHOOK or path.startswith(f"{_WEBHOOK}/"))


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
