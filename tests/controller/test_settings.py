"""Settings: flags over environment over file over defaults, and every wrong key with its place and the nearest one."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller import errors, settings, settings_document, settings_sections, targets
from tests.fakes import command

FULL = """\
name: edge
source:
  directory: {path: /artifacts, allow_outside: true}
manifest: {path: artifact.yml, project: shop, env: demo, require_ids: false, max_bytes: 1000, gateway_env: [REGION]}
config_dir: /config
state_dir: /state
secrets: {env_file: /run/secrets/stack.env}
policy:
  strict: true
  prune: all
  self_heal: false
  publish: files
  max_removed: 25%
  allow_empty: true
lock_wait: 5m
keep_applied: 3
"""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of ours is set but by the test."""
    import os

    for name in list(os.environ):
        if name.startswith("CONTROLLER_") or name == "CONFIG_DIR":
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "controller.yml"
    path.write_text(FULL)
    return path


def refused(file: Path | None, flags: dict[tuple[str, ...], Any] | None = None) -> errors.ControllerError:
    """The refusal, which is always the same kind."""
    with pytest.raises(errors.ControllerError) as caught:
        settings.load(file, flags or {})
    assert caught.value.reason == "SettingsInvalid"
    assert caught.value.meaning.exit_code == 78
    return caught.value


def test_defaults_are_the_documented_ones() -> None:
    found = settings.load(None, {})
    assert found.config_dir is None
    assert found.lock_wait == 30
    assert found.keep_applied == 10
    assert found.policy == settings_sections.PolicySettings()
    assert (found.policy.max_removed, found.policy.prune, found.policy.self_heal) == (0.5, "owned", True)


def test_every_key_of_the_file_counts(file: Path) -> None:
    found = settings.load(file, {})
    assert found.source.directory is not None
    assert (found.source.directory.path, found.source.directory.allow_outside) == (Path("/artifacts"), True)
    assert found.manifest.gateway_env == ("REGION",)
    assert found.lock_wait == 300
    assert (found.policy.max_removed, found.policy.publish) == (0.25, "files")
    assert found.secrets.env_file == Path("/run/secrets/stack.env")


