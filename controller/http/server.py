"""The server: a socket opened at the start, and uvicorn in a thread of its own. Home of uvicorn.

Owns the thread's life: it is serving when `start` returns and gone when `stop` does. Whatever happens in it, the loop
that converges goes on (faults.md I2, I5, P14).
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import uvicorn

from controller import errors, secret_values, settings_sections
from controller.http import app, bounds, connections, shown, sockets
from core import webhooks

_START_S = 10.0
_STOP_S = 2.0
_TICK_S = 1.0


def _silent(text: str) -> None:
    del text


class Server:
    """Not serving until `start`. `warn` takes a sentence for the log."""

    def __init__(
        self,
        listen: str,
        served: app.Served,
        limits: bounds.Limits = bounds.USUAL,
    ) -> None:
        self._listen = listen
        self._application = app.Application(served, limits)
        self._inner = _Inner(self._application, limits, served.warn)
        self._thread: threading.Thread | None = None
        self.address = ""

    def start(self) -> None:
        """Open the socket and serve. Raises `ControllerError`: "ListenFailed", "SettingsInvalid"."""
        sock = sockets.listening(self._listen)
        self.address = sockets.name_of(sock)
        self._thread = threading.Thread(target=self._inner.serve_on, args=(sock,), name="http", daemon=True)
        self._thread.start()
        if not self._inner.ready.wait(_START_S) or not self._inner.started:
            self.stop()
            raise errors.ControllerError("ListenFailed", f"http.listen {self._listen}: the server did not start")

    def stop(self) -> None:
        """End, at most two seconds later. Requests under way get their answer if it is there by then."""
        self._application.close()
        self._inner.end()
        if self._thread is not None:
            self._thread.join(_STOP_S)


class _Inner(uvicorn.Server):
    """uvicorn's server without its signals, its log, and its ten looks a second whether it should end."""

    def __init__(self, application: app.Application, limits: bounds.Limits, warn: Callable[[str], object]) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=connections.bounded(limits),
                loop="asyncio",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level=logging.CRITICAL + 1,  # it would log what strangers send, a line for each
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=int(limits.headers_s) or 1,
                timeout_graceful_shutdown=1,
            )
        )
        self.ready = threading.Event()
        self._warn = warn
        self._ending: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def serve_on(self, sock: Any) -> None:
        """Serve until `end`; in the thread of the server."""
        try:
            self.run(sockets=[sock])
        finally:
            sock.close()
            self.ready.set()

    def end(self) -> None:
        """Make it end, from any thread."""
        self.should_exit = True
        loop, ending = self._loop, self._ending
        if loop is not None and ending is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(ending.set)

    async def startup(self, sockets: Any = None) -> None:
        """Begin to take connections."""
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(lambda _, told: self._warn(f"HTTP server: {_what(told)}"))
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """Keep the date of answers right, until the end."""
        assert self._ending is not None  # noqa: S101 - set by `startup`
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _TICK_S)

    async def shutdown(self, sockets: Any = None) -> None:
        """End politely for a second, then cut what is left."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


def _what(told: Mapping[str, Any]) -> str:
    """What the event loop complains of, without anything of a request."""
    error = told.get("exception")
    return str(told.get("message", "")) if error is None else f"{told.get('message', '')} ({type(error).__name__})"


def secret_of(configured: settings_sections.Http) -> bytes | None:
    """The webhook secret; None when there is to be no receiver. Raises `ControllerError("SettingsInvalid")` for one
    that could be guessed (faults.md I1)."""
    found = secret_values.read(configured.webhook_secret, configured.webhook_secret_file, "http.webhook_secret")
    if found is None:
        return None
    if not webhooks.is_strong(found.encode()):
        text = f"http.webhook_secret is too short: write at least {webhooks.SHORTEST_SECRET} bytes"
        raise errors.ControllerError("SettingsInvalid", f"{text}, for example of `openssl rand -hex 32`")
    return found.encode()


@contextlib.contextmanager
def serving(
    configured: settings_sections.Http,
    targets: Callable[[], Sequence[shown.Shown]],
    metrics: app.Metrics,
    *,
    warn: Callable[[str], object] = _silent,
) -> Iterator[str]:
    """A server as the settings want it, for as long as the block runs; its address, "" for none.

    Raises `ControllerError`: "SettingsInvalid", "ListenFailed" (faults.md I5: told at the start, never later).
    """
    if configured.listen is None:
        yield ""
        return
    names = (configured.listen, *configured.names)
    served = app.Served(targets, metrics, secret_of(configured), warn, names=names)
    limits = bounds.Limits(max_body_bytes=configured.max_body_bytes, rate_per_minute=configured.rate_per_minute)
    server = Server(configured.listen, served, limits)
    server.start()
    try:
        yield server.address
    finally:
        server.stop()
