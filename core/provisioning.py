"""When the provisioner is run, and what a container that an earlier run left behind means. Pure.

Stands between looking and acting: `core.plan` asks `needed`, `controller.provisioner` asks `meaning_of` and
`worth_retry`. An exited provisioner is its normal state and never drift (consumers.md PR2).
"""

from collections.abc import Collection, Sequence
from enum import StrEnum

from core import policy, stack, stack_reading


class Reason(StrEnum):
    """Why the provisioner is run; documented in docs/reasons.md."""

    FIRST_RUN = "FirstRun"
    """It never ran for this target, as far as is known."""
    RESOURCES_CHANGED = "ResourcesChanged"
    """It made other resources true than those that are wanted now, or made them true in another stack."""
    LAST_RUN_FAILED = "LastRunFailed"
    """Its last run failed; it is idempotent."""
    ALWAYS_ASKED = "AlwaysAsked"
    """`policy.provision: always`."""


FAILED = "failed"
"""What the record holds in place of the provisioned digest once a run failed: no digest is ever equal to it."""


def needed(
    *, provision: policy.Provision, configured: bool, wanted_digest: str, provisioned_digest: str, empty: bool
) -> Reason | None:
    """Why the provisioner must run on the resources of `wanted_digest`; None when it need not (contract.md section 8).

    `configured` says that the stack has one that can be run from here. `provisioned_digest` is the digest that it last
    made true, "" when it never ran, `FAILED` when its last run failed; both cover the stack as well. `empty` says
    that no resource is wanted: as long as nothing was ever made, an empty document asks for nothing.
    """
    if not configured:
        return None
    if provision is policy.Provision.ALWAYS:
        return Reason.ALWAYS_ASKED
    if provisioned_digest == wanted_digest:
        return None
    if provisioned_digest in ("", FAILED):
        first = Reason.LAST_RUN_FAILED if provisioned_digest else Reason.FIRST_RUN
        return None if empty else first
    return Reason.RESOURCES_CHANGED


def works_on_nothing(seen: stack.Stack, defined: Collection[str], *, service: str) -> bool:
    """Whether a run without its dependencies would find nothing to work on: the project defines other services than the
    provisioner's own, and none of its containers lives (consumers.md DK2: what it depends on is not started for it)."""
    runs = any(each.name != service and each.state in stack_reading.LIVE for each in seen.services)
    return not runs and any(name != service for name in defined)


LABEL_RUN = "artifact-controller.run"
LABEL_RESOURCES = "artifact-controller.resources"
LABEL_TARGET = "artifact-controller.target"
"""Labels on the provisioner's container: the id of the run, the digest of the resources that it makes true, and the
compose project. The last one says that the container is ours."""


def container_name(project: str) -> str:
    """The fixed name of a project's provisioner container. The engine refuses a second one of a name, so the name is
    the lock between controllers (faults.md P7, consumers.md DK1)."""
    return f"{project}-artifact-provisioner"


class Found(StrEnum):
    """What a container under that name means for a run that is about to start."""

    FOREIGN = "foreign"
    """Not ours: never touched, and the run cannot start."""
    UNDER_WAY = "under-way"
    """It runs: wait for its end, whoever started it."""
    UNSTARTED = "unstarted"
    """Made and not started: its owner is about to, or was killed just there."""
    ENDED = "ended"
    """It is over: its exit code may count, and then it is removed."""


_RUNNING = frozenset({"running", "restarting", "paused"})


def meaning_of(state: str, *, ours: bool) -> Found:
    """What a container of the provisioner's name means by its state, in the engine's words."""
    if not ours:
        return Found.FOREIGN
    if state in _RUNNING:
        return Found.UNDER_WAY
    return Found.UNSTARTED if state == "created" else Found.ENDED


_NOT_WORTH_A_RETRY = frozenset({125, 126, 127})
"""The engine refused, the command cannot be executed, there is no such command: the next try would say the same."""


def worth_retry(exit_codes: Sequence[int], attempts: int) -> bool:
    """Whether to run again after these attempts, of which the last failed."""
    return len(exit_codes) < attempts and exit_codes[-1] not in _NOT_WORTH_A_RETRY


def retry_notes(exit_codes: Sequence[int], attempts: int) -> tuple[str, ...]:
    """What to report of a run that took after these failures: a success on retry is a warning, not silence."""
    if not exit_codes:
        return ()
    failed = (f"attempt {number} of {attempts} exited with {code}" for number, code in enumerate(exit_codes, 1))
    return (f"the provisioner succeeded on retry: {', '.join(failed)}",)
