"""Named places of a pass at which a test can stop it (faults.md A2).

``FAILPOINT=name:kill`` ends the process there as a power cut would, ``:raise`` fails the step, ``:term`` sends SIGTERM,
``:sleep`` waits ten minutes for a test that looks at the half-way state. Without the variable this costs one
dictionary lookup. The names are the members of `Step` here and of `manifests.generation.Step`, so a new step of either
is swept by the tests without being listed anywhere else.
"""

import os
import signal
import time
from enum import StrEnum

VARIABLE = "FAILPOINT"


class Step(StrEnum):
    """The steps of a pass, in order; publishing has its own in between (`manifests.generation.Step`)."""

    LOCKED = "locked"
    REMEMBERED = "remembered"
    OBSERVED = "observed"
    FETCHED = "fetched"
    PROBED = "probed"
    PARSED = "parsed"
    IMAGES_SEEN = "images-seen"
    PLANNED = "planned"
    CLAIMED = "claimed"
    ATTEMPTED = "attempted"
    BUILT = "built"
    PUSHED = "pushed"
    RESOURCES_LIVE = "resources-live"
    PROVISIONED = "provisioned"
    SWEPT = "swept"
    PUBLISHED = "published"
    CONFIRMED = "confirmed"
    ACTED = "acted"
    RECORDED = "recorded"


class FailpointReached(Exception):
    """The failure that ``FAILPOINT=name:raise`` asks for."""


def reach(step: str) -> None:
    """Announce that `step` comes next."""
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    name, _, effect = wanted.partition(":")
    if name != str(step):
        return
    if effect == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif effect == "term":
        os.kill(os.getpid(), signal.SIGTERM)
    elif effect == "sleep":
        time.sleep(600)
    else:
        raise FailpointReached(f"failpoint {name}")
