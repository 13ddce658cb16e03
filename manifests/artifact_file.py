"""artifact.yml: from bytes to what the rest of a pass needs of it, and to problems with their places.

Owns the reduction of the checked model to plain values, which the store keeps under the content's digest: an unchanged
manifest costs neither the YAML library nor the models. Opens nothing and knows nothing of what the paths in it lead to
(`manifests.survey`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from core import compatibility, problems
from manifests import places, yaml_builder

PLACED_KEYS = ("artifact_root", "runtime_config_dir", "bundle_manifest")
"""The keys of an entry that name paths, so that something may be wrong with them after the manifest was checked."""

_POSITIONS_DEPTH = 3  # ("artifacts", 0, "artifact_root")


@dataclass(frozen=True, slots=True)
class ArtifactEntry:
    """One entry of `artifacts`. `places` has line and column of each of `PLACED_KEYS` that is there."""

    id: str
    artifact_root: str
    runtime_config_dir: str
    bundle_manifest: str | None
    required_secret_env: tuple[str, ...]
    places: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """A manifest that keeps contract.md sections 2 and 3."""

    project: str
    env: str
    mode: str
    runtime_stack: compatibility.Requirement | None
    entries: tuple[ArtifactEntry, ...]


class Reading(NamedTuple):
    """`manifest` is None exactly when there is an error among the problems, which are in the order of their lines."""

    manifest: ArtifactFile | None
    problems: tuple[problems.Problem, ...]


def read(
    content: bytes,
    *,
    file: str,
    require_ids: bool = True,
    limits: yaml_builder.Limits = yaml_builder.DEFAULT_LIMITS,
) -> Reading:
    """Check the bytes of an artifact.yml completely: every problem, not the first (contract.md sections 2, 3 and 9).

    `file` names it in the problems. Never raises for bad input.
    """
    # Not at the top: a manifest that the store knows must not pay for loading the YAML library and the models.
    from core import models
    from manifests import yaml_text

    def positions(depth: int | None) -> places.Positions:
        return yaml_text.parse(content, file=file, limits=limits, positions_depth=depth).positions

    parsed = yaml_text.parse(content, file=file, limits=limits, positions_depth=_POSITIONS_DEPTH)
    if parsed.value is None and parsed.problems:
        return Reading(None, parsed.problems)
    checked = models.check_manifest(parsed.value, require_ids=require_ids)
    located = places.located(checked.findings, file=file, shallow=parsed.positions, deep=lambda: positions(None))
    found = tuple(sorted((*parsed.problems, *located)))
    if checked.manifest is None or places.has_errors(found):
        return Reading(None, found)
    return Reading(_reduced(checked.manifest, parsed.positions), found)


def pack(reading: Reading) -> dict[str, Any]:
    """The reading as JSON, for the store."""
    manifest = reading.manifest
    return {
        "problems": [places.pack(problem) for problem in reading.problems],
        "manifest": None
        if manifest is None
        else {
            "head": [manifest.project, manifest.env, manifest.mode],
            "stack": _packed_stack(manifest.runtime_stack),
            "entries": [_packed_entry(entry) for entry in manifest.entries],
        },
    }


def unpack(packed: dict[str, Any], *, file: str) -> Reading:
    """The packed reading of the same content, now in this file."""
    found = tuple(places.unpack(each, file=file) for each in packed["problems"])
    raw = packed["manifest"]
    if raw is None:
        return Reading(None, found)
    stack = None if raw["stack"] is None else compatibility.Requirement(*raw["stack"])
    project, env, mode = raw["head"]
    return Reading(ArtifactFile(project, env, mode, stack, tuple(map(_unpacked_entry, raw["entries"]))), found)


def _reduced(manifest: Any, positions: places.Positions) -> ArtifactFile:
    """From `core.models.ArtifactManifest`, whose module is not loaded unless something is read."""
    stack = manifest.runtime_stack
    return ArtifactFile(
        project=manifest.project,
        env=manifest.env,
        mode=manifest.mode,
        runtime_stack=stack and compatibility.Requirement(stack.api_version, stack.mode, stack.esb_version),
        entries=tuple(_reduced_entry(entry, at, positions) for at, entry in enumerate(manifest.artifacts)),
    )


def _reduced_entry(entry: Any, at: int, positions: places.Positions) -> ArtifactEntry:
    path = ("artifacts", at)
    return ArtifactEntry(
        id=entry.id,
        artifact_root=entry.artifact_root,
        runtime_config_dir=entry.runtime_config_dir,
        bundle_manifest=entry.bundle_manifest,
        required_secret_env=tuple(entry.required_secret_env),
        places={key: positions.get((*path, key)) or positions.get(path, (1, 1)) for key in PLACED_KEYS},
    )


def _packed_stack(stack: compatibility.Requirement | None) -> list[str] | None:
    return None if stack is None else [stack.api_version, stack.mode, stack.esb_version]


def _packed_entry(entry: ArtifactEntry) -> list[Any]:
    return [
        entry.id,
        entry.artifact_root,
        entry.runtime_config_dir,
        entry.bundle_manifest,
        list(entry.required_secret_env),
        [list(entry.places[key]) for key in PLACED_KEYS],
    ]


def _unpacked_entry(packed: list[Any]) -> ArtifactEntry:
    id_, artifact_root, runtime_config_dir, bundle_manifest, secrets, placed = packed
    positions = {key: (line, column) for key, (line, column) in zip(PLACED_KEYS, placed, strict=True)}
    return ArtifactEntry(id_, artifact_root, runtime_config_dir, bundle_manifest, tuple(secrets), positions)
