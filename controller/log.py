"""The log of a running controller: one line an event on stderr, JSON or for people. The home of structlog.

Owns what may stand in a line (faults.md K1, K2): no control characters, nothing under a key that says that it is
secret, no password in an address. Writing happens in a thread of its own behind a bounded queue, so that a terminal
that was stopped or a pipe that nobody reads never holds up the loop (faults.md K3): lines are dropped, and counted.
"""

import logging
import logging.handlers
import queue
import re
import sys
import threading
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import structlog

from controller import colour, docker_output, output, settings_sections

QUEUED = 1000
"""Lines that wait for a slow reader before further ones are dropped."""

_LAST_WORDS_S = 2.0
"""How long the end waits for a reader, in seconds."""

_SECRET_KEY = re.compile(r"pass|secret|token|authorization|credential|api_?key|private_?key|cookie", re.IGNORECASE)
_NAME = "artifact-controller"


class _Queue(logging.handlers.QueueHandler):
    """Drops what does not fit."""

    def __init__(self, lines: "queue.Queue[logging.LogRecord]") -> None:
        super().__init__(lines)
        self.dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        """Never waits."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


class Log:
    """Open from `start` to `stop`."""

    def __init__(self, configured: settings_sections.Log, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        lines: queue.Queue[logging.LogRecord] = queue.Queue(QUEUED)
        self._queue = _Queue(lines)
        self._listener = logging.handlers.QueueListener(lines, logging.StreamHandler(self._stream))
        self._log = self._as(configured)

    def configure(self, configured: settings_sections.Log) -> None:
        """From the next line on, level and format are these."""
        self._log = self._as(configured)

    def _as(self, configured: settings_sections.Log) -> Any:
        as_json = configured.format == "json" or (configured.format == "auto" and not self._stream.isatty())
        logger = logging.Logger(  # noqa: LOG001 - nobody else shall write to it, or configure it
            _NAME, getattr(logging, configured.level.upper())
        )
        logger.addHandler(self._queue)
        return structlog.wrap_logger(
            logger,
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _safe,
                _renderer(as_json=as_json, colours=colour.is_wanted(self._stream)),
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
        )

    def start(self) -> None:
        """Begin to write. A line that cannot be written is lost, and nothing is said about it in its place."""
        logging.raiseExceptions = False
        self._listener.start()

    def stop(self) -> None:
        """Write what waits, unless the reader does not take it."""
        ending = threading.Thread(target=self._drain, daemon=True)
        ending.start()
        ending.join(_LAST_WORDS_S)

    def _drain(self) -> None:
        with suppress(queue.Full):
            self._listener.stop()

    @property
    def dropped(self) -> int:
        """Lines that found no room."""
        return self._queue.dropped

    def write(self, level: str, event: str, **fields: Any) -> None:
        """One line. `level` is debug, info, warning or error; fields are short values, or mappings of them."""
        getattr(self._log, level)(event, **fields)


def _renderer(*, as_json: bool, colours: bool) -> Any:
    if as_json:
        return structlog.processors.JSONRenderer(sort_keys=False)
    return structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0, sort_keys=False)


def _safe(logger: Any, name: str, fields: MutableMapping[str, Any]) -> Mapping[str, Any]:
    del logger, name
    return {key: _shown(key, value) for key, value in fields.items()}


def _shown(key: str, value: Any) -> Any:
    if _SECRET_KEY.search(key):
        return docker_output.HIDDEN
    if isinstance(value, Mapping):
        return {str(inner): _shown(str(inner), one) for inner, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(key, one) for one in value]
    if isinstance(value, bool | int | float) or value is None:
        return value
    return output.clean(docker_output.redacted(str(value)))