def test_flags_beat_environment_beats_file_beats_default(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flag: dict[tuple[str, ...], Any] = {("lock_wait",): "4s"}
    assert settings.load(None, {}).lock_wait == 30
    assert settings.load(file, {}).lock_wait == 300
    monkeypatch.setenv("CONTROLLER_LOCK_WAIT", "7s")
    assert settings.load(file, {}).lock_wait == 7
    assert settings.load(file, flag).lock_wait == 4
    assert settings.load(file, {("lock_wait",): None}).lock_wait == 7


def test_one_flag_of_a_section_leaves_the_others(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROLLER_POLICY__PRUNE", "none")
    found = settings.load(file, {("policy", "strict"): False}).policy
    assert (found.strict, found.prune, found.publish) == (False, "none", "files")


def test_the_contract_s_own_name_is_read_with_less_weight(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIG_DIR", "/contract")
    assert settings.load(None, {}).config_dir == Path("/contract")
    monkeypatch.setenv("CONTROLLER_CONFIG_DIR", "/ours")
    assert settings.load(None, {}).config_dir == Path("/ours")
    assert settings.load(None, {("config_dir",): Path("/flag")}).config_dir == Path("/flag")


def test_a_value_may_stand_in_a_file(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wait").write_text("9s\n")
    monkeypatch.setenv("CONTROLLER_LOCK_WAIT_FILE", str(tmp_path / "wait"))
    assert settings.load(file, {}).lock_wait == 9
    monkeypatch.setenv("CONTROLLER_LOCK_WAIT", "8s")
    assert settings.load(file, {}).lock_wait == 8
    monkeypatch.delenv("CONTROLLER_LOCK_WAIT")
    monkeypatch.setenv("CONTROLLER_LOCK_WAIT_FILE", str(tmp_path / "nowhere"))
    assert "CONTROLLER_LOCK_WAIT_FILE" in refused(file).message


def test_an_empty_variable_is_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROLLER_CONFIG_DIR", "")
    monkeypatch.setenv("CONFIG_DIR", "")
    assert settings.load(None, {}).config_dir is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400), ("500ms", 0.5), ("1.5s", 1.5), ("12", 12), (7, 7), (0, 0)],
)
def test_durations(text: object, wanted: float) -> None:
    assert settings.load(None, {("lock_wait",): text}).lock_wait == wanted


@pytest.mark.parametrize("text", ["soon", "", "5 parsecs", "-1s", -1, "1h30m", "inf", "nan", "1e3s", "367d", "٣s"])
def test_bad_durations(text: object) -> None:
    assert refused(None, {("lock_wait",): text}).problems[0].key == "lock_wait"


@pytest.mark.parametrize(("text", "wanted"), [("50%", 0.5), ("12.5 %", 0.125), (0.3, 0.3), ("0.3", 0.3), ("100%", 1)])
def test_percentages(text: object, wanted: float) -> None:
    assert settings.load(None, {("policy", "max_removed"): text}).policy.max_removed == wanted


@pytest.mark.parametrize("text", ["101%", "-1%", 1.1, "half", "%", ""])
def test_bad_percentages(text: object) -> None:
    assert refused(None, {("policy", "max_removed"): text}).problems[0].key == "policy.max_removed"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "says"),
    [
        ("name: edge", "nam: edge", 1, "nam", "did you mean name?"),
        ("  self_heal", "  selfheal", 11, "policy.selfheal", "did you mean self_heal?"),
        ("allow_outside", "allow_outsid", 3, "source.directory.allow_outsid", "did you mean allow_outside?"),
        ("prune: all", "prune: most", 10, "policy.prune", "'owned'"),
        ("strict: true", "strict: maybe", 9, "policy.strict", "must be true or false"),
        ("lock_wait: 5m", "lock_wait: soon", 15, "lock_wait", "write a duration like 30s, 5m or 2h"),
        ("keep_applied: 3", "keep_applied: 0", 16, "keep_applied", "must be at least 1"),
        ("keep_applied: 3", "keep_applied: 1001", 16, "keep_applied", "must be at most 1000"),
        ("keep_applied: 3", "keep_applied: 2.5", 16, "keep_applied", "must be a whole number"),
        ("keep_applied: 3", "keep_applied: [3]", 16, "keep_applied", "must be a whole number"),
        ("keep_applied: 3", "keep_applied: few", 16, "keep_applied", "must be a whole number"),
        ("lock_wait: 5m", "lock_wait: 367d", 15, "lock_wait", "must be at most 366d"),
        ("lock_wait: 5m", "lock_wait: true", 15, "lock_wait", "write a duration like 30s, 5m or 2h"),
        (
            "max_removed: 25%",
            "max_removed: 30",
            13,
            "policy.max_removed",
            "must be between 0 and 1, or a percentage like 30%",
        ),
        ("max_removed: 25%", "max_removed: true", 13, "policy.max_removed", "must be between 0 and 1"),
        ("max_bytes: 1000", "max_bytes: 0", 4, "manifest.max_bytes", "must be greater than 0"),
        ("gateway_env: [REGION]", "gateway_env: 1", 4, "manifest.gateway_env", "must be a list"),
        ("gateway_env: [REGION]", "gateway_env: [1]", 4, "manifest.gateway_env[0]", "must be text"),
        ("project: shop", "project: [1]", 4, "manifest.project", "must be text"),
        ("config_dir: /config", "config_dir: [1]", 5, "config_dir", "must be a path"),
        ("config_dir: /config", "config_dir: ''", 5, "config_dir", "must not be empty"),
        ("{path: /artifacts, allow_outside: true}", "x", 3, "source.directory", "must be a mapping"),
        ("{path: /artifacts, allow_outside: true}", "{}", 3, "source.directory.path", "is missing"),
        ("secrets: {env_file: /run/secrets/stack.env}", "secrets: 3", 7, "secrets", "must be a mapping"),
        ("name: edge", "name: a/b", 1, "name", "write 1 to 64 of the characters A-Z a-z 0-9 _ . -"),
        (
            "source:\n  directory: {path: /artifacts, allow_outside: true}",
            "source: {gti: {url: x}}",
            2,
            "source.gti",
            "git",
        ),
    ],
)
def test_a_wrong_key_is_named_with_its_place(file: Path, old: str, new: str, line: int, key: str, says: str) -> None:
    """78: file, line, key, and the nearest right name; never the value."""
    command.replace_text(file, old, new)
    problem = refused(file).problems[0]
    assert (problem.file, problem.line, problem.key) == (str(file), line, key)
    assert says in problem.message
    assert "Input" not in problem.message, "the words of the library are about its classes"


