"""artifact.yml: contract.md section 2 as models, and the check of a whole manifest.

Owns the shapes, the ids that must match (section 3) and the published JSON Schema. Looks at values only: whether what a
manifest names exists, and where symbolic links lead, is for `manifests`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import pydantic
from pydantic import Field, Strict

from core import entry_ids, grammar, identity, problems, sentences, structure

SCHEMA_ID = "urn:artifact-controller:artifact:1"
"""`$id` of the published JSON Schema; the last part is the supported major of `schema_version`."""

_HIGHEST_MAJOR = 1_000_000

Mode = Literal["docker", "containerd", "firecracker"]


def _named(text: str) -> str:
    problem = grammar.text_problem(text)
    if problem:
        raise sentences.broken(problem)
    return text


def _inside(text: str) -> str:
    problem = inner_path_problem(text)
    if problem:
        raise sentences.broken(problem)
    return text


def _inside_or_blank(text: str | None) -> str | None:
    return _inside(text) if text and text.strip() else None


def _version_text(value: object) -> object:
    """`schema_version: 1` without quotes is read as "1": the one documented coercion (faults.md F3).

    Another whole number becomes text too, so that what is said about it is that its major is not supported.
    """
    return str(value) if type(value) is int and 0 <= value < _HIGHEST_MAJOR else value


def _null_is(replacement: object) -> pydantic.BeforeValidator:
    """An optional field that is there without a value is the same as one that is absent."""
    return pydantic.BeforeValidator(lambda value: replacement if value is None else value)


def _blank_is_none(value: object) -> object:
    return None if value == "" else value


Text = Annotated[str, pydantic.AfterValidator(_named)]
Label = Annotated[str, Field(pattern=grammar.LABEL)]
SecretName = Annotated[str, Field(pattern=grammar.SECRET_NAME)]


class _Shape(pydantic.BaseModel):
    """Strict and frozen; unknown fields are kept (contract.md section 2) and warned about by `check_manifest`."""

    # `hide_input_in_errors`: a traceback must not print what may be a secret (faults.md K4).
    model_config = pydantic.ConfigDict(
        strict=True, extra="allow", frozen=True, defer_build=True, hide_input_in_errors=True
    )


class SourceTemplate(_Shape):
    """What an entry was generated from: recorded, never opened. It makes the id."""

    path: Text
    sha256: Annotated[str | None, Field(pattern=grammar.SHA256), pydantic.BeforeValidator(_blank_is_none)] = None
    parameters: Annotated[Mapping[str, str], _null_is({})] = {}


class RuntimeStack(_Shape):
    """The versions that the running stack must have."""

    api_version: str = Field(pattern=grammar.API_VERSION)
    mode: Mode
    esb_version: Label


class Generator(_Shape):
    """Who wrote the manifest."""

    name: str | None = None
    version: str | None = None


class ArtifactEntry(_Shape):
    """One entry of `artifacts`. In a checked manifest `id` is never empty."""

    id: Annotated[str, _null_is("")] = ""
    artifact_root: Text
    runtime_config_dir: Annotated[str, pydantic.AfterValidator(_inside)]
    bundle_manifest: Annotated[str | None, pydantic.AfterValidator(_inside_or_blank)] = None
    required_secret_env: Annotated[tuple[SecretName, ...], Strict(False), _null_is(())] = ()
    source_template: SourceTemplate | None = None


class ArtifactManifest(_Shape):
    """artifact.yml. The order of `artifacts` is the merge order."""

    schema_version: Annotated[str, Field(pattern=grammar.SCHEMA_VERSION), pydantic.BeforeValidator(_version_text)]
    project: Label
    env: Label
    mode: Mode
    runtime_stack: RuntimeStack | None = None
    artifacts: Annotated[tuple[ArtifactEntry, ...], Strict(False), Field(min_length=1)]
    generated_at: str | None = None
    generator: Generator | None = None


@dataclass(frozen=True, slots=True)
class ManifestCheck:
    """`manifest` is None exactly when there is an error among the findings."""

    manifest: ArtifactManifest | None
    findings: tuple[problems.Finding, ...]


def check_manifest(value: object, *, require_ids: bool = True) -> ManifestCheck:
    """Check a parsed artifact.yml completely: every problem, not the first.

    Without `require_ids` (the second generation of contract.md section 2) `source_template` is optional and an entry
    without an id gets its computed one; an id that is there must still be the computed one.
    """
    if not isinstance(value, dict):
        return ManifestCheck(None, (problems.Finding((), "must be a mapping with 'artifacts'"),))
    found = structure.findings(value)
    manifest = None
    try:
        manifest = ArtifactManifest.model_validate(value)
    except pydantic.ValidationError as error:
        found.extend(sentences.findings(error, value))
    entries = value.get("artifacts")
    entries = entries if isinstance(entries, list) else []
    found.extend(entry_ids.findings(entries, require_ids=require_ids))
    found.extend(_warnings(value, entries))
    if manifest is None or any(finding.severity is problems.Severity.ERROR for finding in found):
        return ManifestCheck(None, tuple(found))
    return ManifestCheck(_with_ids(manifest, entries, require_ids=require_ids), tuple(found))


def inner_path_problem(path: str) -> str | None:
    """Why a path may not stand for something inside an artifact root, lexically; None when it may.

    contract.md section 2, path rule. `\\` is also read as `/`, so that no reading of the path escapes.
    """
    problem = grammar.text_problem(path)
    if problem:
        return problem
    for reading in (path, path.replace("\\", "/")):
        cleaned = identity.clean_path(reading)
        if cleaned.startswith("/"):
            return "must be relative to the artifact root"
        if cleaned == ".":
            return "must be below the artifact root, not the root itself"
        if cleaned == ".." or cleaned.startswith("../"):
            return "must stay inside the artifact root"
    return None


def manifest_schema() -> dict[str, object]:
    """The JSON Schema of artifact.yml, for editors and producers."""
    schema = ArtifactManifest.model_json_schema()
    schema["$defs"]["ArtifactEntry"]["required"] += ["id", "source_template"]
    schema["$defs"]["ArtifactEntry"]["properties"]["id"] = {"type": "string", "pattern": grammar.ENTRY_ID}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, "title": "artifact.yml"}
    return {**schema, **head}


def _with_ids(manifest: ArtifactManifest, entries: list[object], *, require_ids: bool) -> ArtifactManifest:
    if all(entry.id for entry in manifest.artifacts):
        return manifest
    named = tuple(
        entry if entry.id else entry.model_copy(update={"id": entry_ids.computed(raw, require_ids=require_ids)})
        for entry, raw in zip(manifest.artifacts, entries, strict=True)
    )
    return manifest.model_copy(update={"artifacts": named})


def _warnings(value: dict[object, object], entries: list[object]) -> Iterator[problems.Finding]:
    """Unknown fields anywhere, and a newer minor of the schema: warn and go on (faults.md F4)."""
    version = value.get("schema_version")
    if isinstance(version, str) and grammar.matches(grammar.SCHEMA_VERSION, version) and version not in ("1", "1.0"):
        message = "is a newer minor version than this one knows: unknown fields are kept"
        yield problems.Finding(("schema_version",), message, problems.Severity.WARNING)
    yield from _unknown(value, ArtifactManifest, ())
    yield from _unknown(value.get("runtime_stack"), RuntimeStack, ("runtime_stack",))
    yield from _unknown(value.get("generator"), Generator, ("generator",))
    for position, entry in enumerate(entries):
        if isinstance(entry, dict):
            path: problems.KeyPath = ("artifacts", position)
            yield from _unknown(entry, ArtifactEntry, path)
            yield from _unknown(entry.get("source_template"), SourceTemplate, (*path, "source_template"))


def _unknown(value: object, model: type[_Shape], path: problems.KeyPath) -> Iterator[problems.Finding]:
    for key in value if isinstance(value, dict) else ():
        if isinstance(key, str) and key not in model.model_fields:
            yield problems.Finding(
                (*path, key), "is not a known field: kept, not used", problems.Severity.WARNING, at_key=True
            )
