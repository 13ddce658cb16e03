"""What can go wrong, and what that means for the caller.

A reason is a PascalCase code; every reason has exactly one row in `MEANINGS`: exit code, disposition, way out. An
exception says *what happened* (its reason and message); this table alone says *what to do about it* (design.md
section 8). A test compares `docs/exit-codes.md` with the same rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from core import problems


class Disposition(StrEnum):
    """Whether trying again, unchanged, may help."""

    TERMINAL = "terminal"
    TRANSIENT = "transient"
    BUG = "bug"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reason means: the process's exit code, whether to retry, and what a person can do."""

    exit_code: int
    disposition: Disposition
    hint: str


USAGE = 64
BUG = 70
DIFFERENCES = 2
OK = 0

_T, _R = Disposition.TERMINAL, Disposition.TRANSIENT

MEANINGS: Mapping[str, Meaning] = {
    "Usage": Meaning(USAGE, _T, "see `controller COMMAND --help`"),
    "ArtifactInvalid": Meaning(
        65, _T, "correct the places named above; `controller manifest validate` checks them all"
    ),
    "DockerfileInvalid": Meaning(
        65,
        _T,
        "correct the Dockerfile named above, or pass --skip-images if its image is made elsewhere; nothing was changed",
    ),
    "NoManifest": Meaning(65, _T, "name the file with --manifest, or correct --project and --env"),
    "AmbiguousManifest": Meaning(65, _T, "choose one with --manifest, --project or --env"),
    "IdsDiffer": Meaning(65, _T, "run `controller manifest sync-ids` to write them"),
    "SourceMissing": Meaning(69, _R, "check the path and that it is mounted; nothing was changed"),
    "SourceUnreadable": Meaning(69, _R, "give this user permission to read the source; nothing was changed"),
    "SourceUnstable": Meaning(69, _R, "the source is being written; try again once the writer has finished"),
    "SourceUnavailable": Meaning(69, _R, "check address, network and credentials; what is live stays live"),
    "RefMissing": Meaning(69, _R, "push the branch or tag, or correct source.git.ref; nothing was changed"),
    "RevisionMissing": Meaning(
        69, _R, "fetch that commit into the clone (jobs often clone only the last one), or correct the revision"
    ),
    "DockerUnavailable": Meaning(69, _R, "`controller doctor` says what is missing"),
    "AfterFailed": Meaning(69, _R, "see what became of the target that it is `after`; it is converged behind that one"),
    "StackNotRunning": Meaning(69, _R, "start the stack, or set stack.with_deps to have compose start what is needed"),
    "RegistryUnavailable": Meaning(69, _R, "start the registry, or correct registry.host; nothing was changed"),
    "ListenFailed": Meaning(69, _R, "end what uses that address, or choose another one (`http.listen`, `--listen`)"),
    "Bug": Meaning(BUG, Disposition.BUG, "report it with the traceback; CONFIG_DIR shows one complete generation"),
    "PublishFailed": Meaning(73, _R, "remove the cause named above and run again; no document is half-written"),
    "ConfigDirUnusable": Meaning(73, _R, "CONFIG_DIR must be a directory that this user can write"),
    "PathObstructed": Meaning(73, _T, "move away what stands in the place of the document, then run again"),
    "ConfigDirUnreadable": Meaning(73, _T, "correct the document or move it away; policy.prune: all publishes over it"),
    "ImageConflict": Meaning(65, _T, "give each function that is built an image name of its own"),
    "DocumentTooLarge": Meaning(65, _T, "take functions out of the artifact, or split it over several targets"),
    "LockBusy": Meaning(75, _R, "wait for the other controller, or pass a longer --wait"),
    "StackIncompatible": Meaning(
        76, _T, "bring the stack to what the artifact requires, or take another artifact; `controller probe` shows both"
    ),
    "StackAmbiguous": Meaning(76, _T, "stop one of the two, or name another with stack.project"),
    "SourceEmpty": Meaning(77, _T, "check that the source is mounted; if that is meant, set policy.allow_empty"),
    "SourceUntrusted": Meaning(77, _T, "push a commit signed by a key of source.git.verify; nothing was changed"),
    "SourceRewound": Meaning(77, _T, "push a commit that follows it; if it is meant, name it in source.git.accept"),
    "SourceRefused": Meaning(65, _T, "take it out of the repository, or out of the folder source.git.path"),
    "ShrinkGuard": Meaning(77, _T, "look at `controller diff`; if that is meant: --allow-shrink REVISION"),
    "OwnedByOther": Meaning(
        77,
        _T,
        "if this target moved or was renamed, or the other one is to give way: --take-over (of `reconcile`, `deploy`, "
        "`resume`); else choose another config_dir and state_dir",
    ),
    "Held": Meaning(77, _T, "change the source, or lift the hold with `controller resume --held`"),
    "Suspended": Meaning(77, _T, "lift it with `controller resume`"),
    "SecretsMissing": Meaning(77, _T, "set them in the environment or in the file given by --secret-env"),
    "PlanMoved": Meaning(77, _T, "make a new plan with `controller diff --out` and review it"),
    "NothingToRollBackTo": Meaning(77, _T, "`controller history` lists the revisions that were applied"),
    "ImageLost": Meaning(77, _T, "apply a new revision, or let a pass over that one's source build its images again"),
    "HostPathUnknown": Meaning(
        78, _T, "mount a volume or a folder at CONFIG_DIR, or set stack.config_dir_on_host to the engine's name of it"
    ),
    "SettingsInvalid": Meaning(
        78, _T, "correct what is named; `controller manifest schema --of settings` prints every key"
    ),
    "StateNewer": Meaning(78, _T, "use the newer controller that wrote this state; nothing was touched"),
    "ImageBuildFailed": Meaning(80, _R, "correct what the log above names; nothing was published"),
    "ImagePushFailed": Meaning(80, _R, "start the registry or log in to it; nothing was published"),
    "ProvisionerFailed": Meaning(81, _R, "see its last lines above; the previous functions and routes still serve"),
    "Stalled": Meaning(
        82, _T, "find who else writes there, for example an older applier or a second controller; `controller diff`"
    ),
    "StateDamaged": Meaning(1, _T, "run `controller reconcile --once`: it sets the file aside and rebuilds the record"),
    "StateUnreadable": Meaning(1, _R, "give this user access to the state directory; nothing was changed"),
    "StateUnwritable": Meaning(1, _R, "free space in the state directory, or give this user access to it"),
    "PlanUnreadable": Meaning(65, _T, "make a new plan with `controller diff --out`"),
    "Unwritable": Meaning(1, _R, "choose a path that this user can write"),
    "AppliedNotRecorded": Meaning(1, _R, "free space in the state directory; the next run repairs the record"),
    "CheckFailed": Meaning(1, _T, "see the lines marked FAIL above"),
}


