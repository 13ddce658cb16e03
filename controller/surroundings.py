"""What stands around all targets of a controller that stays: the HTTP server and the notifier.

Driven by `controller.daemon`. Owns that new settings take the place of those before only where they differ, so that
nobody who waits is sent away for nothing, and that notices go to whoever is there (faults.md I5, I7).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Self

from controller import metrics, notify, settings, telling
from controller.http import server, shown

Targets = Callable[[], Sequence[shown.Shown]]


class Surroundings:
    """Closed like a file. `targets` are those to show; `warn` takes a sentence for the log."""

    def __init__(self, targets: Targets, counts: metrics.Metrics, warn: Callable[[str], object]) -> None:
        self._targets = targets
        self._counts = counts
        self._warn = warn
        self._stack = ExitStack()
        self._wanted: object = None
        self._notifier: notify.Notifier | None = None
        self.address = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def bring(self, given: settings.Settings) -> None:
        """As these settings want it. Raises `ControllerError`; then there is nothing around."""
        wanted = (given.http, server.secret_of(given.http), given.notify, notify.destination(given.notify))
        if wanted == self._wanted:
            return
        self._wanted, self._notifier, self.address = None, None, ""
        self._stack.close()
        self._stack = ExitStack()
        self.address = self._stack.enter_context(
            server.serving(given.http, self._targets, self._counts, warn=self._warn)
        )
        self._notifier = self._stack.enter_context(notify.notifying(given.notify, self._counts, warn=self._warn))
        self._wanted = wanted

    @property
    def notices(self) -> telling.Notices | None:
        """Who takes notices from now on; None where nobody is to be told. It outlives the notifier of the moment."""
        return self if self._notifier is not None else None

    def tell(self, event: str, fields: Mapping[str, object]) -> None:
        """Hand on to the notifier of the moment."""
        notifier = self._notifier
        if notifier is not None:
            notifier.tell(event, fields)
