"""Several targets in one controller.yml: what each of them gets, in which order, and every wrong place (B8)."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from controller import errors, settings, targets
from tests.controller import test_settings
from tests.crash import volumes

Flags = dict[tuple[str, ...], Any]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of ours is set but by the test."""
    import os

    for name in list(os.environ):
        if name.startswith("CONTROLLER_") or name in ("CONFIG_DIR", "CONTAINER_REGISTRY"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "controller.yml"


def load(file: Path, text: str, flags: Flags | None = None, *chosen: str) -> tuple[settings.Settings, ...]:
    """The targets of a file with this text."""
    file.write_text(text)
    return targets.load(file, flags or {}, chosen)


def refused(
    file: Path, text: str, flags: Flags | None = None, *chosen: str, reason: str = "SettingsInvalid"
) -> list[str]:
    """What is wrong with it, each as `LINE:COLUMN KEY: sentence` where it has a place in the file."""
    with pytest.raises(errors.ControllerError) as caught:
        load(file, text, flags, *chosen)
    assert caught.value.reason == reason
    told = [str(problem).replace(f"{file}:", "").replace(": ", " ", 1) for problem in caught.value.problems]
    return told or [caught.value.message]


SHARED = """\
source: {git: {url: "https://git.example/shop.git", ref: main}}
policy: {strict: true, prune: all, max_removed: 25%}
stack: {compose_files: [one.yml, two.yml], profile: deploy}
images: {arguments: {A: "1", B: "2"}}
interval: 1m
targets:
  edge:
    after: [core]
    config_dir: edge/config
    source: {directory: {path: edge/artifacts}}
    policy: {prune: owned}
    images: {arguments: {B: "3"}}
  core:
    config_dir: /core/config
    state_dir: /core/state
    stack: {compose_files: [three.yml]}
    interval: 5s
"""


def test_a_file_without_targets_is_one_as_before(file: Path) -> None:
    file.write_text(test_settings.FULL)
    assert targets.load(file, {}) == (settings.load(file, {}),)
    assert targets.load(None, {}) == (settings.load(None, {}),)
    assert targets.shared(file) == settings.load(file, {})
    assert targets.load(file, {}, ("edge",)) == targets.load(file, {})
    assert refused(file, test_settings.FULL, {}, "egde", reason="Usage") == ["no target 'egde'; did you mean edge?"]


def test_a_target_lies_over_what_all_share(file: Path) -> None:
    core, edge = load(file, SHARED)
    assert (core.name, edge.name) == ("core", "edge")
    assert edge.config_dir == file.parent / "edge" / "config"
    assert edge.source.directory is not None
    assert edge.source.directory.path == file.parent / "edge" / "artifacts"
    assert edge.source.git is None, "a source is replaced as a whole"
    assert (edge.policy.prune, edge.policy.strict, edge.policy.max_removed) == ("owned", True, 0.25)
    assert (edge.interval, core.interval) == (60, 5)
    assert core.source.git is not None
    assert core.source.git.ref == "main"
    assert core.policy.prune == "all"
    assert edge.stack.compose_files == (file.parent / "one.yml", file.parent / "two.yml")
    assert core.stack.compose_files == (file.parent / "three.yml",), "a list is replaced"
    assert core.stack.profile == "deploy"
    assert (edge.images.arguments, core.images.arguments) == ({"A": "1", "B": "3"}, {"A": "1", "B": "2"})
    assert (edge.after, core.after) == (("core",), ())


OF_TARGET = {key: value for key, value in yaml.safe_load(test_settings.FULL).items() if key != "name"}


@given(st.sets(st.sampled_from(sorted(OF_TARGET))))
def test_it_is_the_same_whether_a_key_is_common_or_the_target_s_own(common: set[str]) -> None:
    """And the same as in a file for that target alone, but for the place of a common state directory."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "controller.yml"
        file.write_text(yaml.safe_dump({"name": "edge", **OF_TARGET}))
        alone = settings.load(file, {})
        shared = {key: value for key, value in OF_TARGET.items() if key in common}
        own = {key: value for key, value in OF_TARGET.items() if key not in common}
        (found,) = load(file, yaml.safe_dump({**shared, "targets": {"edge": own}}))
    if "state_dir" in common:
        alone = alone.model_copy(update={"state_dir": Path("/state/edge"), "clones_dir": Path("/state/source")})
    assert found == alone


def test_what_all_share_can_be_had_alone(file: Path) -> None:
    file.write_text(SHARED)
    found = targets.shared(file)
    assert (found.name, found.config_dir, found.interval, found.policy.strict) == ("default", None, 60, True)


def test_an_alias_of_yaml_may_be_used_by_several(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the file is named by a relative path: nothing is put below its folder twice."""
    monkeypatch.chdir(file.parent.parent)
    text = """\
stack: &stack {compose_files: [a.yml]}
targets:
  one: {config_dir: one, stack: *stack}
  two: {config_dir: two, stack: *stack}
"""
    nearby = file.relative_to(file.parent.parent)
    wanted = (nearby.parent / "a.yml",)
    assert [one.stack.compose_files for one in load(nearby, text)] == [wanted, wanted]


def test_flags_and_variables_are_over_every_target(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROLLER_INTERVAL", "7s")
    monkeypatch.setenv("CONTAINER_REGISTRY", "registry:5010")
    found = load(file, SHARED, {("policy", "prune"): "all"})
    assert {(one.interval, one.policy.prune, one.registry.runtime) for one in found} == {(7, "all", "registry:5010")}


class TestChosen:
    """Targets by name."""

    def test_one_does_not_wait_for_others(self, file: Path) -> None:
        (edge,) = load(file, SHARED, {}, "edge")
        assert (edge.name, edge.after) == ("edge", ())

    def test_in_the_order_of_all_and_each_once(self, file: Path) -> None:
        assert [one.name for one in load(file, SHARED, {}, "edge", "core", "edge")] == ["core", "edge"]

    def test_an_unknown_one_names_the_nearest(self, file: Path) -> None:
        assert refused(file, SHARED, {}, "egde", reason="Usage") == ["no target 'egde'; did you mean edge?"]
        assert refused(file, SHARED, {}, "x", reason="Usage") == ["no target 'x'; there is edge, core"]

    def test_what_is_wrong_in_the_others_is_told_all_the_same(self, file: Path) -> None:
        text = "targets:\n  edge: {config_dir: a}\n  core: {config_dir: b, interval: soon}\n"
        assert refused(file, text, {}, "edge") == ["3:25 targets.core.interval: write a duration like 30s, 5m or 2h"]


class TestPlaces:
    """What each target has for itself alone."""

    def test_a_common_state_dir_has_a_folder_for_each(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        text = "state_dir: /state\ntargets:\n  a: {config_dir: a}\n  b: {config_dir: b, state_dir: /own}\n"
        found = {one.name: one.state_dir for one in load(file, text)}
        assert found == {"a": Path("/state/a"), "b": Path("/own")}
        assert load(file, text, {}, "a")[0].state_dir == Path("/state/a"), "alone it is the same place"
        merged = text.replace("state_dir: /own", "<<: {state_dir: /own}")
        assert load(file, merged, {}, "b")[0].state_dir == Path("/own")
        monkeypatch.setenv("CONTROLLER_STATE_DIR", "/mounted")
        found = {one.name: one.state_dir for one in load(file, text)}
        assert found == {"a": Path("/mounted/a"), "b": Path("/mounted/b")}

    def test_with_a_common_state_dir_the_clones_are_common_too(self, file: Path) -> None:
        text = "state_dir: /state\ntargets:\n  a: {config_dir: a}\n  b: {config_dir: b, state_dir: /own}\n"
        assert [one.clones_dir for one in load(file, text)] == [Path("/state/source"), None]
        text = f"clones_dir: /clones\n{text}"
        assert {one.clones_dir for one in load(file, text)} == {Path("/clones")}

    def test_no_target_takes_the_place_of_the_clones(self, file: Path) -> None:
        text = "state_dir: /state\ntargets:\n  source: {config_dir: a}\n"
        assert refused(file, text) == ["3:3 targets.source: is where the clones are: choose another name"]
        assert load(file, f"clones_dir: /clones\n{text}")[0].state_dir == Path("/state/source")

    def test_a_null_takes_the_common_one_away(self, file: Path) -> None:
        text = "state_dir: /state\ntargets:\n  a: {config_dir: a, state_dir: null}\n"
        assert load(file, text)[0].state_dir is None

    @pytest.mark.parametrize("setting", ["config_dir", "state_dir"])
    def test_a_flag_for_one_place_needs_one_target(self, file: Path, setting: str) -> None:
        flags: Flags = {(setting,): Path("/given")}
        option = f"--{setting.replace('_', '-')}"
        told = f"{option} names one place for 2 targets (edge, core): choose one of them with --target"
        assert refused(file, SHARED, flags, reason="Usage") == [told]
        (edge,) = load(file, SHARED, flags, "edge")
        assert getattr(edge, setting) == Path("/given"), "as it was given"

    @pytest.mark.parametrize("variable", ["CONFIG_DIR", "CONTROLLER_CONFIG_DIR"])
    def test_a_variable_for_one_place_needs_one_target(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv(variable, "/given")
        (told,) = refused(file, SHARED)
        assert told.startswith(f"environment {variable}: names one place for 2 targets (edge, core)")
        assert load(file, SHARED, {}, "edge")[0].config_dir == Path("/given")

    def test_b8_the_same_config_dir_twice_is_refused(self, file: Path) -> None:
        """B8: by the real path, so that a link to it, or another way of writing it, is no way around."""
        (file.parent / "a").mkdir()
        (file.parent / "link").symlink_to("a")
        for other in ("a", "./x/../a", "link", str(file.parent / "a")):
            text = f"targets:\n  one: {{config_dir: a}}\n  two: {{config_dir: {other}}}\n"
            assert refused(file, text) == ["3:9 targets.two.config_dir: is also config_dir of target one"]
            assert refused(file, text, {}, "one"), "choosing one of them does not make it right"

    def test_b8_one_folder_at_two_mounts_is_refused(self, file: Path) -> None:
        """B8: as containers see it, where a volume may be mounted twice."""
        folder = file.parent
        volumes.require_mounts(folder, loop=False)
        for name in ("a", "b"):
            (folder / name).mkdir()
        text = "targets:\n  one: {config_dir: a}\n  two: {config_dir: b}\n"
        assert len(load(file, text)) == 2
        volumes.call("mount", "--bind", str(folder / "a"), str(folder / "b"))
        try:
            assert refused(file, text) == ["3:9 targets.two.config_dir: is also config_dir of target one"]
        finally:
            volumes.call("umount", str(folder / "b"))

    def test_b8_one_inside_the_other_is_refused(self, file: Path) -> None:
        text = "targets:\n  one: {config_dir: a/b}\n  two: {config_dir: a}\n  three: {config_dir: a/b/c/d}\n"
        assert refused(file, text) == [
            "3:9 targets.two.config_dir: holds config_dir of target one",
            "4:11 targets.three.config_dir: is inside config_dir of target one",
            "4:11 targets.three.config_dir: is inside config_dir of target two",
        ]

    def test_b8_the_same_state_dir_twice_is_refused(self, file: Path) -> None:
        text = "targets:\n  one: {config_dir: a, state_dir: s}\n  two: {config_dir: b, state_dir: s}\n"
        assert refused(file, text) == ["3:24 targets.two.state_dir: is also state_dir of target one"]
        text = "targets:\n  one: {config_dir: a}\n  two: {config_dir: b, state_dir: a/.controller/x}\n"
        assert refused(file, text) == ["3:24 targets.two.state_dir: is inside config_dir of target one"]

    def test_p13_a_clone_in_the_config_dir_of_another_is_refused(self, file: Path) -> None:
        """Whoever reads that CONFIG_DIR would read the repository too. A target of a folder has no clone."""
        git = "source: {git: {url: 'https://git.example/x.git'}}"
        for place in ("b", "b/clones"):
            own = f"one: {{config_dir: a, state_dir: s, {git}, clones_dir: {place}}}"
            text = f"targets:\n  {own}\n  two: {{config_dir: b, source: {{directory: {{path: d}}}}}}\n"
            (told,) = refused(file, text)
            relation = "is also" if place == "b" else "is inside"
            assert told.endswith(f"targets.one.clones_dir: {relation} config_dir of target two")
            assert len(load(file, text.replace(git, "source: {directory: {path: e}}"))) == 2
        common = (
            f"clones_dir: b/clones\ntargets:\n  one: {{config_dir: a, state_dir: s, {git}}}\n  two: {{config_dir: b}}\n"
        )
        assert [told.partition(" ")[2] for told in refused(file, common)] == [
            "targets.one.clones_dir: is inside config_dir of target two"
        ]

    def test_b8_a_config_dir_that_all_share_is_refused(self, file: Path) -> None:
        text = "config_dir: a\ntargets:\n  one: {}\n  two: {}\n"
        assert refused(file, text) == ["4:3 targets.two.config_dir: is also config_dir of target one"]


class TestAfter:
    """The order between targets."""

    def test_an_unknown_name(self, file: Path) -> None:
        text = "targets:\n  edge: {config_dir: a, after: [cor]}\n  core: {config_dir: b}\n"
        assert refused(file, text) == ["2:33 targets.edge.after[0]: no target 'cor'; did you mean core?"]

    def test_a_circle_is_spelled_out(self, file: Path) -> None:
        text = """\
targets:
  web: {config_dir: a, after: edge}
  edge: {config_dir: b, after: [core]}
  core: {config_dir: c, after: [edge]}
"""
        assert refused(file, text) == ["3:25 targets.edge.after: goes round in a circle: edge after core after edge"]

    @pytest.mark.parametrize("text", ["after: [core]\n", "after: [core]\ntargets: {core: {config_dir: a}}\n"])
    def test_it_stands_in_a_target_only(self, file: Path, text: str) -> None:
        assert refused(file, text) == ["1:1 after: is only in one of `targets`"]

    def test_there_is_no_variable_for_it(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONTROLLER_AFTER", "core")
        (told,) = refused(file, SHARED)
        assert told.startswith("environment CONTROLLER_AFTER: no such setting")


WRONG = {
    "no mapping": ("targets: [a]\n", "1:1 targets: must be a mapping of names to settings"),
    "empty": ("targets: {}\n", "1:1 targets: must be a mapping of names to settings"),
    "nothing": ("targets:\n", "1:1 targets: must be a mapping of names to settings"),
    "no settings": ("targets:\n  edge:\n", "2:3 targets.edge: must be a mapping of settings"),
    "a name beside": (
        "name: x\ntargets: {edge: {config_dir: a}}\n",
        "1:1 name: give each target its name as its key in `targets`",
    ),
    "a name within": (
        "targets: {edge: {config_dir: a, name: x}}\n",
        "1:33 targets.edge.name: the name of a target is its key in `targets`",
    ),
    "a bad name": (
        "targets: {.edge: {config_dir: a}}\n",
        "1:11 targets..edge: write 1 to 64 of the characters A-Z a-z 0-9 _ . - and begin with none of . -",
    ),
    "no config_dir": ("targets:\n  edge: {interval: 1s}\n", "2:3 targets.edge.config_dir: is missing"),
    "a wrong value": (
        "targets:\n  edge: {config_dir: a, policy: {prune: most}}\n",
        "2:34 targets.edge.policy.prune: must be 'owned', 'all' or 'none'",
    ),
    "a wrong value that all share": (
        "policy: {prune: most}\ntargets:\n  a: {config_dir: a}\n  b: {config_dir: b}\n",
        "1:10 policy.prune: must be 'owned', 'all' or 'none'",
    ),
    "half a source": (
        "source: {git: {url: u}}\ntargets:\n  a: {config_dir: a, source: {git: {ref: r}}}\n",
        "3:31 targets.a.source.git.url: is missing",
    ),
    "an unknown key": (
        "targets:\n  edge: {config_dir: a, confg_dir: b}\n",
        "2:25 targets.edge.confg_dir: no such setting; did you mean config_dir?",
    ),
    "an unknown key near one of the whole": (
        "targets:\n  edge: {config_dir: a, htp: b}\n",
        "2:25 targets.edge.htp: no such setting",
    ),
    "an unknown key that a merge brings": (
        "targets:\n  edge: {<<: {confg_dir: b}, config_dir: a}\n",
        "2:3 targets.edge.confg_dir: no such setting; did you mean config_dir?",
    ),
    "an unknown key within": (
        "targets:\n  edge: {config_dir: a, policy: {prun: all}}\n",
        "2:34 targets.edge.policy.prun: no such setting; did you mean prune?",
    ),
    "an unknown key beside": (
        "target: {}\n",
        "1:1 target: no such setting; did you mean targets?",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_at_its_place(file: Path, name: str) -> None:
    text, wanted = WRONG[name]
    assert refused(file, text) == [wanted]


@pytest.mark.parametrize("key", ["http", "log", "notify", "drain", "targets"])
def test_what_belongs_to_the_whole_controller_is_refused_in_a_target(file: Path, key: str) -> None:
    (told,) = refused(file, f"targets:\n  edge:\n    {key}: {{}}\n    config_dir: a\n")
    assert told.startswith(f"3:5 targets.edge.{key}: is a setting of the whole controller: write it beside `targets`")


def test_what_belongs_to_the_whole_controller_is_the_same_in_every_target(file: Path) -> None:
    one, two = load(file, "drain: 3s\nlog: {level: debug}\ntargets: {a: {config_dir: a}, b: {config_dir: b}}\n")
    assert (one.drain, one.log) == (two.drain, two.log)
    assert (one.drain, one.log.level) == (3, "debug")


def test_everything_wrong_is_told_at_once_and_in_the_order_of_the_file(file: Path) -> None:
    text = """\
interval: soon
targets:
  a: {config_dir: a, policy: {prun: all}}
  b: {config_dir: b, lock_wait: later, drain: 1s}
  c: 5
"""
    told = refused(file, text)
    assert [line.split(":")[0] + line.split(" ")[1] for line in told] == ["4targets.b.drain:", "5targets.c:"]
    told = refused(file, text.replace(", drain: 1s", "").replace("  c: 5\n", ""))
    assert [line.split(" ")[1] for line in told] == ["interval:", "targets.a.policy.prun:", "targets.b.lock_wait:"]


def test_a_name_of_the_environment_names_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROLLER_NAME", "x")
    assert refused(file, SHARED) == ["environment CONTROLLER_NAME: the names are the keys of `targets`"]


def test_a_variable_that_names_no_file_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROLLER_INTERVAL_FILE", "/nowhere/interval")
    assert refused(file, SHARED) == ["CONTROLLER_INTERVAL_FILE: cannot read /nowhere/interval"]


def test_a_wrong_flag_is_no_fault_of_the_file(file: Path) -> None:
    assert refused(file, SHARED, {("interval",): "soon"}) == ["settings interval: write a duration like 30s, 5m or 2h"]


class TestSchema:
    """The published schema of several."""

    def complaints(self, text: str) -> list[str]:
        return list(test_settings.complaints(targets.json_schema(), yaml.safe_load(text)))

    def test_it_takes_what_is_right(self) -> None:
        assert self.complaints(SHARED) == []
        assert self.complaints("targets: {a: {}}") == []

    @pytest.mark.parametrize("key", ["http", "log", "notify", "drain", "targets", "name", "confg_dir"])
    def test_a_target_has_its_own_keys_only(self, key: str) -> None:
        assert self.complaints(f"targets: {{edge: {{{key}: {{}}}}}}") == [f"targets.edge.{key}"]

    def test_it_refuses_what_is_wrong_in_a_target(self) -> None:
        assert self.complaints("targets: {edge: {policy: {prun: all}}}") == ["targets.edge.policy.prun"]
        assert self.complaints("after: [core]") == ["after"]
        assert self.complaints("targets: {edge: 5}") == ["targets.edge"]
