"""What can go wrong in the manifests layer, as exceptions that say *what happened*.

What it means for a pass (exit code, retry or not) is decided in `controller.errors`, once. Messages name the place and
the cause, and never hold content of a file.
"""

from pathlib import Path


class ManifestsError(Exception):
    """Base of every expected failure of this layer; `str()` is a sentence for people."""


class ConfigDirError(ManifestsError):
    """CONFIG_DIR (or `path` below it) cannot be looked at or locked: faults.md A9."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path}: {cause(error)}")
        self.path = path
        self.errno = error.errno


class PublishError(ManifestsError):
    """A step of a publish failed (faults.md P2).

    `doubtful` is the visible generation (0: plain files) when it may not be on the disk, whoever published it.
    `step` is the failpoint's name, `errno` is None when the step ended but its result is wrong. `flipped` says that
    consumers may already see the new documents: then `generation` (None in `publish: files`) is live but perhaps not
    durable. Without `flipped` consumers still see the previous ones, whole.
    """

    def __init__(self, step: str, path: Path, error: OSError | str) -> None:
        text = error if isinstance(error, str) else cause(error)
        super().__init__(f"step {step}: {path}: {text}")
        self.step = step
        self.path = path
        self.errno = None if isinstance(error, str) else error.errno
        self.flipped = False
        self.generation: int | None = None
        self.doubtful: int | None = None


class ObstructedError(PublishError):
    """Something stands where a document or a link must go, and only a person may move it away (faults.md A6).

    Raised before anything is changed.
    """


class LockBusy(ManifestsError):
    """Another writer is at this CONFIG_DIR. `holder` says who, as far as that can be seen from here (faults.md B1)."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"{path} is locked by {holder}")
        self.path = path
        self.holder = holder


def cause(error: OSError) -> str:
    """The error in words with its number: ``No space left on device (errno 28)``."""
    text = error.strerror or str(error)
    return f"{text} (errno {error.errno})" if error.errno else text
