"""Finding artifact.yml files below a folder, and choosing one by project and environment.

Comes before `manifests.checkout`, which reads the chosen one. Looks at three keys of each file and judges nothing else;
a file that is no YAML is a candidate with a problem, and never hides the others (faults.md P11). What may not be read
could be any manifest, so nothing is chosen beside it (faults.md P6).
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from manifests import beneath, source_errors, yaml_builder

MANIFEST_NAME = "artifact.yml"
"""The exact name: `artifact.yml.bak`, `artifact.yml~` and editors' temporary names are somebody's leftovers
(faults.md C5)."""

MAX_DEPTH = 64
"""Folders below the first that are searched (faults.md D5)."""

_LOST = "lost+found"
"""Made by the file system in the top of a volume, and only for root to enter."""
_SKIPPED = frozenset({".git", _LOST})
_VOLUME_LAYOUT = ".."


@dataclass(frozen=True, slots=True)
class Candidate:
    """One artifact.yml. `path` is relative to the folder that was searched; `project`, `env` and `mode` are empty when
    the file does not say them; `problem` is empty when all three could be read. `unreadable` is set when the system
    refuses the file, or a whole folder: then `path` ends with a slash."""

    path: str
    project: str = ""
    env: str = ""
    mode: str = ""
    problem: str = ""
    unreadable: bool = False

    def __str__(self) -> str:
        return f"{self.path} ({self.problem or f'project {self.project}, env {self.env}, mode {self.mode}'})"


def candidates(root: Path, *, limits: yaml_builder.Limits = yaml_builder.DEFAULT_LIMITS) -> tuple[Candidate, ...]:
    """Every artifact.yml below `root`, and every folder that may not be searched, in the order of their paths.

    Follows no link to a folder, and skips `.git`, `lost+found` and names that begin with `..`, which is where volumes
    in the Kubernetes layout keep what their visible names link to. Raises `SourceMissing` and `SourceUnreadable`.
    """
    with _searched(root) as opened:
        return _candidates(opened, _search(opened), limits)


def required(root: Path, *, limits: yaml_builder.Limits = yaml_builder.DEFAULT_LIMITS) -> tuple[Candidate, ...]:
    """The same, and there must be one. Raises what `absent` gives, too."""
    with _searched(root) as opened:
        found = _candidates(opened, _search(opened), limits)
        if not found:
            raise _nothing_below(opened, root)
    return found


def only(
    root: Path,
    *,
    project: str | None = None,
    env: str | None = None,
    limits: yaml_builder.Limits = yaml_builder.DEFAULT_LIMITS,
) -> str:
    """The path of the manifest that `select` would choose. When there is just one and nothing is asked of it, it is
    not even opened: a pass over an unchanged source must not pay for that. Raises what `required` and `select` do."""
    with _searched(root) as opened:
        found = _search(opened)
        if not found.paths and not found.denied:
            raise _nothing_below(opened, root)
        if len(found.paths) == 1 and not found.denied and project is None and env is None:
            return found.paths[0]
        listed = _candidates(opened, found, limits)
    return select(listed, project=project, env=env).path


def select(found: Sequence[Candidate], *, project: str | None = None, env: str | None = None) -> Candidate:
    """The only candidate of this project and environment; None stands for any.

    Raises `SourceUnreadable` when one of them could not be read, whatever it is (faults.md P6: no change), `NoManifest`
    when none fits, and `AmbiguousManifest` with a list when several do. A candidate with a problem is chosen only when
    it is the only one.
    """
    denied = [each for each in found if each.unreadable]
    if denied:
        refused = "; ".join(f"{each.path}: {each.problem}" for each in denied)
        raise source_errors.SourceUnreadable(f"cannot look for {MANIFEST_NAME} everywhere: {refused}")
    fitting = [each for each in found if project in (None, each.project) and env in (None, each.env)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise source_errors.AmbiguousManifest(f"{len(fitting)} manifests would do: {_listed(fitting)}")
    asked = " and ".join(f"{key} {value}" for key, value in (("project", project), ("env", env)) if value is not None)
    raise source_errors.NoManifest(f"no manifest has {asked or 'been found'}; there are: {_listed(found) or 'none'}")


def absent(opened: beneath.Root, place: str, *, shown: str, wanted: str) -> source_errors.SourceError:
    """Why there is no manifest at `wanted` in the folder `place`: `SourceEmpty` when nothing at all is in it, which is
    how a volume looks that is not mounted (yet), else `NoManifest` (faults.md C1).

    The difference matters: with policy.allow_empty an empty source is applied, a mistyped one never is.
    """
    with suppress(source_errors.PathError):
        if all(each.folder and each.name == _LOST for each in opened.names(place)):
            return source_errors.SourceEmpty(f"{shown} is empty, or not mounted (yet)")
    return source_errors.NoManifest(f"{shown} has no {wanted}")


def unopened(root: Path, error: source_errors.PathError) -> source_errors.SourceError:
    """A source's folder that cannot be opened, as what that means for the source (faults.md C1, P6)."""
    if isinstance(error, source_errors.PathUnreadable):
        return source_errors.SourceUnreadable(str(error))
    if os.path.isfile(root):
        return source_errors.SourceMissing(
            f"{root} is no directory, it is a file: pass its folder, or use `deploy --artifact`"
        )
    return source_errors.SourceMissing(str(error))


