"""`source` in controller.yml: one mapping, or a list that is tried in order (design.md section 9)."""

import json
from pathlib import Path
from typing import Any

import pytest

from controller import errors, schema, settings, settings_sources

LIST = """\
source:
  - git: {url: "https://git.example/shop.git", ca_file: certificates.pem}
  - directory: {path: copy}
    takes_over: true
"""


def _load(folder: Path, text: str, flags: dict[tuple[str, ...], Any] | None = None) -> settings_sources.Sources:
    file = folder / "controller.yml"
    file.write_text(text)
    return settings.load(file, flags or {}).source


def _refused(folder: Path, text: str) -> list[str]:
    with pytest.raises(errors.ControllerError) as failed:
        _load(folder, text)
    assert failed.value.reason == "SettingsInvalid"
    return [str(one).removeprefix(f"{folder}/") for one in failed.value.problems]


def test_a_list_is_in_its_order_and_its_paths_begin_at_its_file(tmp_path: Path) -> None:
    found = _load(tmp_path, LIST)
    assert [one.kind for one in found.each] == ["git", "directory"]
    assert found.gits[0].ca_file == tmp_path / "certificates.pem"
    assert found.directories[0].path == tmp_path / "copy"
    assert [one.takes_over for one in found.each] == [False, True]


def test_one_mapping_is_a_list_of_one(tmp_path: Path) -> None:
    one = _load(tmp_path, "source: {directory: {path: here}}\n")
    assert one == _load(tmp_path, "source: [{directory: {path: here}}]\n")
    assert one.directory is not None
    assert one.git is None
    assert _load(tmp_path, "name: shop\n").each == ()


@pytest.mark.parametrize(
    "given", [{("source", "directory", "path"): "z"}, {("source", "git", "url"): "https://git.example/other.git"}]
)
def test_a_flag_is_one_source_in_the_place_of_the_list(tmp_path: Path, given: dict[tuple[str, ...], Any]) -> None:
    found = _load(tmp_path, LIST, given)
    assert len(found.each) == 1
    assert found.each[0].takes_over is False


def test_a_variable_is_one_source_in_the_place_of_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROLLER_SOURCE__GIT__URL", "https://git.example/other.git")
    monkeypatch.setenv("CONTROLLER_SOURCE__GIT__VERIFY__POLICY", "head")
    found = _load(tmp_path, LIST)
    assert [one.url for one in found.gits] == ["https://git.example/other.git"]
    assert found.gits[0].verify.policy is settings_sources.Verification.HEAD
    assert found.directories == ()


@pytest.mark.parametrize("name", ["USERNAME", "PASSWORD", "PASSWORD_FILE"])
def test_credentials_alone_are_for_the_only_repository_of_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As compose.controller.yml gives them, whatever controller.yml says of sources."""
    monkeypatch.setenv(f"CONTROLLER_SOURCE__GIT__{name}", "/given")
    found = _load(tmp_path, LIST)
    assert [one.kind for one in found.each] == ["git", "directory"]
    assert str(found.gits[0].model_dump()[name.lower()]) in ("/given", "**********")
    assert found.gits[0].url == "https://git.example/shop.git"
    flag = _load(tmp_path, LIST, {("source", "git", "url"): "https://git.example/other.git"})
    assert str(flag.gits[0].model_dump()[name.lower()]) in ("/given", "**********"), "as before there were lists"


@pytest.mark.parametrize(
    "text",
    [
        "source: [{git: {url: 'https://a.example/x'}}, {git: {url: 'https://b.example/x'}}]\n",
        "source: [{directory: {path: x}}, {directory: {path: y}}]\n",
        "source: {directory: {path: x}}\n",
        "name: shop\n",
    ],
)
def test_credentials_that_are_for_nobody_are_told_as_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Which of two hosts a password is for is never guessed."""
    monkeypatch.setenv("CONTROLLER_SOURCE__GIT__PASSWORD_FILE", "/given")
    expected = "environment: CONTROLLER_SOURCE__GIT__PASSWORD_FILE: source.git.url is missing"
    assert _refused(tmp_path, text) == [expected]


def test_flags_and_variables_still_complete_a_single_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROLLER_SOURCE__GIT__PATH", "deploy")
    text = "source: {git: {url: 'https://git.example/shop.git', ref: old}}\n"
    found = _load(tmp_path, text, {("source", "git", "ref"): "new"}).git
    assert found is not None
    assert (found.ref, found.path, found.url) == ("new", "deploy", "https://git.example/shop.git")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "source:\n  - git: {url: x}\n  - git: {ref: main}\n",
            ["controller.yml:3:5: source[1].git.url: is missing"],
        ),
        (
            "source:\n  - directory: {path: x}\n  - directory:\n      pth: y\n",
            [
                "controller.yml:3:5: source[1].directory.path: is missing",
                "controller.yml:4:7: source[1].directory.pth: no such setting; did you mean path?",
            ],
        ),
        (
            "source:\n  git:\n    urll: y\n",
            [
                "controller.yml:2:3: source.git.url: is missing",
                "controller.yml:3:5: source.git.urll: no such setting; did you mean url?",
            ],
        ),
        (
            "source:\n  - directory: {path: x}\n    take_over: true\n",
            ["controller.yml:3:5: source[0].take_over: no such setting; did you mean takes_over?"],
        ),
        ("source: []\n", ["controller.yml:1:1: source: an empty list names no source"]),
        ("source: 5\n", ["controller.yml:1:1: source: write one source as a mapping, or a list of sources"]),
        ("source: [5]\n", ["controller.yml:1:10: source[0]: must be a mapping"]),
        (
            "source:\n  - directory: {path: x}\n  - takes_over: true\n",
            ["controller.yml:1:1: source: source 2 of the list names neither a directory nor a git repository"],
        ),
        (
            "source:\n  - directory: {path: x}\n  - directry: {path: y}\n",
            ["controller.yml:3:5: source[1].directry: no such setting; did you mean directory?"],
        ),
        (
            "source: {directory: {path: x}, takes_over: true}\n",
            ["controller.yml:1:1: source: takes_over is for a source after the first of a list"],
        ),
        (
            "source:\n  - directory: {path: x}\n    git: {url: y}\n",
            ["controller.yml:2:5: source[0]: name a directory or a git repository, not both"],
        ),
    ],
)
def test_what_is_wrong_is_told_at_its_place(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert _refused(tmp_path, text) == expected


def test_no_variable_sets_what_only_a_list_has() -> None:
    assert "CONTROLLER_SOURCE__GIT__URL" in settings.variables()
    assert not [name for name in settings.variables() if "TAKES_OVER" in name or "ROOT" in name]


def test_the_schema_takes_one_source_and_a_list() -> None:
    document = schema.documents()["controller.schema.json"]
    text = json.dumps(document["$defs"]["Sources"])
    assert '"type": "array"' in text
    assert text.count("#/$defs/Source") == 2
    assert "takes_over" in document["$defs"]["Source"]["properties"]
