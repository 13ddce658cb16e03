"""What can go wrong between a source and its documents, as classes.

Two families. A `PathError` is about one path below a source; the reader of an artifact turns it into a problem at the
place in `artifact.yml` that named the path. A `SourceError` ends the reading: its `reason` is the code under which
the controller looks up exit code and way out. What to do about either is not decided here.
"""

import errno
import stat
from collections.abc import Sequence
from typing import ClassVar

from core import problems
from manifests import errors


class PathError(errors.ManifestsError):
    """One path that cannot be used. `shown` is the path as the user would type it, `words` says why and what to do."""

    def __init__(self, shown: str, words: str) -> None:
        super().__init__(f"{shown}: {words}")
        self.shown = shown
        self.words = words


class PathMissing(PathError):
    """Nothing stands there."""


class PathUnreadable(PathError):
    """The operating system refuses it (permission, a broken disk, too many open files)."""


class PathImpossible(PathError):
    """No file system can have such a path: a NUL character, a lone surrogate, too long a name."""


class PathEscapes(PathError):
    """The path leaves the directory that it must stay in, by `..` or through a symbolic link."""

    def __init__(self, shown: str) -> None:
        super().__init__(
            shown, "leaves the folder that it must stay in, by '..' or through a symbolic link: copy the file inside"
        )


class LinkLoop(PathError):
    """More links, or more steps, than any honest path has."""

    def __init__(self, shown: str) -> None:
        super().__init__(shown, "symbolic links lead in circles: remove the loop")


class NotPlain(PathError):
    """Something else than the regular file or directory that must be there. It was not opened."""

    def __init__(self, shown: str, kind: str, *, wanted: str = "a regular file") -> None:
        super().__init__(shown, f"is {kind}, must be {wanted}")


class TooLarge(PathError):
    """A file above the limit. It was not opened."""

    def __init__(self, shown: str, size: int, max_bytes: int) -> None:
        super().__init__(shown, f"has {size} bytes, the limit is {max_bytes}: make it smaller, or raise the limit")


class Moved(PathError):
    """The file changed between looking and reading, or while it was read."""

    def __init__(self, shown: str) -> None:
        super().__init__(shown, "changed while it was read: try again once its writer has finished")


class SourceError(errors.ManifestsError):
    """Ends the reading of a source. `problems` are the places in files, when there are any."""

    reason: ClassVar[str] = "SourceUnreadable"

    def __init__(self, message: str, found: Sequence[problems.Problem] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.problems = tuple(found)


class SourceMissing(SourceError):
    """The source's folder does not exist, or is no folder (faults.md C1)."""

    reason = "SourceMissing"


class SourceEmpty(SourceError):
    """The folder is there, and nothing at all is in it: empty, or not mounted (faults.md P6, C1)."""

    reason = "SourceEmpty"


class SourceUnreadable(SourceError):
    """Something that is there may not be read."""

    reason = "SourceUnreadable"


class SourceUnstable(SourceError):
    """The source kept changing while it was read (faults.md C6)."""

    reason = "SourceUnstable"


class ArtifactInvalid(SourceError):
    """The artifact breaks the contract: every problem of it, sorted as it was found, never only the first."""

    reason = "ArtifactInvalid"

    def __init__(self, found: Sequence[problems.Problem]) -> None:
        wrong = [problem for problem in found if problem.severity is problems.Severity.ERROR]
        count = "1 problem" if len(wrong) == 1 else f"{len(wrong)} problems"
        super().__init__(f"the artifact breaks the contract: {count}; first: {wrong[0]}", found)


class NoManifest(SourceError):
    """There is something, but not the manifest of that name, or none of the project and environment asked for."""

    reason = "NoManifest"


class AmbiguousManifest(SourceError):
    """Several manifests would do. The message lists them."""

    reason = "AmbiguousManifest"


def kind_of(mode: int) -> str:
    """What a file mode stands for, in words."""
    kinds = (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a block device"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISREG, "a regular file"),
    )
    return next((words for test, words in kinds if test(mode)), "something unknown")


def of_os_error(error: OSError, shown: str) -> PathError:
    """The operating system's refusal as one of ours."""
    if error.errno == errno.ENOENT:
        return PathMissing(shown, "no such file or directory")
    if error.errno in (errno.ENOTDIR, errno.ELOOP):
        return NotPlain(shown, "something else", wanted="a directory")
    if error.errno == errno.ENAMETOOLONG:
        return PathImpossible(shown[:80], "is too long for a path: shorten it")
    return PathUnreadable(shown, errors.cause(error))


def of_path_error(error: PathError) -> SourceError:
    """What the trouble with one path means for the whole: missing and unreadable may pass by themselves, a path that
    no writer could mend by waiting breaks the contract at that file (faults.md P6)."""
    if isinstance(error, PathMissing):
        return SourceMissing(str(error))
    if isinstance(error, PathUnreadable):
        return SourceUnreadable(str(error))
    if isinstance(error, Moved):
        return SourceUnstable(str(error))
    return ArtifactInvalid((problems.Problem(error.shown, 0, 0, "", error.words),))