_WORST_FIRST = (BUG, 78, USAGE, 82, 73, 1, 81, 80, 65, 76, 77, 75, 69, DIFFERENCES, OK)
"""Exit codes of targets, worst first: what no further try can change comes before what another one may. 69 is the last
of the failures, because a target that waits for a failed one ends with it, and must not hide why that one failed."""


def worst(codes: Iterable[int]) -> int:
    """The exit code of several targets together, 0 for none; docs/exit-codes.md."""
    return min(codes, key=_WORST_FIRST.index, default=OK)


@dataclass(frozen=True, slots=True)
class OfFunction:
    """How the image of one function failed: a sentence, and the end of its log in one line, "" without a log."""

    function: str
    message: str
    log: str = ""


class ControllerError(Exception):
    """Something that ends a pass. `reason` is a key of `MEANINGS`; `problems` are places in files, if there are any;
    `retry_after_s` is how long the other side asked to be left alone, 0 for nothing; `functions` are those whose images
    failed, each for itself; `root` is the folder that the files of `problems` stand in, "" when it is not known."""

    retry_after_s: float = 0.0
    functions: tuple[OfFunction, ...] = ()
    root: str = ""

    def __init__(self, reason: str, message: str, found: tuple[problems.Problem, ...] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.problems = found

    @property
    def meaning(self) -> Meaning:
        """The row of the table for this error."""
        return MEANINGS[self.reason]


class PublishFailed(ControllerError):
    """A step of a publish failed. `doubtful` is the generation that consumers may see although it may not be on the
    disk (0: plain files, which have no number); None when they see the previous one."""

    def __init__(self, message: str, doubtful: int | None) -> None:
        super().__init__("PublishFailed", message)
        self.doubtful = doubtful


class Interrupted(BaseException):
    """A signal ended the work before it was finished. Not an `Exception`, so that nothing takes it for a failure."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"ended by signal {signum}")
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """128 + n, as shells report it."""
        return 128 + self.signum
