"""The files for CI systems do what they say: their own scripts are run here."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes import command, jobs, pipelines, tools
from tests.fakes.command import Shop

pytestmark = pytest.mark.process


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """The sample artifact, committed."""
    tools.require("git")
    shop = Shop(tmp_path / "checkout")
    names = {f"GIT_{who}_{what}": "nobody@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "first")):
        subprocess.run(["git", *words], cwd=shop.folder, env={**os.environ, **names}, check=True)
    return shop


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    return pipelines.with_command(tmp_path / "tools")


@pytest.fixture
def use(shop: Shop, variables: dict[str, str], tmp_path: Path) -> Callable[..., pipelines.Ended]:
    """The action, on a machine that has the command."""
    folder = tmp_path / "runner"
    folder.mkdir()

    def run(**inputs: str) -> pipelines.Ended:
        return pipelines.Runner(shop.folder, folder, variables).run(python="", **inputs)

    return run


def test_the_action_validates_with_annotations(shop: Shop, use: Callable[..., pipelines.Ended], tmp_path: Path) -> None:
    ended = use(command="validate", source="artifacts")
    assert (ended.code, ended.outputs["reason"], ended.outputs["exit-code"]) == (0, "Valid", "0")
    written = (tmp_path / "runner" / "controller-output").read_text(encoding="utf-8").splitlines()
    assert {line.partition("=")[0] for line in written} == set(ended.outputs), "docs/ci.md names them all"
    shop.edit("catalog", "functions.yml", "timeout: 10", 'timeout: "no"')
    ended = use(command="validate")
    assert (ended.code, ended.outputs["reason"], ended.outputs["changed"]) == (65, "ArtifactInvalid", "false")
    (found,) = jobs.annotations(ended.text)
    assert found.properties["file"] == "artifacts/catalog/config/functions.yml"


def test_the_action_compares_a_pull_request(shop: Shop, use: Callable[..., pipelines.Ended]) -> None:
    """Something that differs fails no step; it is an output."""
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    ended = use(source="artifacts", against_revision="HEAD", detailed_exitcode="true")
    assert (ended.code, ended.outputs["exit-code"], ended.outputs["changed"]) == (0, "2", "true")
    assert ended.outputs["summary"].startswith("Plan: 0 to add, 1 to change, 0 to remove")
    ended = use(source="artifacts", against_revision="absent")
    assert (ended.code, ended.outputs["exit-code"], ended.outputs["reason"]) == (69, "69", "RevisionMissing")


def test_the_action_saves_a_plan_and_applies_it(shop: Shop, use: Callable[..., pipelines.Ended]) -> None:
    """And is refused with 77 once the source has moved."""
    place = {"source": "artifacts", "config_dir": "live", "plan": "plan.json"}
    assert use(**place).code == 0
    ended = use(**place, command="reconcile", args="--wait\n5s\n")
    assert (ended.code, ended.outputs["reason"]) == (0, "FirstPublish")
    assert use(**place).code == 0
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    ended = use(**place, command="reconcile")
    assert (ended.code, ended.outputs["reason"], ended.outputs["exit-code"]) == (77, "PlanMoved", "77")


@pytest.mark.parametrize("hostile", ["$(touch trap)", "`touch trap`", "a; touch trap", "a\ntouch trap", "--help"])
def test_no_input_of_the_action_is_read_as_shell(shop: Shop, use: Callable[..., pipelines.Ended], hostile: str) -> None:
    for name in ("command", "source", "config_dir", "config", "against_revision", "plan", "args"):
        use(**{"source": "artifacts", name: hostile})
    assert not (shop.folder / "trap").exists()


@pytest.mark.slow
def test_the_action_installs_itself_from_its_own_folder(shop: Shop, tmp_path: Path) -> None:
    """Into an environment of its own, with the runner's pip; here without a network, so its libraries are lent. No
    module of the checkout takes part, whatever it is called."""
    tools.require("bash")
    folder = tmp_path / "runner"
    folder.mkdir()
    for name in ("venv", "pip", "ensurepip", "tempfile"):
        (shop.folder / f"{name}.py").write_text("raise SystemExit('a module of the checkout')\n")
    lent = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    variables = {
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this one the other way round
        "PYTHONPATH": str(lent),
        "PATH": os.pathsep.join([str(lent.parent.parent.parent / "bin"), os.environ["PATH"]]),
        "PIP_NO_CACHE_DIR": "1",
    }
    ended = pipelines.Runner(shop.folder, folder, variables).run(command="validate", source="artifacts")
    assert (ended.code, ended.outputs["reason"]) == (0, "Valid"), ended.text
    (added,) = (folder / "path").read_text(encoding="utf-8").splitlines()
    assert os.listdir(added) == ["controller"], "later steps keep their own python"
    again = pipelines.Runner(shop.folder, folder, variables).run(command="validate", source="artifacts")
    assert again.code == 0, again.text


@pytest.mark.parametrize("words", ["exit 1", "exit 127"])
def test_a_python_that_is_too_old_is_told(shop: Shop, tmp_path: Path, words: str) -> None:
    folder = tmp_path / "runner"
    folder.mkdir()
    old = tmp_path / "old"
    old.write_text(f"#!/bin/sh\n{words}\n")
    old.chmod(0o755)
    ended = pipelines.Runner(shop.folder, folder).run(python=str(old), source="artifacts")
    (found,) = jobs.annotations(ended.text)
    assert (ended.code, found.text) == (64, "the input python has to be Python 3.11 or newer")
    assert not (folder / "artifact-controller").exists()


def test_gitlab_s_jobs_leave_a_report(shop: Shop, variables: dict[str, str]) -> None:
    given = {**variables, "ARTIFACT_SOURCE": "artifacts", "CI_MERGE_REQUEST_DIFF_BASE_SHA": "HEAD"}
    report = shop.folder / "artifact-controller.xml"
    assert pipelines.gitlab_job("artifact-validate", shop.folder, given).code == 0
    assert ET.parse(report).getroot().get("failures") == "0"  # noqa: S314 - it is ours
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    ended = pipelines.gitlab_job("artifact-diff", shop.folder, given)
    assert ended.code == 2
    assert "~ timeout: 10 -> 25" in ended.text, "people read it in the log"
    options = {**given, "ARTIFACT_OPTIONS": "--config-dir live --wait 0"}
    assert pipelines.gitlab_job("artifact-reconcile", shop.folder, options).code == 0
    with command.locked(shop.folder / "live"):
        assert pipelines.gitlab_job("artifact-reconcile", shop.folder, options).code == 75
    assert "LockBusy" in report.read_text()
    shop.edit("catalog", "functions.yml", "timeout: 25", 'timeout: "no"')
    assert pipelines.gitlab_job("artifact-validate", shop.folder, given).code == 65
    (failure,) = ET.parse(report).getroot().iter("failure")  # noqa: S314 - it is ours
    assert "artifacts/catalog/config/functions.yml:7" in (failure.get("message") or "")


@pytest.mark.parametrize("name", ["artifact-validate", "artifact-diff", "artifact-reconcile"])
def test_gitlab_s_runner_is_told_the_code(tmp_path: Path, name: str) -> None:
    """Which 2 and 75 of the template depend on. Of a command that just fails, bash tells 1 there (up to 5.2 at least)."""
    tools.require("bash")
    program = tmp_path / "bin" / "controller"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 75\n", encoding="ascii")
    program.chmod(0o755)
    variables = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    script = pipelines.gitlab_script(name, str(tmp_path), {})
    assert subprocess.run(["bash"], input=script, text=True, env=variables, check=False).returncode == 75


def test_gitlab_s_jobs_keep_the_report_of_a_job_that_failed() -> None:
    template = pipelines.read(pipelines.GITLAB)
    for name in ("artifact-validate", "artifact-diff", "artifact-reconcile"):
        whole = {**template[template[name]["extends"]], **template[name]}
        assert whole["artifacts"] == {"when": "always", "reports": {"junit": "artifact-controller.xml"}}
    assert template["artifact-diff"]["allow_failure"] == {"exit_codes": [2]}
    assert template["artifact-reconcile"]["retry"]["exit_codes"] == [75]


@pytest.mark.parametrize("changed", ["artifacts/artifact.yml", "artifacts/catalog/config/functions.yml"])
def test_the_hook_checks_the_artifact_of_a_changed_document(
    shop: Shop, variables: dict[str, str], changed: str
) -> None:
    """Also when the manifest that names it did not change."""
    ended = pipelines.hook("artifact-validate", shop.folder, [changed], variables)
    assert ended is not None
    assert ended.code == 0, ended.text
    shop.edit("catalog", "functions.yml", "timeout: 10", 'timeout: "no"')
    ended = pipelines.hook("artifact-validate", shop.folder, [changed], variables)
    assert ended is not None
    assert (ended.code, "catalog/config/functions.yml:7:5" in ended.text) == (65, True)


def test_the_hook_leaves_other_changes_alone(shop: Shop) -> None:
    assert pipelines.hook("artifact-validate", shop.folder, ["README.md", "functions.yml.bak"], {}) is None
