"""artifact.yml to plain values: every problem at its place, and the same again from the store."""

import json

import pytest

from core import compatibility, problems
from manifests import artifact_file, yaml_builder

GOOD = """\
schema_version: "1"
project: esb-dev
env: dev
mode: docker
runtime_stack:
  api_version: "1.0"
  mode: docker
  esb_version: latest
artifacts:
  - id: template-a-96304b0f
    artifact_root: ../svc-a/.esb/template-a/dev
    runtime_config_dir: runtime-config
    bundle_manifest: bundle/manifest.json
    required_secret_env: [AUTH_PASS, DB_PASS]
    source_template:
      path: /path/to/template-a.yaml
"""


def _read(text: str, *, require_ids: bool = True) -> artifact_file.Reading:
    return artifact_file.read(text.encode(), file="env/artifact.yml", require_ids=require_ids)


def _places(reading: artifact_file.Reading) -> list[tuple[int, int, str]]:
    return [(problem.line, problem.column, problem.key) for problem in reading.problems]


def test_a_good_manifest_gives_what_a_pass_needs() -> None:
    manifest, found = _read(GOOD)
    assert found == ()
    assert manifest == artifact_file.ArtifactFile(
        project="esb-dev",
        env="dev",
        mode="docker",
        runtime_stack=compatibility.Requirement("1.0", "docker", "latest"),
        entries=(
            artifact_file.ArtifactEntry(
                id="template-a-96304b0f",
                artifact_root="../svc-a/.esb/template-a/dev",
                runtime_config_dir="runtime-config",
                bundle_manifest="bundle/manifest.json",
                required_secret_env=("AUTH_PASS", "DB_PASS"),
                places={"artifact_root": (11, 5), "runtime_config_dir": (12, 5), "bundle_manifest": (13, 5)},
            ),
        ),
    )


def test_every_problem_is_reported_in_the_order_of_the_lines() -> None:
    text = GOOD.replace("mode: docker\nruntime", "mode: podman\nruntime").replace("96304b0f", "00000000")
    text = text.replace("runtime-config", "../../etc").replace("project: esb-dev\n", "")
    manifest, found = _read(text)
    assert manifest is None
    assert [problem.key for problem in found] == [
        "",  # 'project' is missing
        "mode",
        "artifacts[0].id",
        "artifacts[0].runtime_config_dir",
    ]
    assert [problem.line for problem in found] == [1, 3, 9, 11]
    assert {problem.file for problem in found} == {"env/artifact.yml"}


def test_a_problem_deep_inside_has_its_place() -> None:
    text = GOOD + "      parameters:\n        Stage: dev\n        Count: 3\n"
    manifest, found = _read(text)
    assert manifest is None
    assert (19, 9, "artifacts[0].source_template.parameters.Count") in _places(artifact_file.Reading(manifest, found))


def test_f4_unknown_fields_are_warnings_with_a_place() -> None:
    manifest, found = _read(GOOD + "deployed_by: someone\n")
    assert manifest is not None
    assert [(each.line, each.key, each.severity) for each in found] == [(17, "deployed_by", problems.Severity.WARNING)]


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"[]", b"text", b"\xff\xfe", b"a: [", b"a: 1\na: 2\n", b"\0"])
def test_f2_what_is_no_manifest_is_a_problem(content: bytes) -> None:
    manifest, found = artifact_file.read(content, file="artifact.yml")
    assert manifest is None
    assert found
    assert all(problem.line >= 1 for problem in found)


def test_no_problem_shows_a_value() -> None:
    """G1: a hard link to a stranger's file is read like a manifest; nothing of it may be shown."""
    shadow = b"root:$6$topsecrethash:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nkey: topsecretvalue\n"
    manifest, found = artifact_file.read(shadow, file="artifact.yml")
    assert manifest is None
    assert "topsecret" not in repr(found)


def test_limits_are_obeyed() -> None:
    _, found = artifact_file.read(GOOD.encode(), file="a", limits=yaml_builder.Limits(max_bytes=50))
    assert "50 bytes" in found[0].message


def test_second_generation_without_ids() -> None:
    text = GOOD.replace("id: template-a-96304b0f\n    artifact_root", "artifact_root")
    assert _read(text).manifest is None
    manifest, found = _read(text, require_ids=False)
    assert found == ()
    assert manifest is not None
    assert manifest.entries[0].id == "template-a-96304b0f"


@pytest.mark.parametrize("text", [GOOD, GOOD + "unknown: 1\n", GOOD.replace("esb-dev", "-"), "a: [", ""])
def test_the_store_gives_back_the_same(text: str) -> None:
    reading = _read(text)
    stored = json.loads(json.dumps(artifact_file.pack(reading)))
    assert artifact_file.unpack(stored, file="env/artifact.yml") == reading
    elsewhere = artifact_file.unpack(stored, file="other.yml")
    assert {problem.file for problem in elsewhere.problems} <= {"other.yml"}
    assert elsewhere.manifest == reading.manifest
