"""Opening a source that was named, and what it means for the whole when something of it cannot be had.

Between `manifests.survey`, which knows paths, and `manifests.checkout` and `manifests.build_context`, which read: here
the trouble with one path becomes an error that ends the reading of the source. Reads nothing itself.
"""

import contextlib
import posixpath
from collections.abc import Iterator, Sequence

from core import problems
from manifests import contents, discovery, places, source_errors, survey

ATTEMPTS = 3
"""How often a source that changes under the reader is read before giving up."""


@contextlib.contextmanager
def unmoved(source: survey.Source) -> Iterator[survey.Tree]:
    """The tree of a source that was scanned before. Raises `SourceUnstable` when something in it turns out to have
    changed since (`contents.ChangedMeanwhile`), and what `scan` does for the source's folder."""
    try:
        with opened(source) as tree:
            yield tree
    except contents.ChangedMeanwhile:
        raise unstable(source) from None


@contextlib.contextmanager
def opened(source: survey.Source) -> Iterator[survey.Tree]:
    """The source's tree. Raises `SourceMissing`, `SourceUnreadable`, and `ArtifactInvalid` for a manifest outside."""
    try:
        tree = survey.Tree(source)
    except source_errors.PathEscapes as error:
        raise source_errors.of_path_error(error) from error
    except source_errors.PathError as error:
        raise discovery.unopened(source.root, error) from error
    with tree:
        yield tree


@contextlib.contextmanager
def manifest_refused(tree: survey.Tree) -> Iterator[None]:
    """What is wrong with the path of artifact.yml, as what that means for the source."""
    try:
        yield
    except source_errors.PathMissing as error:
        source = tree.source
        wanted = posixpath.normpath(source.manifest)
        raise discovery.absent(tree.root, tree.place("."), shown=str(source.root), wanted=wanted) from error
    except source_errors.PathUnreadable as error:
        raise source_errors.SourceUnreadable(f"source {tree.source.root}: {error}") from error
    except source_errors.PathError as error:
        raise source_errors.of_path_error(error) from error


def refused(
    refusals: Sequence[survey.Refusal], others: Sequence[problems.Problem]
) -> source_errors.SourceUnreadable | source_errors.ArtifactInvalid:
    """Permission is the source's trouble as long as nothing else is wrong; a broken contract is the artifact's."""
    found = (*(refusal.problem for refusal in refusals), *others)
    denied = [each.problem.message for each in refusals if isinstance(each.error, source_errors.PathUnreadable)]
    if len(denied) == len(refusals) and not places.has_errors(others):
        return source_errors.SourceUnreadable("; ".join(denied), found)
    return source_errors.ArtifactInvalid(found)


def unstable(source: survey.Source) -> source_errors.SourceUnstable:
    """The source never stood still (faults.md C6)."""
    return source_errors.SourceUnstable(
        f"{source.root} changed while it was read, {ATTEMPTS} times in a row: try again once its writer has finished"
    )
