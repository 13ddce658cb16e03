"""From passes to the record and back: what `controller.state` keeps, in the words of a pass.

Turns an ended pass into conditions, history, events and holds; translates the state's failures at this boundary.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from controller import clock, errors, history, remembered, state, world
from core import conditions, digest, image_work, record

_ONCE = frozenset({"RecordRebuilt", "NotConvergeable", "ConfigDirInvalid"})
"""Notices about what this pass did or repaired: passes that find nothing to do must not repeat them."""

_LOGS = 10
"""Functions whose logs a condition shows the end of; `events` has them all."""


class Memory:
    """The record of one target."""

    def __init__(self, directory: Path, *, machine: clock.Clock, keep_applied: int) -> None:
        self._state = state.State(directory, now=machine.utc, keep_applied=keep_applied)
        self._clock = machine

    def close(self) -> None:
        """Close the database."""
        self._state.close()

    def load(self, *, with_items: bool) -> record.Record:
        """The record. Raises `ControllerError`: written by a newer controller, or out of reach."""
        with _failures():
            return self._state.load(with_items=with_items)

    def applied_sets(self) -> tuple[record.AppliedSet, ...]:
        """Recorded sets, newest first, without their items."""
        with _failures():
            return self._state.applied_sets()

    def applied_items(self, set_id: int) -> tuple[record.AppliedItem, ...]:
        """The items of one recorded set."""
        with _failures():
            return self._state.applied_items(set_id)

    def passes(self, limit: int) -> tuple[history.HistoryRow, ...]:
        """How the last passes ended, newest first."""
        with _failures():
            return self._state.history(limit)

    def events(self, limit: int) -> tuple[history.EventRow, ...]:
        """What happened to single things, newest first."""
        with _failures():
            return self._state.events(limit)

    def attempt(self, attempt: record.Attempt) -> None:
        """A revision is about to be applied."""
        with _failures():
            self._state.record_attempt(attempt.revision, attempt.intended, attempt.unconverged)

    def succeed(self, success: world.Success) -> None:
        """A pass ended converged. A hold ends when its revision is applied on purpose, or the source moved on."""
        decision, acted = success.decision, success.acted
        read = None if success.rollback else True
        result = conditions.Result(True, decision.outcome, success.message, decision.revision, read, success.stack)
        with _failures():
            before = self._state.load(with_items=False)
            self._state.record_success(
                remembered.Success(
                    revision=decision.revision,
                    generation=acted.generation or 0,
                    desired_digest=decision.preconditions.desired_digest,
                    document_digests=acted.document_digests,
                    items=decision.comparison.result,
                    pass_digest=success.pass_digest,
                    newest_mtime_s=max(acted.newest_mtime_s, before.newest_mtime_s),
                    conditions=conditions.after(result, before.conditions, now=clock.iso(self._clock.utc())),
                    reason=decision.outcome,
                    message=success.message,
                    notes=tuple(str(notice) for notice in decision.notices if notice.code not in _ONCE),
                    holds=success.holds,
                    events=tuple(_events(success)),
                    images=success.images,
                    base_tag=success.base_tag,
                    commit=success.commit,
                    ref=success.ref,
                    repairs=decision.repairs,
                    project=success.project,
                    requirement=success.requirement,
                )
            )
            for hold in before.holds:
                if not success.rollback or hold.revision == decision.revision:
                    self._state.release(hold.revision)

    def fail(self, failure: world.Failure) -> None:
        """A pass ended otherwise."""
        revision, reason, message = failure.revision, failure.reason, _with_logs(failure)
        looked = True if revision or reason == "ArtifactInvalid" else None
        result = conditions.Result(False, reason, message, revision, looked, failure.stack)
        with _failures():
            before = self._state.load(with_items=False)
            after = conditions.after(result, before.conditions, now=clock.iso(self._clock.utc()))
            self._state.record_failure(
                remembered.Failure(
                    revision,
                    reason,
                    message,
                    after,
                    failure.doubtful,
                    events=tuple(_of_image(work) for work in failure.made),
                    refused=tuple(_of_failed_image(reason, one) for one in failure.functions),
                    commit=failure.commit,
                    ref=failure.ref,
                )
            )

    def claim(self, claim: record.Claim) -> None:
        """CONFIG_DIR is this target's, or is about to be."""
        with _failures():
            self._state.record_claim(claim)

    def note_away(
        self,
        before: record.Record,
        away: errors.ControllerError | None,
        said: Mapping[str, conditions.Statement],
    ) -> None:
        """No source answers any more, while the last good checkout serves and nothing else fails: one row of the
        history each time that this begins. `before` is the record of then; the conditions stay as they are now."""
        standing = before.conditions.get("SourceReady")
        if away is None or (standing and (standing.status, standing.reason) == ("False", away.reason)):
            return
        with _failures():
            now = self._state.load(with_items=False)
            message = said["SourceReady"][2]
            self._state.record_failure(remembered.Failure(now.attempted_revision, away.reason, message, now.conditions))

    def provisioned(self, resources_digest: str) -> None:
        """The provisioner ran: what it made true, or `core.provisioning.FAILED`."""
        with _failures():
            self._state.record_provision(resources_digest)

    def note_in_sync(
        self, seen: Mapping[str, conditions.Statement], before: record.Record, *, commit: str = "", ref: str = ""
    ) -> None:
        """Write down, at once, what a look at the stack says and which commit was found applied, if that is new. The
        source may never go back behind that commit, although nothing had to be done for it."""
        after = conditions.after_look(seen, before.conditions, now=clock.iso(self._clock.utc()))
        moved = commit != "" and (commit, ref) != (before.commit, before.ref)
        if moved or after != before.conditions:
            with _failures():
                self._state.record_conditions(after, commit=commit if moved else "", ref=ref)

    def suspend(self, suspension: record.Suspension) -> None:
        """Refuse every pass from now on."""
        with _failures():
            self._state.suspend(suspension)

    def resume(self) -> None:
        """Lift the suspension."""
        with _failures():
            self._state.resume()

    def hold(self, holds: Iterable[record.Hold]) -> None:
        """These revisions must not be applied again."""
        with _failures():
            for hold in holds:
                self._state.hold(hold.revision, hold.reason)

    def release_holds(self) -> None:
        """Lift every hold."""
        with _failures():
            self._state.release(None)


