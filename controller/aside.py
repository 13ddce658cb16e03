"""A look at the sources of a target that leaves the target as it is: fetched into a folder that is gone afterwards.

For commands that show what a pass would read (`doctor`, `probe`); the clone and the record stay untouched. The
deadlines are those of a pass.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from controller import errors, settings, target
from controller.sources import taken


@contextlib.contextmanager
def opened(configured: settings.Settings) -> Iterator[target.Target]:
    """The target as it would be on a host where nothing is kept yet, but for what it knows to be applied: that decides
    which source may stand in for another. Whether a repository went back behind that is not asked, which would need the
    whole clone. Raises `ControllerError("Unwritable")` where there is no place for temporary files."""
    try:
        made = tempfile.TemporaryDirectory(prefix="artifact-controller-look-")
    except OSError:
        text = "there is no temporary directory to read the source in; name one with TMPDIR"
        raise errors.ControllerError("Unwritable", text) from None
    with made as folder:
        place = Path(folder)
        elsewhere = {"state_dir": place / "state", "clones_dir": None}
        (place / "state").mkdir()
        if configured.config_dir is None:
            elsewhere["config_dir"] = place / "config"
        else:
            taken.write(place / "state", _applied(configured))
        with target.Target(configured.model_copy(update=elsewhere)) as found:
            yield found


def _applied(configured: settings.Settings) -> taken.Note:
    """What the target itself knows of what is applied, and where it came from."""
    with target.Target(configured) as real:
        noted = taken.read(real.state_dir)
        if noted.origin:
            return noted
        with contextlib.suppress(errors.ControllerError):  # the check of the record tells it
            known = real.memory.load(with_items=False)
            return taken.Note(revision=known.applied.revision if known.applied else "", commit=known.commit)
    return noted
