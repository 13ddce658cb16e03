"""The boundary: failures of the `manifests` layer become `ControllerError`s with a reason of the table. Once, here;
nobody logs and raises again."""

from collections.abc import Iterator
from contextlib import contextmanager

from controller import errors
from manifests import errors as manifests_errors
from manifests import source_errors


@contextmanager
def failures() -> Iterator[None]:
    """Translate what is raised inside. A `PublishError` is not translated here: the writer needs its details."""
    try:
        yield
    except source_errors.SourceError as error:
        raise errors.ControllerError(error.reason, error.message, error.problems) from None
    except source_errors.PathError as error:
        meant = source_errors.of_path_error(error)
        raise errors.ControllerError(meant.reason, meant.message, meant.problems) from None
    except manifests_errors.LockBusy as error:
        raise errors.ControllerError("LockBusy", str(error)) from None
    except manifests_errors.ObstructedError as error:
        raise errors.ControllerError("PathObstructed", str(error)) from None
    except manifests_errors.ConfigDirError as error:
        raise errors.ControllerError("ConfigDirUnusable", str(error)) from None
