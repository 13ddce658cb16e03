"""artifact.yml: contract.md sections 2, 3 and 9; faults.md F3, F4, F5. The cases are data."""

import copy
import json
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from core import entry_ids, models
from core.problems import Severity, format_path

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases/validity/manifest.yml").read_text(encoding="utf-8"))
ABSENT = "(absent)"
TEMPLATE = {"path": "/path/to/template-a.yaml", "sha256": "0" * 64, "parameters": {"Stage": "dev"}}
ENTRY: dict[str, Any] = {
    "id": "template-a-f9b8bf6c",
    "artifact_root": "../svc-a/.esb/template-a/dev",
    "runtime_config_dir": "runtime-config",
    "bundle_manifest": "bundle/manifest.json",
    "required_secret_env": ["AUTH_PASS"],
    "source_template": TEMPLATE,
}
MANIFEST = {
    "schema_version": "1",
    "project": "esb-dev",
    "env": "dev",
    "mode": "docker",
    "runtime_stack": {"api_version": "1.0", "mode": "docker", "esb_version": "latest"},
    "artifacts": [ENTRY],
    "generated_at": "2026-02-20T00:00:00Z",
    "generator": {"name": "esb", "version": "v0.0.0"},
}
HOSTILE = [
    "",
    "x" * 300,
    "..",
    "-rf",
    "a b",
    "$(x)",
    "a;b",
    "\u0430",
    "😀",
    "a\n",
    "a\0",
    "\u202ea",
    "a/b",
    "${A}",
    ".a",
]


