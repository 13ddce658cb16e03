"""The compose stack of a target, without an engine: what is refused before compose is asked (GW3, faults.md H5)."""

from pathlib import Path

import pytest

from controller import compose_stack, docker, errors, settings
from core import actions, provisioning
from core import stack as looks
from tests.fakes import engine as engines

NOTHING = looks.Stack("demo", unknown="no container")
RUNNING = looks.Stack("demo", (looks.Service("gateway", "gw:1"),))
RUN = actions.Provision("sha256:resources", provisioning.Reason.ALWAYS_ASKED)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> engines.Engine:
    """The engine that the stack finds."""
    played = engines.Engine()
    monkeypatch.setattr(docker, "Engine", lambda **_: played)
    return played


def stack_of(tmp_path: Path, **more: object) -> compose_stack.ComposeStack:
    """A stack with a compose file, whose project only a manifest names; `more` are settings of `stack`."""
    file = tmp_path / "compose.yml"
    file.touch()
    given = {"compose_files": [str(file)], "config_dir_on_host": "config", **more}
    return compose_stack.ComposeStack(
        settings.load(None, {("stack", key): value for key, value in given.items()}), tmp_path
    )


def test_gw3_a_provisioner_of_no_project_is_refused_and_compose_is_not_run(
    engine: engines.Engine, tmp_path: Path
) -> None:
    project = stack_of(tmp_path)
    for ask in (lambda: project.require_provisioner("", NOTHING), lambda: project.provision(RUN, "")):
        with pytest.raises(errors.ControllerError, match=r"stack\.project is not set") as caught:
            ask()
        assert caught.value.reason == "SettingsInvalid"
    assert engine.calls == []


def test_gw3_the_project_of_the_manifest_is_the_one_that_is_run(engine: engines.Engine, tmp_path: Path) -> None:
    stack_of(tmp_path).provision(RUN, "shop")
    assert [one.project for one in engine.runs] == ["shop"]


def test_h8_no_project_is_nothing_observable_and_asks_nobody(engine: engines.Engine, tmp_path: Path) -> None:
    seen = stack_of(tmp_path).probe("", needed=False)
    assert (seen.services, "set stack.project" in seen.unknown, engine.calls) == ((), True, [])


def refused(stack: compose_stack.ComposeStack, seen: looks.Stack) -> errors.ControllerError:
    """What the stack says about a provisioner that is due."""
    with pytest.raises(errors.ControllerError) as caught:
        stack.require_provisioner("demo", seen)
    return caught.value


def test_h5_a_service_that_there_is_not_is_a_wrong_setting(engine: engines.Engine, tmp_path: Path) -> None:
    """It names the setting, the project and the services there are; nothing was started."""
    engine.defined = ("gateway", "tables")
    error = refused(stack_of(tmp_path), RUNNING)
    assert (error.reason, error.meaning.exit_code) == ("SettingsInvalid", 78)
    for word in ("stack.provisioner", "project demo", "provisioner;", "gateway, tables"):
        assert word in error.message
    assert engine.runs == []


def test_h5_compose_files_that_cannot_be_read_are_a_wrong_setting(engine: engines.Engine, tmp_path: Path) -> None:
    engine.fail("services", "", engines.failed("yaml: line 1: no", exit_code=15))
    error = refused(stack_of(tmp_path), RUNNING)
    assert (error.reason, "yaml: line 1: no" in error.message, "demo" in error.message) == (
        "SettingsInvalid",
        True,
        True,
    )


def test_a_service_of_another_profile_can_be_run(engine: engines.Engine, tmp_path: Path) -> None:
    """Compose runs a service that is named, whatever its profile."""
    engine.defined, engine.elsewhere = ("gateway", "provisioner"), frozenset({"provisioner"})
    stack_of(tmp_path).require_provisioner("demo", RUNNING)
    assert [call for call in engine.calls if call[0] == "services"] == [("services", "deploy"), ("services", "*")]


@pytest.mark.parametrize("profile", ["deploy", "once"])
def test_one_question_is_enough_for_a_service_of_the_profile(
    engine: engines.Engine, tmp_path: Path, profile: str
) -> None:
    engine.defined = ("gateway", "provisioner")
    stack_of(tmp_path, profile=profile).require_provisioner("demo", RUNNING)
    assert [call for call in engine.calls if call[0] == "services"] == [("services", profile)]


def test_dk2_a_stack_that_does_not_run_is_refused_before_anything_is_begun(
    engine: engines.Engine, tmp_path: Path
) -> None:
    """DK2: run without its dependencies, it would find nothing. With them, compose starts what is needed; a project of
    nothing else needs nothing."""
    engine.defined = ("database", "provisioner")
    error = refused(stack_of(tmp_path), NOTHING)
    assert (error.reason, error.meaning.exit_code) == ("StackNotRunning", 69)
    assert ("project demo" in error.message, "start the stack" in error.meaning.hint) == (True, True)
    stack_of(tmp_path).require_provisioner("demo", RUNNING)
    stack_of(tmp_path, with_deps=True).require_provisioner("demo", NOTHING)
    engine.defined = ("provisioner",)
    stack_of(tmp_path).require_provisioner("demo", NOTHING)
    assert engine.runs == []
