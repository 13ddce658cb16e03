"""Everything that a plan depends on, in one frozen value: what `core.plan` decides from and `core.guards` judges."""

from dataclasses import dataclass

from core import compatibility, desired, image_work, notices, observed, ownership, policy, record, stack


@dataclass(frozen=True, slots=True)
class Situation:
    """One pass's knowledge. `pass_digest` covers the revision and every rule; it is remembered once a pass ends
    converged, so that the next one may stop before reading (`core.plan.unchanged`). `rollback` says that `wanted` is an
    earlier set and not what the source asks for.

    `running` is the stack as it was probed. `images` is the verdict on every image that is built here, and `made` are
    the ones that this pass has made already: it looked again since. `obstacles` are what kept it from a verdict,
    `skipped` what there is to say of images that somebody else makes.
    `provisioner` says that the stack has one that can be run from here, `provisions_where` which stack that is: its
    project and its engine. `owning` says whether CONFIG_DIR is ours to change. `now_s` is in seconds since the epoch.
    """

    wanted: desired.Desired
    look: observed.Observed
    seen: observed.ObservedItems
    remembered: record.Record
    rules: policy.Policy
    allowed: policy.Permissions = policy.Permissions()
    requirement: compatibility.Requirement | None = None
    missing_secrets: tuple[str, ...] = ()
    pass_digest: str = ""
    rollback: bool = False
    running: stack.Stack = stack.NOT_CONFIGURED
    images: tuple[image_work.Work, ...] = ()
    made: tuple[image_work.Work, ...] = ()
    obstacles: tuple[notices.Blocker, ...] = ()
    skipped: tuple[notices.Notice, ...] = ()
    provisioner: bool = False
    provisions_where: str = ""
    owning: ownership.Verdict = ownership.OURS
    now_s: float = 0.0
