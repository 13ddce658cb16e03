"""One target, for real: a CONFIG_DIR, its record, and the source that it follows.

Implements `controller.world` over files, SQLite and the lock. Composes; decides nothing.
"""

import datetime
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from types import TracebackType
from typing import Self, assert_never

from controller import clock, errors, fingerprint_store, memory, settings, signals, translate, world, writer
from controller.sources import directory
from core import actions, desired, digest, observed, policy, record, runtime_config, secrets
from manifests import checkout, config_dir, config_items, merge_lock

EMPTY_REVISION = digest.of_parts(("empty",))
"""The revision of a folder without a manifest, where `policy.allow_empty` says that this is meant."""


class Target:
    """Opened with settings, closed like a file. `fresh` ignores the fingerprint store: every document is read anew."""

    def __init__(
        self,
        configured: settings.Settings,
        *,
        interruption: signals.Interruption | None = None,
        fresh: bool = False,
        machine: clock.Clock = clock.Clock(),
    ) -> None:
        if configured.config_dir is None:
            raise errors.ControllerError("SettingsInvalid", "config_dir is not set: pass --config-dir DIR")
        self.config_dir = configured.config_dir
        self.state_dir = configured.state_dir or configured.config_dir / ".controller"
        self.name = configured.name
        self.rules = policy.Policy(**dict(configured.policy))
        self.memory = memory.Memory(self.state_dir, machine=machine, keep_applied=configured.keep_applied)
        self._settings = configured
        self._clock = machine
        self._interruption = interruption
        self._store = fingerprint_store.FingerprintStore(self.state_dir, fresh=fresh)
        self._checkout: checkout.Checkout | None = None
        self._created = False
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self._resources.callback(self._store.close)
        self._resources.callback(self.memory.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the kernel lock on CONFIG_DIR, creating the directory if only its last part is missing."""
        self._refuse_state_dir()
        self._ensure_config_dir()
        lock = merge_lock.DirectoryLock(
            self.config_dir,
            wait_s=self._settings.lock_wait,
            monotonic=self._clock.monotonic_s,
            sleep=self._clock.sleep,
        )
        try:
            with translate.failures():
                lock.acquire()
            yield
        finally:
            if self._created:
                with suppress(OSError):  # a pass that failed leaves no directory behind that was not there before
                    os.rmdir(self.config_dir)
            lock.release()

    def _refuse_state_dir(self) -> None:
        """A state directory that can never be made is a typing error, and is told before anything is published."""
        if self._settings.state_dir is None or self.state_dir.is_dir():
            return
        if self.state_dir.exists() or not (self.state_dir.parent.is_dir() or self.state_dir.parent == self.config_dir):
            what = "not a directory" if self.state_dir.exists() else "its parent directory does not exist"
            raise errors.ControllerError("SettingsInvalid", f"state_dir {self.state_dir}: {what}")

    def _ensure_config_dir(self) -> None:
        """A missing parent is more likely a typing error, or a volume that is not mounted, than a wish (A9)."""
        try:
            if self.config_dir.is_dir():
                return
            os.mkdir(self.config_dir)
            self._created = True
            # The gateway must get in, whatever the umask (faults.md A10).
            os.chmod(self.config_dir, 0o755)  # noqa: S103 - what is in there is for others to read
        except FileExistsError:
            raise errors.ControllerError("ConfigDirUnusable", f"{self.config_dir}: not a directory") from None
        except OSError as error:
            text = f"{self.config_dir}: {error.strerror} (errno {error.errno})"
            raise errors.ControllerError("ConfigDirUnusable", text) from None

    def require_config_dir(self) -> Self:
        """For commands that only look, or that steer: a name that does not exist is a typing error."""
        if not self.config_dir.is_dir():
            raise errors.ControllerError("ConfigDirUnusable", f"{self.config_dir}: no such directory")
        return self

    def finishing(self) -> AbstractContextManager[None]:
        """Signals wait for what is inside."""
        return self._interruption.deferred() if self._interruption else nullcontext()

    def now(self) -> datetime.datetime:
        """The wall clock in UTC."""
        return self._clock.utc()

    def remember(self, *, with_items: bool) -> record.Record:
        """The record, with or without the items of the applied set."""
        return self.memory.load(with_items=with_items)

    def applied_sets(self) -> tuple[record.AppliedSet, ...]:
        """Recorded sets, newest first, without their items."""
        return self.memory.applied_sets()

    def with_items(self, chosen: record.AppliedSet) -> record.AppliedSet:
        """The same set with its items."""
        return replace(chosen, items=self.memory.applied_items(chosen.id))

    def look(self) -> observed.Observed:
        """One look at CONFIG_DIR."""
        with translate.failures():
            return config_dir.observe(self.config_dir)

    def fetch(self) -> world.Fetched:
        """Scan the directory source: stat calls when nothing moved."""
        rules = directory.rules(self._settings)
        try:
            with translate.failures():
                source = directory.locate(self._settings)
                found = checkout.scan(source, self._store, now_ns=self._clock.now_ns, rules=rules)
        except errors.ControllerError as error:
            if error.reason == "SourceEmpty" and self.rules.allow_empty:
                self._checkout = None
                return world.Fetched(EMPTY_REVISION, rules.rules_digest)
            raise
        directory.require_asked(found, self._settings.manifest)
        directory.refuse_inside(found, (self.config_dir, self.state_dir))
        self._checkout = found
        required = found.required_secrets
        return world.Fetched(
            revision=found.revision,
            rules_digest=rules.rules_digest,
            requirement=found.runtime_stack,
            missing_secrets=secrets.missing(required, directory.secret_names(self._settings)) if required else (),
        )

    def read(self) -> desired.Desired:
        """Read the entries of the last fetch and fold them."""
        found = self._checkout
        if found is None:
            return runtime_config.fold((), revision=EMPTY_REVISION)
        with translate.failures():
            entries = checkout.load_entries(found, self._store)
        return runtime_config.fold(
            entries, revision=found.revision, required_secrets=found.required_secrets, warnings=found.warnings
        )

    def seen(self, look: observed.Observed, known: record.Record) -> observed.ObservedItems:
        """CONFIG_DIR's documents as items: from the record when the bytes are the recorded ones, else parsed."""
        applied = known.applied
        if applied is not None and dict(applied.document_digests) == dict(look.digests):
            return observed.ObservedItems({part.item.key: part.item for part in applied.items})
        rules = directory.rules(self._settings)
        with translate.failures():
            documents = config_dir.read_documents(self.config_dir)
        seen = config_items.read(documents, allowed_names=rules.allowed_names)
        dangling = {
            document for document, state in look.documents.items() if state.presence is observed.Presence.DANGLING
        }
        return replace(seen, unreadable=seen.unreadable | dangling)

    def begin(self, revision: str) -> None:
        """Note the attempt. A state directory that cannot be written must not stop the publish (faults.md B7)."""
        with suppress(errors.ControllerError):
            self.memory.attempt(revision)

    def perform(self, action: actions.Action, known: record.Record) -> world.Acted | None:
        """Do one action."""
        scribe = writer.Writer(self.config_dir, self._clock, self._settings.lock_wait)
        with translate.failures():
            match action:
                case actions.Publish():
                    newest_s = max(config_dir.observe(self.config_dir).newest_mtime_s, known.newest_mtime_s)
                    last = max((kept.generation for kept in self.applied_sets()), default=0)
                    return scribe.publish(action, newest_mtime_s=newest_s, last_generation=last)
                case actions.Confirm():
                    return scribe.confirm()
                case actions.Sweep():
                    scribe.sweep(action)
                    return None
                case _:
                    assert_never(action)

    def succeed(self, success: world.Success) -> bool:
        """Record a success, and keep the fingerprints that led to it. False: applied, not recorded."""
        try:
            self.memory.succeed(success)
        except errors.ControllerError:
            return False
        self._store.flush()
        return True

    def fail(self, *, revision: str, reason: str, message: str, doubtful: int | None = None) -> None:
        """Record a failure where there is a place to: nothing is created for it. Never raises (faults.md P15)."""
        if self.config_dir.is_dir() and not self._created:
            with suppress(errors.ControllerError):
                self.memory.fail(revision=revision, reason=reason, message=message, doubtful=doubtful)
            self._store.flush()
