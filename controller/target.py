"""One target, for real: a CONFIG_DIR, its record, and the source that it follows.

Implements `controller.world` over files, SQLite and the lock. Composes; decides nothing.
"""

import datetime
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, assert_never

from controller import (
    cancellation,
    clock,
    compose_stack,
    errors,
    exclusive,
    fingerprint_store,
    images,
    memory,
    owners,
    pinned_images,
    progress,
    scratch,
    settings,
    translate,
    world,
    writer,
)
from controller.sources import directory, reading, settling, shared_fetches
from core import (
    actions,
    compatibility,
    conditions,
    desired,
    digest,
    image_inputs,
    observed,
    ownership,
    policy,
    provisioning,
    record,
    runtime_config,
    secrets,
    serving,
    stack,
)
from manifests import checkout, config_dir, config_items

EMPTY_REVISION = digest.of_parts(("empty",))
"""The revision of a folder without a manifest, where `policy.allow_empty` says that this is meant."""


class Target:
    """Opened with settings, closed like a file. `fresh` ignores the fingerprint store: every document is read anew.
    With `settle`, what is new in the source is waited for until it no longer moves (faults.md C5)."""

    def __init__(  # noqa: PLR0913 - what surrounds a target, by name
        self,
        configured: settings.Settings,
        *,
        cuts: cancellation.Cuts | None = None,
        fresh: bool = False,
        settle: Mapping[Path, settling.Settling] | None = None,
        shared: shared_fetches.Member | None = None,
        machine: clock.Clock = clock.Clock(),
    ) -> None:
        if configured.config_dir is None:
            raise errors.ControllerError("SettingsInvalid", "config_dir is not set: pass --config-dir DIR")
        self.config_dir = configured.config_dir
        self.state_dir = configured.state_dir or exclusive.state_dir_in(configured.config_dir)
        self.name = configured.name
        self.rules = policy.Policy(
            **dict(configured.policy), stall=policy.Stall(configured.stall.repairs, configured.stall.window)
        )
        self.memory = memory.Memory(self.state_dir, machine=machine, keep_applied=configured.keep_applied)
        self._settings = configured
        self._clock = machine
        self._cuts = cuts or cancellation.Cancellation()
        self.owners = owners.Owners(configured, self.config_dir, self.state_dir, machine)
        self._store = fingerprint_store.FingerprintStore(self.state_dir, fresh=fresh)
        self.reader = reading.Reader(
            configured,
            self._store,
            self.state_dir,
            reading.Surroundings(
                settle or {},
                self._pause,
                self._cuts.check,
                machine,
                shared or shared_fetches.SharedFetches(machine).member(),
            ),
        )
        self._checkout: checkout.Checkout | None = None
        self._stack = compose_stack.ComposeStack(configured, self.config_dir)
        self._images = images.Images(lambda: self._stack.engine, configured, self._store, check=self._cuts.check_newer)
        self._pinned = pinned_images.PinnedImages(lambda: self._stack.engine, self._images.new_registry, configured)
        self._rebuild = False
        self._project = ""
        self._base_tag = ""
        self._statements: Mapping[str, conditions.Statement] = {}
        self._made = self._foreign_record = False
        self._read: reading.Read | None = None
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self._resources.callback(self._store.close)
        self._resources.callback(self.memory.close)
        self._resources.callback(self._images.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the kernel lock on CONFIG_DIR, creating the directory if only its last part is missing."""
        exclusive.require_state_dir(self._settings, self.config_dir)
        with exclusive.held(
            self.config_dir, wait_s=self._settings.lock_wait, pause=self._pause, machine=self._clock
        ) as self._made:
            yield

    @property
    def source_root(self) -> str:
        """The folder that the files of messages stand in: that of the source, or in its repository; "" without any. Of
        several the first, which is read unless it is away."""
        first = next(iter(self._settings.source.each), None)
        if first is None:
            return ""
        return str(first.directory.path) if first.directory else first.git.path if first.git else ""

    def _pause(self, seconds: float) -> None:
        self._cuts.check()
        self._clock.sleep(seconds)

    def require_config_dir(self) -> Self:
        """For commands that only look, or that steer."""
        exclusive.require(self.config_dir)
        return self

    def require_ours(self, *, take_over: bool = False) -> None:
        """For commands that steer. Raises `ControllerError("OwnedByOther")`, unless somebody is about to take over."""
        asked = ownership.Asked(ownership.Manner.STEERS, take_over=take_over)
        verdict = self.owning(asked, self.memory.load(with_items=False))
        if verdict.refusal:
            raise errors.ControllerError("OwnedByOther", verdict.refusal)

    def owning(self, asked: ownership.Asked, remembered: record.Record) -> ownership.Verdict:
        """Whether CONFIG_DIR is ours for what is asked."""
        verdict = self.owners.judge(asked, remembered.claim)
        self._foreign_record = verdict.foreign_record
        return verdict

    def claim(self, owner: ownership.Owner, remembered: record.Record) -> None:
        """Make CONFIG_DIR ours."""
        self.owners.claim(owner, remembered.claim, self.memory)

    def finishing(self, *, complete: bool) -> AbstractContextManager[None]:
        """Signals wait for what is inside."""
        return self._cuts.deferred(complete=complete)

    def now(self) -> datetime.datetime:
        """The wall clock in UTC."""
        return self._clock.utc()

    def remember(self, *, with_items: bool) -> record.Record:
        """The record, with or without the items of the applied set."""
        return self.reader.completed(self.memory.load(with_items=with_items))

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
            with progress.step("fetching the source", target=self.name):
                read = self.reader.read(rules, known=lambda: self.memory.load(with_items=False))
        except errors.ControllerError as error:
            if error.reason == "SourceEmpty" and self.rules.allow_empty:
                self._checkout = self._read = None
                return world.Fetched(EMPTY_REVISION, rules.rules_digest)
            raise
        found, self._read = read.checkout, read
        self._statements = {**self._statements, "SourceReady": read.statement}
        directory.require_asked(found, self._settings.manifest)
        directory.refuse_inside(found, (self.config_dir, self.state_dir))
        self._checkout = found
        required = found.required_secrets
        return world.Fetched(
            revision=found.revision,
            rules_digest=digest.of_parts(
                (rules.rules_digest, *images.how_made(self._settings), repr(self._stack.provisions))
            ),
            project=found.project,
            commit=read.commit,
            away=read.away,
            notes=read.notes,
            requirement=found.runtime_stack,
            missing_secrets=secrets.missing(required, directory.secret_names(self._settings)) if required else (),
        )

    def probe(self, fetched: world.Fetched, *, images: bool) -> stack.Stack:
        """One look at the running stack: when settings or the artifact name one, or when `images` are built for it."""
        self._project = fetched.project
        builds = self._checkout is not None and any(entry.builds for entry in self._checkout.entries)
        wanted = self._stack.configured or fetched.requirement or (builds and images)
        seen = self._stack.probe(fetched.project, needed=False) if wanted else stack.NOT_CONFIGURED
        self._base_tag = compatibility.observed_tag(seen)
        stated = conditions.of_stack(fetched.requirement, seen, strict=self.rules.strict)
        self._statements = {**self._statements, **stated}
        return seen

    def images_unmoved(self, known: record.Record) -> bool:
        """The cheap look at the images of the record."""
        return self._images.unmoved(known)

    def note_conditions(self, known: record.Record) -> None:
        """Record what the look at the stack says and the commit found applied, where new. The next pass looks again."""
        self.reader.applied(self._read)
        with suppress(errors.ControllerError):
            self.memory.note_in_sync(self._statements, known, commit=self._commit, ref=self._ref)
            self.memory.note_away(known, self._read.away if self._read else None, self._statements)

    @property
    def _commit(self) -> str:
        return self._read.commit if self._read else ""

    @property
    def _ref(self) -> str:
        return self._read.ref if self._read else ""

    def serving(self, shown: tuple[image_inputs.ImageRecord, ...]) -> serving.Serving | None:
        """Which functions serve with the images given; None without a stack or an image of ours."""
        return self._stack.serving(shown) if self._stack.configured and shown else None

    def images_shown(self, known: record.Record) -> tuple[image_inputs.ImageRecord, ...]:
        """The images that the live set names. After a rollback these are others than the record's, which keeps those
        that were made last. Reads the items of the set, if there is an image of ours."""
        if not known.images or known.applied is None:
            return known.images
        return self._pinned.live(self.with_items(known.applied).items, known)

    def provisions(self) -> bool:
        """Whether the stack has a provisioner that can be run from here."""
        return self._stack.provisions

    def provisions_where(self) -> str:
        """The stack of the last look, in words."""
        return self._stack.where(self._project)

    def require_provisioner(self, running: stack.Stack) -> None:
        """Ask compose for the provisioner, and the last look for what it works on."""
        self._stack.require_provisioner(self._project, running)

    def images(self, wanted: desired.Desired, known: record.Record, *, rebuild: bool) -> world.Images:
        """Look at everything that the images are made from, at registry and engine. A stack that is down does not move
        the floating base: the tag that it last took stays."""
        self._rebuild = rebuild
        self._base_tag = self._base_tag or known.base_tag
        if self._checkout is None:
            return world.Images()
        return self._images.see(self._checkout, wanted, known, base_tag=self._base_tag, rebuild=rebuild)

    def kept_images(self, wanted: desired.Desired, seen: observed.ObservedItems, known: record.Record) -> world.Images:
        """The pins that stay while somebody else makes the images."""
        sources = self._images.sources(self._checkout, wanted, base_tag=self._base_tag or known.base_tag)
        return self._pinned.kept(wanted, seen, known, sources=sources)

    def pinned_images(self, wanted: desired.Desired, known: record.Record) -> world.Images:
        """Look for the images of an earlier set."""
        return self._pinned.see(wanted, known)

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
        if known.applied is not None and dict(known.applied.document_digests) == dict(look.digests):
            return observed.ObservedItems({part.item.key: part.item for part in known.applied.items})
        with translate.failures():
            documents = config_dir.read_documents(self.config_dir)
        return config_items.seen(documents, look, allowed_names=directory.rules(self._settings).allowed_names)

    def begin(self, attempt: record.Attempt) -> None:
        """Note the attempt. A state directory that cannot be written must not stop the publish (faults.md B7)."""
        with suppress(errors.ControllerError):
            self.memory.attempt(attempt)

    def hold(self, holds: tuple[record.Hold, ...]) -> None:
        """Hold these revisions before anything else is done (GW3): what is begun may fail, and must not come back. As
        with the attempt, a full disk stops no rollback; its end then says that it is not recorded."""
        with suppress(errors.ControllerError):
            self.memory.hold(holds)

    def perform(self, action: actions.Action, known: record.Record) -> world.Acted | world.Told:
        """Do one action."""
        match action:
            case actions.Build():
                self._images.build(action, self._of_source(), self._scratch, rebuild=self._rebuild)
            case actions.Push() if self._checkout is None:
                self._pinned.push(action, self._scratch)
            case actions.Push():
                self._images.push(action, self._of_source(), self._scratch)
            case actions.Provision():
                with self._cuts.awaited(), progress.step("running the provisioner", target=self.name):
                    return world.Told(self._provision(action))
            case actions.Sweep() | actions.Publish() | actions.PublishResources() | actions.Confirm():
                return self._write(action, known)
            case _:
                assert_never(action)
        return world.Told()

    def _write(self, action: writer.Written, known: record.Record) -> world.Acted | world.Told:
        scribe = writer.Writer(self.config_dir, self._clock, self._settings.lock_wait)
        with translate.failures():
            newest_s = max(config_dir.observe(self.config_dir).newest_mtime_s, known.newest_mtime_s)
            last = max((kept.generation for kept in self.applied_sets()), default=0)
            return scribe.act(action, newest_mtime_s=newest_s, last_generation=last)

    def _provision(self, action: actions.Provision) -> tuple[str, ...]:
        """Run the provisioner and remember how it ended: a run that failed is due again, whatever else happens."""
        try:
            notes = self._stack.provision(action, self._project)
        except errors.ControllerError as error:
            if error.reason == "ProvisionerFailed":
                self._remember_provision(provisioning.FAILED)
            raise
        self._remember_provision(action.resources_digest)
        return notes

    def _remember_provision(self, resources_digest: str) -> None:
        """What cannot be remembered is run again: it is idempotent (faults.md P15)."""
        with suppress(errors.ControllerError):
            self.memory.provisioned(resources_digest)

    def _of_source(self) -> checkout.Checkout:
        if self._checkout is None:
            raise errors.ControllerError("SourceMissing", "there is no source to build from")
        return self._checkout

    @property
    def _scratch(self) -> Path:
        return scratch.scratch_of(self.state_dir)

    def succeed(self, success: world.Success) -> bool:
        """Record a success, and keep the fingerprints that led to it. False: applied, not recorded."""
        base_tag = None if success.images is None else self._base_tag
        self.reader.applied(self._read)
        try:
            before = self.memory.load(with_items=False)
            self.memory.succeed(
                replace(
                    success,
                    base_tag=base_tag,
                    commit=self._commit or None,
                    ref=self._ref,
                    stack=self._statements,
                    project=self._project,
                )
            )
            self.memory.note_away(before, self._read.away if self._read else None, self._statements)
        except errors.ControllerError:
            return False
        self._store.flush()
        return True

    def fail(self, failure: world.Failure) -> None:
        """Record a failure where there is a place to: nothing is created for it. Raises no error (faults.md P15); what
        only shows that the work is being cut short is no failure. The record of another owner is left to that one."""
        self._cuts.check()
        if self.config_dir.is_dir() and not self._made and not self._foreign_record:
            with suppress(errors.ControllerError):
                self.memory.fail(replace(failure, stack=self._statements, commit=self._commit, ref=self._ref))
            self._store.flush()
