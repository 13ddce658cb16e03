"""Messages to somebody when a target fails, recovers or changes: a POST of JSON, in a thread of its own.

Stands behind the loop. Owns when a message is worth sending and what becomes of one that cannot be delivered: it is
counted, told once, and never holds up, fails or hides a pass (faults.md I7, P15). The address is a secret: it is sent
to, and shown nowhere (faults.md P13).
"""

import base64
import collections
import contextlib
import http.client
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from controller import clock, docker_output, errors, output, registry_sockets, secret_values, settings_sections
from core import rates

QUEUED = 16
"""Messages that wait; the oldest makes room for a new one."""

RATE = rates.Rate(at_once=20, per_minute=1.0)
"""More than this is a storm."""

PAUSE_S = 1.0
"""Before the second try, in seconds."""

_ENDING_S = 2.0
_SAME = ("target", "reason", "message", "revision")
"""What makes a message another one. Times, numbers of runs and durations do not."""
_LARGEST_ANSWER = 64 << 10


class Counts(Protocol):
    """Who counts."""

    def notification(self, result: str) -> None:
        """What became of one."""


class _Refused(Exception):
    """Answered, but not with a success. `again` says that another try may help."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answers {status}")
        self.again = status >= 500 or status in (408, 429)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where messages go."""

    at: registry_sockets.Address
    path: str
    headers: Mapping[str, str]


def destination_of(url: str) -> Destination:
    """An http or https address taken apart. Raises `ControllerError("SettingsInvalid")`, without showing it."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urllib.parse.urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise errors.ControllerError("SettingsInvalid", "notify.url: write an http:// or https:// address")
    secure = parts.scheme == "https"
    headers = {"Content-Type": "application/json", "User-Agent": "artifact-controller"}
    if parts.username is not None:
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(registry_sockets.Address(host, port or (443 if secure else 80), secure), path, headers)


def _silent(text: str) -> None:
    del text


@dataclass(frozen=True, slots=True)
class Plumbing:
    """What a notifier is connected with. `warn` takes a sentence for the log."""

    counts: Counts
    warn: Callable[[str], object] = _silent
    machine: clock.Clock = clock.Clock()


@dataclass(frozen=True, slots=True)
class _Message:
    key: tuple[str, ...]
    body: bytes


class Notifier:
    """Sends what it is told, one after another. `tell` returns at once and raises nothing."""

    def __init__(self, configured: settings_sections.Notify, to: Destination, plumbing: Plumbing) -> None:
        self._on = frozenset(configured.on)
        self._deadline_s = configured.deadline
        self._to = to
        self._plumbing = plumbing
        self._changed = threading.Condition()
        self._waiting: collections.deque[_Message] = collections.deque()
        self._last: tuple[str, ...] = ()
        self._bucket = rates.full(RATE, now_s=plumbing.machine.monotonic_s())
        self._thread: threading.Thread | None = None
        self._ended = False
        self._failing = False

    def tell(self, event: str, fields: Mapping[str, object]) -> None:
        """Queue a message: `event` is failed, recovered or changed; `fields` those of docs/json.md."""
        with contextlib.suppress(Exception):
            self._tell(event, fields)

    def _tell(self, event: str, fields: Mapping[str, object]) -> None:
        if event not in self._on:
            return
        message = _Message((event, *(str(fields.get(name, "")) for name in _SAME)), _body(event, fields))
        with self._changed:
            if self._ended:
                return
            if message.key == self._last:
                self._plumbing.counts.notification("repeated")
                return
            now_s = self._plumbing.machine.monotonic_s()
            self._bucket, wait_s = rates.taken(self._bucket, RATE, now_s=now_s)
            if wait_s:
                self._plumbing.counts.notification("limited")
                return
            self._queue(message)

    def _queue(self, message: _Message) -> None:
        self._last = message.key
        if len(self._waiting) >= QUEUED:
            self._waiting.popleft()
            self._plumbing.counts.notification("dropped")
        self._waiting.append(message)
        self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
            self._thread.start()

    def stop(self, patience_s: float = _ENDING_S) -> None:
        """Send what waits, if that is done soon; what is left then is lost."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(patience_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    return
                message = self._waiting.popleft()
            self._deliver(message)

    def _deliver(self, message: _Message) -> None:
        """Try, and once more where that may help. One that was not delivered may be told again."""
        failure = self._try(message)
        if failure is not None and _may_help(failure):
            with self._changed:
                self._changed.wait_for(lambda: self._ended, timeout=PAUSE_S)
            failure = self._try(message)
        self._plumbing.counts.notification("delivered" if failure is None else "failed")
        if failure is not None:
            with self._changed:
                if self._last == message.key:
                    self._last = ()
            if not self._failing:
                self._plumbing.warn(f"a notification could not be delivered: {_words(failure)}")
        elif self._failing:
            self._plumbing.warn("notifications are delivered again")
        self._failing = failure is not None

    def _try(self, message: _Message) -> Exception | None:
        connection = _Connection(self._to.at, self._deadline_s)
        try:
            connection.request("POST", self._to.path, message.body, dict(self._to.headers))
            with connection.getresponse() as answer:
                answer.read(_LARGEST_ANSWER)
                return None if 200 <= answer.status < 300 else _Refused(answer.status)
        except Exception as error:  # noqa: BLE001 - told by `_deliver`; whatever it is, it is no failure of a pass
            return error
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    """One connection for one message, with a deadline for all of it. Follows no redirect and uses no proxy."""

    def __init__(self, at: registry_sockets.Address, deadline_s: float) -> None:
        super().__init__(at.host, at.port)
        self._at = at
        self._deadline = registry_sockets.Deadline(deadline_s)

    def connect(self) -> None:
        """Connect, with TLS where the address says so."""
        timed = registry_sockets.Timed(self._at, self._deadline.left)
        self.sock: Any = timed
        timed.connect()


