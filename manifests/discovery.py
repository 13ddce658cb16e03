"""Finding artifact.yml files below a folder, and choosing one by project and environment.

Comes before `manifests.checkout`, which reads the chosen one. Looks at three keys of each file and judges nothing else;
a file that cannot be read is a candidate with a problem, and never hides the others (faults.md P11).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from manifests import beneath, source_errors, yaml_builder

MANIFEST_NAME = "artifact.yml"
"""The exact name: `artifact.yml.bak`, `artifact.yml~` and editors' temporary names are somebody's leftovers
(faults.md C5)."""

MAX_DEPTH = 64
"""Folders below the first that are searched (faults.md D5)."""

_SKIPPED = ".git"
_VOLUME_LAYOUT = ".."


@dataclass(frozen=True, slots=True)
class Candidate:
    """One artifact.yml. `path` is relative to the folder that was searched; `project`, `env` and `mode` are empty when
    the file does not say them; `problem` is empty when all three could be read."""

    path: str
    project: str = ""
    env: str = ""
    mode: str = ""
    problem: str = ""

    def __str__(self) -> str:
        return f"{self.path} ({self.problem or f'project {self.project}, env {self.env}, mode {self.mode}'})"


def candidates(root: Path, *, limits: yaml_builder.Limits = yaml_builder.DEFAULT_LIMITS) -> tuple[Candidate, ...]:
    """Every artifact.yml below `root`, in the order of their paths.

    Follows no link to a folder, and skips `.git` and names that begin with `..`, which is where volumes in the
    Kubernetes layout keep what their visible names link to. Raises `SourceMissing` and `SourceUnreadable`.
    """
    with _searched(root) as opened:
        return tuple(_candidate(opened, path, limits) for path in sorted(_paths(opened)))


def _sorted_paths(root: Path) -> list[str]:
    with _searched(root) as opened:
        return sorted(_paths(opened))


@contextmanager
def _searched(root: Path) -> Iterator[beneath.Root]:
    """The opened folder, with failures as those of a source."""
    try:
        with beneath.Root(root) as opened:
            yield opened
    except (source_errors.PathMissing, source_errors.NotPlain) as error:
        raise source_errors.SourceMissing(str(error)) from error
    except source_errors.PathError as error:
        raise source_errors.SourceUnreadable(str(error)) from error


def only(root: Path, *, project: str | None = None, env: str | None = None) -> str:
    """The path of the manifest that `select` would choose. When there is just one and nothing is asked of it, it is
    not even opened: a pass over an unchanged source must not pay for that."""
    if project is None and env is None:
        paths = _sorted_paths(root)
        if len(paths) == 1:
            return paths[0]
    return select(candidates(root), project=project, env=env).path


def select(found: Sequence[Candidate], *, project: str | None = None, env: str | None = None) -> Candidate:
    """The only candidate of this project and environment; None stands for any.

    Raises `SourceEmpty` when there is no candidate at all, `NoManifest` when none fits, and `AmbiguousManifest` with a
    list when several do. A candidate with a problem is chosen only when it is the only one.
    """
    if not found:
        raise source_errors.SourceEmpty(f"there is no {MANIFEST_NAME} in the source: empty, or not mounted")
    fitting = [each for each in found if project in (None, each.project) and env in (None, each.env)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise source_errors.AmbiguousManifest(f"{len(fitting)} manifests would do: {_listed(fitting)}")
    asked = " and ".join(f"{key} {value}" for key, value in (("project", project), ("env", env)) if value is not None)
    raise source_errors.NoManifest(f"no manifest has {asked}; there are: {_listed(found)}")


def _listed(found: Sequence[Candidate]) -> str:
    return "; ".join(map(str, found))


def _paths(root: beneath.Root) -> Iterator[str]:
    """The paths of what bears the name. A folder that disappears or that may not be entered is passed over."""
    pending = ["."]
    while pending:
        folder = pending.pop()
        try:
            names = root.names(folder)
        except source_errors.PathError:
            if folder == ".":
                raise
            continue
        prefix = "" if folder == "." else f"{folder}/"
        for each in names:
            if each.name == MANIFEST_NAME and not each.folder:
                yield prefix + each.name
            elif each.folder and not _is_skipped(each.name) and prefix.count("/") < MAX_DEPTH:
                pending.append(prefix + each.name)


def _is_skipped(name: str) -> bool:
    return name == _SKIPPED or name.startswith(_VOLUME_LAYOUT)


def _candidate(root: beneath.Root, path: str, limits: yaml_builder.Limits) -> Candidate:
    # Not at the top: `Candidate` and its like must not cost a command that finds nothing the YAML library.
    from manifests import yaml_text

    try:
        content = root.read_file(path, max_bytes=limits.max_bytes).content
    except source_errors.PathError as error:
        return Candidate(path, problem=error.words)
    parsed = yaml_text.parse(content, file=path, limits=limits, positions_depth=0)
    if parsed.problems:
        return Candidate(path, problem=str(parsed.problems[0]))
    head = parsed.value if isinstance(parsed.value, dict) else {}
    texts = {key: value for key in ("project", "env", "mode") if isinstance(value := head.get(key), str) and value}
    missing = [key for key in ("project", "env", "mode") if key not in texts]
    return Candidate(path, **texts, problem=f"has no {', '.join(missing)}" if missing else "")
