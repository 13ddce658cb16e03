"""The compose stack of a target, without an engine: what is refused before compose is asked (GW3, faults.md H5)."""

from pathlib import Path

import pytest

from controller import compose_stack, docker, errors, settings
from core import actions, provisioning
from tests.fakes import engine as engines

RUN = actions.Provision("sha256:resources", provisioning.Reason.ALWAYS_ASKED)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> engines.Engine:
    """The engine that the stack finds."""
    played = engines.Engine()
    monkeypatch.setattr(docker, "Engine", lambda **_: played)
    return played


def stack_of(tmp_path: Path) -> compose_stack.ComposeStack:
    """A stack with a compose file, whose project only a manifest names."""
    file = tmp_path / "compose.yml"
    file.touch()
    return compose_stack.ComposeStack(
        settings.load(None, {("stack", "compose_files"): [str(file)], ("stack", "config_dir_on_host"): "config"}),
        tmp_path,
    )


def test_gw3_a_provisioner_of_no_project_is_refused_and_compose_is_not_run(
    engine: engines.Engine, tmp_path: Path
) -> None:
    stack = stack_of(tmp_path)
    for ask in (lambda: stack.require_provisioner(""), lambda: stack.provision(RUN, "")):
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