def _may_help(failure: Exception) -> bool:
    if isinstance(failure, _Refused):
        return failure.again
    return isinstance(failure, OSError | http.client.HTTPException)


def _words(failure: Exception) -> str:
    """What went wrong, without the address."""
    if isinstance(failure, TimeoutError):
        return "no answer in time"
    if isinstance(failure, _Refused):
        return f"the receiver {failure}"
    reason = getattr(failure, "strerror", None)
    return f"{type(failure).__name__}{f': {reason}' if isinstance(reason, str) else ''}"


def _body(event: str, fields: Mapping[str, object]) -> bytes:
    """The message as `notification/v1` of docs/json.md. ``text`` is what chat services show."""
    target, reason, message = (_clean(fields.get(name, "")) for name in ("target", "reason", "message"))
    shown = {name: _neutral(value) for name, value in fields.items()}
    text = f"{target} {event} ({reason}): {message}"
    return json.dumps(
        {"schema": "artifact-controller/notification/v1", "event": event, **shown, "text": text}, default=str
    ).encode()


def _neutral(value: object) -> object:
    if isinstance(value, Mapping):
        return {_clean(key): _neutral(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_neutral(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float) else _clean(value)


def _clean(value: object) -> str:
    return output.clean(docker_output.redacted(str(value)))


def destination(configured: settings_sections.Notify) -> Destination | None:
    """Where messages go; None when nobody is to be told. Raises `ControllerError("SettingsInvalid")` for what is no
    address, or a file that cannot be read."""
    url = secret_values.read(configured.url, configured.url_file, "notify.url")
    return None if url is None else destination_of(url)


@contextlib.contextmanager
def notifying(
    configured: settings_sections.Notify, counts: Counts, *, warn: Callable[[str], object] = _silent
) -> Iterator[Notifier | None]:
    """A notifier as the settings want it, for as long as the block runs; None when nobody is to be told.

    Raises `ControllerError("SettingsInvalid")` as `destination` does.
    """
    where = destination(configured)
    if where is None:
        yield None
        return
    notifier = Notifier(configured, where, Plumbing(counts, warn))
    try:
        yield notifier
    finally:
        notifier.stop()