def test_every_wrong_key_is_told_at_once(file: Path) -> None:
    file.write_text("nam: x\npolicy: {prun: all}\nlock_wait: soon\n")
    assert [problem.key for problem in refused(file).problems] == ["policy.prun", "lock_wait", "nam"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("CONTROLLER_CONFIGDIR", "CONTROLLER_CONFIG_DIR"),
        ("CONTROLLER_POLICY__PRUN", "CONTROLLER_POLICY__PRUNE"),
        ("CONTROLLER_LOCK_WAIT_FIL", "CONTROLLER_LOCK_WAIT"),
    ],
)
def test_an_unknown_variable_is_refused(name: str, nearest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "canary-value")
    error = refused(None)
    assert [problem.key for problem in error.problems] == [name]
    assert f"did you mean {nearest}?" in error.problems[0].message
    assert "canary-value" not in str(error.problems[0])


def test_a_wrong_variable_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROLLER_POLICY__STRICT", "canary-value")
    problem = refused(None).problems[0]
    assert str(problem) == "environment: CONTROLLER_POLICY__STRICT: must be true or false"


def test_what_is_wrong_is_looked_for_where_it_stands(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of the file is right; it is the variable, or the flag over both, that has to be corrected."""
    monkeypatch.setenv("CONTROLLER_LOCK_WAIT", "soon")
    problem = refused(file).problems[0]
    assert (problem.file, problem.line, problem.key) == ("environment", 0, "CONTROLLER_LOCK_WAIT")
    problem = refused(file, {("lock_wait",): "later"}).problems[0]
    assert (problem.file, problem.line, problem.key) == ("settings", 0, "lock_wait")
    monkeypatch.delenv("CONTROLLER_LOCK_WAIT")
    wait = file.with_name("wait")
    wait.write_text("soon")
    monkeypatch.setenv("CONTROLLER_LOCK_WAIT_FILE", str(wait))
    assert refused(file).problems[0].key == "CONTROLLER_LOCK_WAIT_FILE"


ADDRESSES = ("tcp://user:canary-value@h:2376", "ssh://user:canary-value@h", "tcp://:canary/value@h", "ssh://u:c%40@h")


@pytest.mark.parametrize("address", ADDRESSES)
def test_k1_no_password_goes_into_the_address_of_the_engine(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """K1: docker would be given it as an argument, and takes none. The refusal does not show it."""
    monkeypatch.setenv("CONTROLLER_DOCKER__HOST", address)
    error = refused(None)
    assert [problem.key for problem in error.problems] == ["CONTROLLER_DOCKER__HOST"]
    assert "takes no password" in error.problems[0].message
    assert "canary" not in f"{error}{error.problems}"


@pytest.mark.parametrize(
    "address",
    ["unix:///run/docker.sock", "tcp://h:2376", "ssh://user@h:2222", "ssh://user@h/run/a:b", "tcp://[::1]:2376"],
)
def test_other_addresses_of_the_engine_are_taken_as_they_are(address: str) -> None:
    assert settings.load(None, {("docker", "host"): address}).docker.host == address


@pytest.mark.parametrize("text", ["REGION,STAGE", " REGION , STAGE ,", "REGION,,STAGE"])
def test_a_list_in_a_variable_is_separated_by_commas(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROLLER_MANIFEST__GATEWAY_ENV", text)
    assert settings.load(None, {}).manifest.gateway_env == ("REGION", "STAGE")
    monkeypatch.setenv("CONTROLLER_MANIFEST__GATEWAY_ENV", "FOO")
    assert settings.load(None, {}).manifest.gateway_env == ("FOO",)


@pytest.mark.parametrize("value", ["x", "{}", '{"directory": {"path": "/x"}}'])
def test_a_section_is_no_variable(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys that are settings are named instead; in small letters the library would still read it."""
    monkeypatch.setenv("CONTROLLER_SOURCE", value)
    problem = refused(None).problems[0]
    assert problem.key == "CONTROLLER_SOURCE"
    assert "CONTROLLER_SOURCE__DIRECTORY__PATH" in problem.message
    monkeypatch.delenv("CONTROLLER_SOURCE")
    monkeypatch.setenv("controller_source", value)
    assert refused(None).problems[0].key == "source"


def test_only_what_can_be_set_is_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROLLER_SOURC", "x")
    monkeypatch.setenv("CONTROLLER_SECRET", "x")
    for problem in refused(None).problems:
        assert re.search(r"did you mean CONTROLLER_(SOURCE|SECRETS|POLICY|MANIFEST)\?", problem.message) is None


def test_an_unknown_section_names_the_nearest_one(tmp_path: Path) -> None:
    file = tmp_path / "controller.yml"
    file.write_text("polic: {strict: true}\n")
    assert "did you mean policy?" in refused(file).problems[0].message


RELATIVE = (
    "source: {directory: {path: artifacts}}\nconfig_dir: config\nstate_dir: ../state\nsecrets: {env_file: s.env}\n"
)


@pytest.mark.parametrize("folder", ["elsewhere", "."])
def test_a_relative_path_in_the_file_begins_at_its_folder(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the command runs; a flag and a variable begin at the working directory, as everywhere."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    file = Path(folder) / "controller.yml"
    file.write_text(RELATIVE)
    found = settings.load(file, {})
    assert found.source.directory is not None
    assert found.source.directory.path == Path(folder, "artifacts")
    assert (found.config_dir, found.state_dir) == (Path(folder, "config"), Path(folder, "../state"))
    assert found.secrets.env_file == Path(folder, "s.env")
    monkeypatch.setenv("CONTROLLER_STATE_DIR", "mine")
    found = settings.load(file, {("config_dir",): Path("config")})
    assert (found.config_dir, found.state_dir) == (Path("config"), Path("mine"))


@pytest.mark.parametrize(
    "content",
    [
        b"a: [",
        b"- 1\n",
        b"\xff\xfe",
        b"a: 1\na: 2\n",
        b"text",
        b"--- {}\n--- {}\n",
        b"name: !!python/name:os.system x\n",
    ],
)
def test_a_file_that_is_no_settings(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    refused(file)


@pytest.mark.parametrize("content", ["", "{}\n", "# nothing\n"])
def test_an_empty_file_is_the_defaults(file: Path, content: str) -> None:
    file.write_text(content)
    assert settings.load(file, {}) == settings.load(None, {})


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none.yml") in refused(tmp_path / "none.yml").message
    assert str(tmp_path) in refused(tmp_path).message


def test_settings_cannot_be_changed(file: Path) -> None:
    found = settings.load(file, {})
    with pytest.raises(ValueError, match="frozen"):
        setattr(found, "name", "other")  # noqa: B010 - the type checker knows that it is frozen


def examples() -> Iterator[dict[str, Any]]:
    """Every controller.yml that the documents show, and the one above."""
    yield yaml.safe_load(FULL)
    for path in [command.ROOT / "README.md", *sorted((command.ROOT / "docs").rglob("*.md"))]:
        if path.exists():
            for block in re.findall(r"```ya?ml\n# controller\.yml\n(.*?)```", path.read_text(), flags=re.DOTALL):
                yield yaml.safe_load(block)


def test_the_published_schema_accepts_the_shipped_examples() -> None:
    for example in examples():
        assert list(complaints(targets.json_schema(), example)) == []


def test_the_published_schema_refuses_unknown_keys() -> None:
    schema = targets.json_schema()
    assert list(complaints(schema, {"nam": 1})) == ["nam"]
    assert list(complaints(schema, {"policy": {"prun": "all"}})) == ["policy.prun"]
    assert list(complaints(schema, {"policy": {"prune": "most"}})) == ["policy.prune"]


def complaints(schema: dict[str, Any], value: Any, at: str = "", root: dict[str, Any] | None = None) -> Iterator[str]:
    """Where a value does not fit a JSON Schema, as far as ours goes: types, properties, references, choices."""
    root = root or schema
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        if not any(not list(complaints(option, value, at, root)) for option in schema["anyOf"]):
            yield at
        return
    if "enum" in schema and value not in schema["enum"]:
        yield at
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "null": type(None)}
    kinds["number"] = (int, float)  # type: ignore[assignment]  # either will do
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        yield at
    elif isinstance(value, dict):
        for key, inner in value.items():
            place = f"{at}.{key}" if at else key
            if key in schema.get("properties", {}):
                yield from complaints(schema["properties"][key], inner, place, root)
            elif schema.get("additionalProperties") is False:
                yield place
            elif isinstance(schema.get("additionalProperties"), dict):
                yield from complaints(schema["additionalProperties"], inner, place, root)


def paths(schema: dict[str, Any], root: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The keys of every setting that is a path of this machine, or a list of such; a member of a list has no key."""
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if schema.get("format") == "path":
        yield ()
    for option in [*schema.get("anyOf", ()), *filter(None, [schema.get("items")])]:
        yield from paths(option, root)
    for key, inner in schema.get("properties", {}).items():
        yield from ((key, *rest) for rest in paths(inner, root))


def test_every_path_in_a_file_begins_at_its_folder() -> None:
    """Those of the models, so that none is forgotten where files are read."""
    schema = settings.Settings.model_json_schema()
    found = set(paths(schema, schema))
    assert ("source", "directory", "path") in found
    assert ("stack", "compose_files") in found
    for path in found:
        section: Any = "here"
        for key in reversed(path):
            section = {key: section}
        moved: Any = settings_document.from_folder(section, Path("/folder"))
        for key in path:
            moved = moved[key]
        assert moved == "/folder/here", path