@dataclass(frozen=True, slots=True)
class _Found:
    """Paths of what bears the name, and the folders that may not be searched: each in order."""

    paths: Sequence[str]
    denied: Sequence[source_errors.PathError]


@contextmanager
def _searched(root: Path) -> Iterator[beneath.Root]:
    """The opened folder, with failures as those of a source."""
    try:
        with beneath.Root(root) as opened:
            yield opened
    except source_errors.PathError as error:
        raise unopened(root, error) from error


def _nothing_below(opened: beneath.Root, root: Path) -> source_errors.SourceError:
    return absent(opened, ".", shown=str(root), wanted=f"{MANIFEST_NAME} (exactly this name), in it or below it")


def _candidates(opened: beneath.Root, found: _Found, limits: yaml_builder.Limits) -> tuple[Candidate, ...]:
    files = (_candidate(opened, path, limits) for path in found.paths)
    folders = (Candidate(f"{each.shown}/", problem=each.words, unreadable=True) for each in found.denied)
    return tuple(sorted((*files, *folders), key=lambda each: each.path))


def _listed(found: Sequence[Candidate]) -> str:
    return "; ".join(map(str, found))


def _search(root: beneath.Root) -> _Found:
    """Look into every folder. One that disappears meanwhile is passed over; one that is refused is not."""
    paths: list[str] = []
    denied: list[source_errors.PathError] = []
    pending = ["."]
    while pending:
        folder = pending.pop()
        try:
            names = root.names(folder)
        except source_errors.PathError as error:
            if folder == ".":
                raise
            if not isinstance(error, source_errors.PathMissing | source_errors.NotPlain):
                denied.append(error)
            continue
        prefix = "" if folder == "." else f"{folder}/"
        for each in names:
            if each.name == MANIFEST_NAME and not each.folder:
                paths.append(prefix + each.name)
            elif each.folder and not _is_skipped(each.name) and prefix.count("/") < MAX_DEPTH:
                pending.append(prefix + each.name)
    return _Found(sorted(paths), denied)


def _is_skipped(name: str) -> bool:
    return name in _SKIPPED or name.startswith(_VOLUME_LAYOUT)


def _candidate(root: beneath.Root, path: str, limits: yaml_builder.Limits) -> Candidate:
    # Not at the top: `Candidate` and its like must not cost a command that finds nothing the YAML library.
    from manifests import yaml_text

    try:
        content = root.read_file(path, max_bytes=limits.max_bytes).content
    except source_errors.PathError as error:
        return Candidate(path, problem=error.words, unreadable=isinstance(error, source_errors.PathUnreadable))
    parsed = yaml_text.parse(content, file=path, limits=limits, positions_depth=0)
    if parsed.problems:
        return Candidate(path, problem=str(parsed.problems[0]))
    head = parsed.value if isinstance(parsed.value, dict) else {}
    texts = {key: text if isinstance(text := head.get(key), str) else "" for key in ("project", "env", "mode")}
    missing = [key for key, text in texts.items() if not text]
    problem = f"has no {', '.join(missing)}" if missing else ""
    return Candidate(path, texts["project"], texts["env"], texts["mode"], problem)
