"""One target as the loop drives it: every pass opens it anew, so that nothing is believed that is not on the disk.

Stands between `controller.loop` and `controller.reconciler`. Owns the identity of content that cannot be read.
"""

from controller import cancellation, clock, errors, loop, pulse, reconciler, report, settings, target, timing, world
from controller.sources import settling
from core import digest, policy, record


class Worker:
    """Passes over the target that `configured` describes. `allowed` is what was allowed on the command line."""

    def __init__(
        self,
        configured: settings.Settings,
        beats: pulse.Pulse,
        cuts: cancellation.Cancellation,
        *,
        allowed: policy.Permissions = policy.Permissions(),
        machine: clock.Clock = clock.Clock(),
    ) -> None:
        self._configured = configured
        self._beats = beats
        self._cuts = cuts
        self._allowed = allowed
        self._clock = machine
        self._limits = limits(configured)
        self._settle = settling.of_directory(configured, machine)
        self._timed: timing.Timed | None = None

    @property
    def subject(self) -> str:
        """The identity of the content that the pass under way works on."""
        return self._timed.subject if self._timed else ""

    def look(self) -> str | None:
        """The identity of the source's content now; None when it cannot be had. Content that breaks the contract has
        one too: what is wrong with it."""
        try:
            with self._open() as opened:
                return timing.subject(opened.fetch())
        except errors.ControllerError as error:
            return None if error.meaning.disposition is errors.Disposition.TRANSIENT else _identity_of(error)

    def converge(self) -> loop.Ended:
        """One pass."""
        with self._open() as opened:
            timed = timing.Timed(opened, self._beats, self._limits, self._clock)
            self._timed = timed
            ended = reconciler.reconcile_once(timed, world.Request(opened.rules, self._allowed))
            known = _record_of(opened)
        return loop.Ended(
            ended,
            timed.subject or _identity_of_report(ended),
            timed.commit,
            dict(timed.phases),
            timed.published_s,
            timed.provisioned,
            {one.type: one.status for one in known.conditions.values()},
            known.suspension is not None,
        )

    def _open(self) -> target.Target:
        return target.Target(self._configured, cuts=self._cuts, settle=self._settle, machine=self._clock)


def limits(configured: settings.Settings) -> timing.Limits:
    """How long steps may take when every deadline of the settings is used up."""
    given = configured.deadlines
    return timing.Limits(
        lock_s=configured.lock_wait,
        fetch_s=given.git * 2 + 60.0,
        look_s=given.probe * 4,
        build_s=given.build,
        push_s=given.push * 4,
        provision_s=given.provision * configured.stack.provision_attempts + given.probe * 4,
    )


def _record_of(opened: target.Target) -> record.Record:
    """What is told besides the report; a record that cannot be read is told by the pass (faults.md P15)."""
    try:
        return opened.remember(with_items=False)
    except errors.ControllerError:
        return record.Record()


def _identity_of(error: errors.ControllerError) -> str:
    return digest.of_parts((error.reason, error.message, *map(str, error.problems)))


def _identity_of_report(ended: report.Report) -> str:
    return digest.of_parts((ended.reason, ended.message, *map(str, ended.problems)))
