"""One target, for real: a CONFIG_DIR, its record, and the source that it follows.

Implements `controller.world` over files, SQLite and the lock. Composes; decides nothing.
"""

import datetime
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, Self, assert_never

from controller import clock, errors, fingerprint_store, settings, state, translate, writer
from controller.sources import directory
from controller.world import Acted, Fetched, Success
from core import actions, conditions, desired, items, observed, plan, policy, record, runtime_config, secrets
from manifests import checkout, config_dir, merge_lock


class Target:
    """Opened with settings, closed like a file. `fresh` ignores the fingerprint store: every document is read anew."""

    def __init__(
        self,
        configured: settings.Settings,
        *,
        interruption: Any = None,
        fresh: bool = False,
        machine: clock.Clock = clock.Clock(),
    ) -> None:
        if configured.config_dir is None:
            raise errors.ControllerError("SettingsInvalid", "config_dir is not set: pass --config-dir")
        self.config_dir = configured.config_dir
        self.state_dir = configured.state_dir or configured.config_dir / ".controller"
        self.name = configured.name
        self.rules = policy.Policy(**configured.policy.model_dump())
        self._settings = configured
        self._clock = machine
        self._interruption = interruption
        self._fresh = fresh
        self._checkout: checkout.Checkout | None = None
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self._state = state.State(self.state_dir, now=self._clock.utc, keep_applied=self._settings.keep_applied)
        self._resources.callback(self._state.close)
        self._store = fingerprint_store.FingerprintStore(self.state_dir, fresh=self._fresh)
        self._resources.callback(self._store.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the kernel lock on CONFIG_DIR, creating the directory if only its last part is missing."""
        with translate.manifests_errors():
            writer.ensure_directory(self.config_dir)
            lock = merge_lock.DirectoryLock(
                self.config_dir,
                wait_s=self._settings.lock_wait,
                monotonic=self._clock.monotonic_s,
                sleep=self._clock.sleep,
            )
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def remember(self, *, with_items: bool) -> record.Record:
        """The record. A suspension whose time is over does not count any more."""
        with translate.state_errors():
            return self._state.load(with_items=with_items)

    def look(self) -> observed.Observed:
        """One look at CONFIG_DIR."""
        with translate.manifests_errors():
            return config_dir.observe(self.config_dir)

    def fetch(self) -> Fetched:
        """Scan the directory source: stat calls when nothing moved."""
        source = directory.locate(self._settings)
        rules = directory.rules(self._settings)
        with translate.manifests_errors():
            self._checkout = checkout.scan(source, self._store, now_ns=self._clock.now_ns, rules=rules)
        required = self._checkout.required_secrets
        return Fetched(
            revision=self._checkout.revision,
            rules_digest=rules.digest,
            requirement=self._checkout.requirement,
            missing_secrets=secrets.missing(required, self._secret_names()) if required else (),
        )

    def read(self) -> desired.Desired:
        """Read the entries of the last fetch and fold them."""
        assert self._checkout is not None  # noqa: S101 - `read` follows `fetch` in every flow
        with translate.manifests_errors():
            entries = checkout.load_entries(self._checkout, self._store)
        return runtime_config.fold(
            entries,
            revision=self._checkout.revision,
            required_secrets=self._checkout.required_secrets,
            warnings=self._checkout.warnings,
        )