def _laid_over(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = {**copy.deepcopy(base), **changes}
    return {key: value for key, value in merged.items() if value != ABSENT}


def _manifest(*entries: dict[str, Any], **changes: Any) -> dict[str, Any]:
    listed = [_laid_over(ENTRY, entry) for entry in entries or ({},)]
    return _laid_over({**MANIFEST, "artifacts": listed}, changes)


def _said(check: models.ManifestCheck, severity: Severity = Severity.ERROR) -> list[tuple[str, str]]:
    return [(format_path(found.path), found.message) for found in check.findings if found.severity is severity]


def _assert_said(said: list[tuple[str, str]], wanted: list[list[str]]) -> None:
    remaining = list(said)
    for key, fragment in wanted:
        matching = [one for one in remaining if one[0] == key and fragment in one[1]]
        assert matching, f"{key}: {fragment!r} is not among {remaining}"
        remaining.remove(matching[0])
    assert remaining == []


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_f3_case(case: dict[str, Any]) -> None:
    """F3, F4, F5, G1: exactly what is wrong is said, at its key; a manifest comes out when nothing is."""
    value = _manifest(case.get("entry", {}))
    check = models.check_manifest(_laid_over(value, case.get("change", {})))
    _assert_said(_said(check), case.get("errors", []))
    _assert_said(_said(check, Severity.WARNING), case.get("warnings", []))
    assert (check.manifest is None) == bool(case.get("errors"))


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_f5_every_identifier_has_an_allow_list(text: str) -> None:
    """F5: the table of hostile identifiers against every field that names something."""
    stack = {"api_version": text, "mode": text, "esb_version": text}
    value = _manifest(
        {"id": text, "required_secret_env": [text]}, project=text, env=text, mode=text, runtime_stack=stack
    )
    refused = {place for place, _ in _said(models.check_manifest(value))}
    assert refused == {
        "project",
        "env",
        "mode",
        "runtime_stack.api_version",
        "runtime_stack.mode",
        "runtime_stack.esb_version",
        "artifacts[0].id" if text else "artifacts[0]",
        "artifacts[0].required_secret_env[0]",
    }


@pytest.mark.parametrize("text", ["A", "esb-dev", "0.9_x", "a" * 128, "UPPER"])
def test_f5_names_that_are_taken(text: str) -> None:
    assert models.check_manifest(_manifest(project=text, env=text)).findings == ()


def test_the_values_are_kept_and_frozen() -> None:
    value = _manifest(later={"a": [1]})
    manifest = models.check_manifest(value).manifest
    assert manifest is not None
    assert manifest.model_extra == {"later": {"a": [1]}}
    assert manifest.artifacts[0].required_secret_env == ("AUTH_PASS",)
    assert manifest.artifacts[0].source_template is not None
    assert manifest.artifacts[0].source_template.parameters == {"Stage": "dev"}
    with pytest.raises(pydantic.ValidationError):
        manifest.project = "other"


def test_blank_optional_fields_are_none() -> None:
    template = {**TEMPLATE, "sha256": ""}
    value = _manifest({"bundle_manifest": " ", "required_secret_env": None, "source_template": template, "id": ABSENT})
    manifest = models.check_manifest(value, require_ids=False).manifest
    assert manifest is not None
    entry = manifest.artifacts[0]
    assert (entry.bundle_manifest, entry.required_secret_env, entry.id) == (None, (), "template-a-fd10ca23")
    assert entry.source_template is not None
    assert entry.source_template.sha256 is None


def test_repeated_ids_name_both_positions() -> None:
    other = {"source_template": {"path": "e2e/fixtures/template.e2e.yaml"}, "id": ABSENT}
    check = models.check_manifest(_manifest({}, other, {}, {"id": ABSENT}), require_ids=False)
    _assert_said(
        _said(check),
        [["artifacts[2]", "same id as artifacts[0]"], ["artifacts[3]", "same id as artifacts[0]"]],
    )


def test_the_second_generation_needs_neither_ids_nor_templates() -> None:
    value = _manifest(
        {"id": ABSENT, "source_template": ABSENT},
        {"id": None, "source_template": None, "artifact_root": "template.e2e/e2e-docker"},
        {"id": ""},
    )
    check = models.check_manifest(value, require_ids=False)
    assert check.findings == ()
    assert check.manifest is not None
    ids = [entry.id for entry in check.manifest.artifacts]
    assert ids == ["dev-1d127252", "e2e-docker-890b0238", "template-a-f9b8bf6c"]
    assert [entry_ids.computed(entry, require_ids=False) for entry in value["artifacts"]] == ids
    assert len(_said(models.check_manifest(value))) == 5  # three ids and two templates are missing


def test_the_second_generation_still_refuses_wrong_and_repeated_ids() -> None:
    bare = {"id": ABSENT, "source_template": ABSENT}
    value = _manifest(bare, bare, {"id": "template-a-00000000"})
    _assert_said(
        _said(models.check_manifest(value, require_ids=False)),
        [["artifacts[1]", "same id as artifacts[0]"], ["artifacts[2].id", "but must be template-a-f9b8bf6c"]],
    )


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(st.characters(codec=None), max_size=3) | st.integers(), inner, max_size=3)
            | st.dictionaries(st.sampled_from([*MANIFEST, *ENTRY, "path", "sha256", "parameters", "[key]"]), inner)
        ),
        max_leaves=15,
    ),
    st.booleans(),
)
def test_f3_the_check_is_total(junk: Any, require_ids: bool) -> None:
    """F3: any value, and any value in the place of any field, gives findings and never an exception."""
    candidates = [junk, _manifest(junk)] if isinstance(junk, dict) else [junk]
    candidates += [{**MANIFEST, key: junk} for key in MANIFEST]
    candidates += [{**MANIFEST, "artifacts": [{**ENTRY, key: junk}]} for key in ENTRY]
    for value in candidates:
        check = models.check_manifest(value, require_ids=require_ids)
        errors = _said(check)
        assert (check.manifest is None) == bool(errors)
        assert check.manifest is None or all(entry.id for entry in check.manifest.artifacts)


def test_k1_values_never_appear_in_messages() -> None:
    """K1: only ids, which are no secrets, are shown."""
    canary = "hunter2 canary"
    fields = dict.fromkeys(("artifact_root", "runtime_config_dir", "bundle_manifest"), f"/{canary}\n")
    value = _manifest(
        {
            **fields,
            "required_secret_env": [canary],
            "source_template": {"path": canary, "sha256": canary, "parameters": canary},
        },
        **dict.fromkeys(("schema_version", "project", "env", "mode", "runtime_stack", "generated_at"), canary),
    )
    said = str([message for _, message in _said(models.check_manifest(value))])
    assert "hunter2" not in said


def test_the_schema_is_published_with_a_stable_name() -> None:
    schema = models.manifest_schema()
    assert schema["$id"] == models.SCHEMA_ID == "urn:artifact-controller:artifact:1"
    assert schema["title"] == "artifact.yml"
    entry = json.loads(json.dumps(schema))["$defs"]["ArtifactEntry"]
    assert set(entry["required"]) == {"id", "artifact_root", "runtime_config_dir", "source_template"}
