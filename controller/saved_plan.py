"""A plan in a file: written by `diff --out`, checked by `reconcile --once --plan` (design.md section 6)."""

import json
from pathlib import Path

from controller import errors, plan_text
from core import plan
from manifests import atomic

SCHEMA = "artifact-controller/plan/v1"


def save(decision: plan.Plan, file: Path) -> None:
    """Write the plan with its preconditions, replacing the file as a whole."""
    document = json.dumps({"schema": SCHEMA, **plan_text.payload(decision)}, indent=2)
    try:
        atomic.replace_file(file, f"{document}\n".encode())
    except OSError as error:
        raise errors.ControllerError("Unwritable", f"{file}: {error.strerror}") from None


def load(file: Path) -> plan.Preconditions:
    """Only the preconditions count: what will be done is decided anew, and must come out the same."""
    try:
        document = json.loads(file.read_bytes())
        if document["schema"] != SCHEMA:
            raise errors.ControllerError("PlanUnreadable", f"{file}: not a plan of schema {SCHEMA}")
        conditions = document["preconditions"]
        return plan.Preconditions(
            desired_digest=str(conditions["desired_digest"]),
            applied_digest=str(conditions["applied_digest"]),
            changes_digest=str(conditions["changes_digest"]),
            stack_fingerprint=str(conditions["stack_fingerprint"]),
        )
    except OSError as error:
        raise errors.ControllerError("PlanUnreadable", f"{file}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise errors.ControllerError("PlanUnreadable", f"{file}: not a saved plan") from None
