"""`manifest sync-ids`: the computed ids written into an artifact.yml, and nothing else of it changed.

Ids are computed by `core.entry_ids`; the text is edited by `manifests.yaml_edit`, which keeps comments, quotes and
order; the file is replaced as a whole. Works on a manifest that is not valid yet, as long as its ids can be computed.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import entry_ids, problems
from manifests import atomic, beneath, places, source_errors, yaml_builder, yaml_edit, yaml_text

_POSITIONS_DEPTH = 3  # ("artifacts", 0, "id")


@dataclass(frozen=True, slots=True)
class Difference:
    """An entry whose id is not the computed one. `index` counts from 0; `line` is where the id stands, or the entry
    when it has none; `current` is empty then."""

    index: int
    line: int
    current: str
    wanted: str


def check(path: Path, *, require_ids: bool = True) -> tuple[Difference, ...]:
    """What `sync` would write. `require_ids` is the setting of contract.md section 2: without it an entry that has
    no `source_template` gets the id of its `artifact_root`.

    Raises `PathError` for a file that cannot be read, and `ArtifactInvalid` with the places when it is no YAML or the
    id of an entry cannot be computed.
    """
    return _differences(_read(path).content, str(path), require_ids)


def sync(path: Path, *, require_ids: bool = True) -> tuple[Difference, ...]:
    """Write the computed ids; gives what was written. Nothing is written when nothing differs.

    Raises what `check` does, `ArtifactInvalid` for a file that cannot be edited in place, `SourceUnstable` when
    somebody else changed it meanwhile, and `PathUnreadable` when it cannot be written.
    """
    before = _read(path)
    found = _differences(before.content, str(path), require_ids)
    if not found:
        return ()
    edited = _edited(before.content, str(path), found)
    now = _read(path)
    if now.content != before.content:
        raise source_errors.SourceUnstable(f"{path} was changed by somebody else meanwhile: run the command again")
    try:
        atomic.replace_file(path, edited)
    except OSError as error:
        raise source_errors.of_os_error(error, str(path)) from error
    return found


def _read(path: Path) -> beneath.ReadFile:
    """The user names the file, so links are followed wherever they lead; it must be a regular one all the same."""
    with beneath.Root(Path("/")) as root:
        place = os.path.abspath(path).lstrip("/")
        return root.read_file(place, max_bytes=yaml_builder.DEFAULT_LIMITS.max_bytes, shown=str(path))


def _differences(content: bytes, file: str, require_ids: bool) -> tuple[Difference, ...]:
    parsed = yaml_text.parse(content, file=file, positions_depth=_POSITIONS_DEPTH)
    if parsed.problems:
        raise source_errors.ArtifactInvalid(parsed.problems)
    entries = parsed.value.get("artifacts") if isinstance(parsed.value, dict) else None
    if not isinstance(entries, list) or not entries:
        finding = problems.Finding(("artifacts",), "must be a list with at least one entry")
        raise source_errors.ArtifactInvalid(_located([finding], file, parsed))
    wanted = [entry_ids.computed(entry, require_ids=require_ids) for entry in entries]
    wrong = [finding for at, id_ in enumerate(wanted) for finding in _uncomputable(at, id_, wanted)]
    if wrong:
        raise source_errors.ArtifactInvalid(_located(wrong, file, parsed))
    return tuple(
        Difference(at, _line(parsed.positions, at), _shown(entry.get("id")), str(id_))
        for at, (entry, id_) in enumerate(zip(entries, wanted, strict=True))
        if isinstance(entry, dict) and entry.get("id") != id_
    )


def _uncomputable(at: int, id_: str | None, wanted: list[str | None]) -> list[problems.Finding]:
    """Why this entry cannot get its id. Two entries of the same id would be refused by every reader afterwards."""
    path = ("artifacts", at)
    if id_ is None:
        message = "its id cannot be computed: 'source_template' with a 'path' (and text only below it) is missing"
        return [problems.Finding(path, message)]
    if id_ in wanted[:at]:
        first = wanted.index(id_)
        return [problems.Finding(path, f"would get the same id as artifacts[{first}]: give one of them parameters")]
    return []


def _located(found: list[problems.Finding], file: str, parsed: yaml_text.Parsed) -> tuple[problems.Problem, ...]:
    return places.located(found, file=file, shallow=parsed.positions, deep=lambda: parsed.positions)


def _line(positions: places.Positions, at: int) -> int:
    path = ("artifacts", at)
    return positions.get((*path, "id"), positions.get(path, (0, 0)))[0]


def _shown(current: Any) -> str:
    return "" if current is None else str(current)


def _edited(content: bytes, file: str, found: tuple[Difference, ...]) -> bytes:
    def change(document: Any) -> bool:
        for difference in found:
            document["artifacts"][difference.index]["id"] = difference.wanted
        return True

    try:
        return yaml_edit.edit(content, change) or content
    except yaml_edit.EditError as error:
        raise source_errors.ArtifactInvalid((problems.Problem(file, 0, 0, "", str(error)),)) from error