def _events(success: world.Success) -> Iterator[history.Event]:
    """What was published, and the images that were made: one row for each thing."""
    images = {f"function {work.wanted.function}": _of_image(work) for work in success.decision.images}
    for change in success.decision.comparison.changes if success.decision.publishes else ():
        subject, words = f"{change.key.kind} {change.key.name}", f"{change.operation} {change.effect}"
        image = images.pop(subject, None)
        if image is None:
            yield history.Event(str(change.reason), subject, words)
        else:
            yield replace(image, message=f"{words} ({change.reason}); {image.message}")
    yield from images.values()


def _of_image(work: image_work.Work) -> history.Event:
    """An image that was built, or pushed once more. Of one of an earlier set only the digest is known."""
    made, steps = work.wanted, "built and pushed" if work.need is image_work.Need.BUILD else "pushed"
    shown = f"input {digest.short(made.digest)}" if made.dockerfile else f"digest {digest.short(work.before)}"
    return history.Event(str(work.why), f"function {made.function}", f"image {steps}, {shown}")


def _of_failed_image(reason: str, failed: errors.OfFunction) -> history.Event:
    words = f"{failed.message}: {failed.log}" if failed.log else failed.message
    return history.Event(reason, f"function {failed.function}", words)


def _with_logs(failure: world.Failure) -> str:
    """The message with the end of each log: `status` has no other place for what a report shows as problems."""
    logs = (f"; last lines of {one.function}: {one.log}" for one in failure.functions[:_LOGS] if one.log)
    return "".join((failure.message, *logs))


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except state.StateNewer as error:
        raise errors.ControllerError("StateNewer", str(error)) from None
    except state.StateDamaged as error:
        raise errors.ControllerError("StateDamaged", str(error)) from None
    except state.StateUnreadable as error:
        raise errors.ControllerError("StateUnreadable", str(error)) from None
    except state.StateUnwritable as error:
        raise errors.ControllerError("StateUnwritable", str(error)) from None
