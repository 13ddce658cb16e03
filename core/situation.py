"""Everything that a plan depends on, in one frozen value: what `core.plan` decides from and `core.guards` judges."""

from dataclasses import dataclass

from core import compatibility, desired, observed, policy, record


@dataclass(frozen=True, slots=True)
class Situation:
    """One pass's knowledge. `pass_digest` covers the revision and every rule; it is remembered once a pass ends
    converged, so that the next one may stop before reading (`core.plan.unchanged`). `rollback` says that `wanted` is an
    earlier set and not what the source asks for."""

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
