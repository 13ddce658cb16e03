"""The controller as one step of a job: in a container of its image, the repository mounted read-only, `--output github`
chosen by itself. Every exit code that a job tells apart, each with its output (faults.md L7)."""

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import ownership
from e2e.harness import artifacts, ci_step, commands, converging, marked, matrix, sidecar, stacks, watch
from tests.fakes import command, pipelines

BUSY_S = 4.0
"""Longer than a container takes to start."""

MANIFEST = "environments/docker/artifact.yml"


@pytest.fixture
def artifact(environment: matrix.Environment, tmp_path: Path) -> artifacts.Artifact:
    """One function, one route, one table; the whole of it is in a repository with one commit."""
    small = marked.small(environment, tmp_path / "checkout")
    git(small.source, "init", "--quiet", "--initial-branch=main")
    commit(small)
    return small


def git(folder: Path, *words: str) -> None:
    names = {f"GIT_{who}_{what}": "nobody@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", *words], cwd=folder, env={**os.environ, **names}, check=True, capture_output=True)


def commit(artifact: artifacts.Artifact) -> None:
    git(artifact.source, "add", "--all")
    git(artifact.source, "commit", "--quiet", "--message", "a change")


@pytest.fixture
def job(artifact: artifacts.Artifact, stack: stacks.Stack, tmp_path: Path) -> ci_step.Job:
    """A job on the host of the stack, with its engine. CONFIG_DIR is nobody's: each test has another checkout."""
    (stack.config_dir / ownership.NAME).unlink(missing_ok=True)
    return ci_step.Job(artifact.source, tmp_path / "runner", stack)


def reconcile(stack: stacks.Stack, *more: str) -> tuple[str, ...]:
    """The command of the step, as somebody writes it in a workflow."""
    target = ("--source", ".", "--manifest", MANIFEST, "--config-dir", str(stack.config_dir))
    return ("reconcile", "--once", *target, *more)


def diff(stack: stacks.Stack, *more: str) -> tuple[str, ...]:
    return ("diff", *reconcile(stack)[2:], *more)


def test_2_something_was_published_and_0_the_second_time(job: ci_step.Job, stack: stacks.Stack) -> None:
    """Images are built by the engine of the host; nothing is written into the checkout."""
    before = command.snapshot(job.checkout)
    step = job.run(*reconcile(stack, "--detailed-exitcode"), expect=2)
    assert step.errors == []
    assert (step.outputs["exit-code"], step.outputs["changed"]) == ("2", "true")
    assert step.outputs["summary"].startswith("published revision sha256:")
    assert "<code>hello</code>" in step.summary
    assert stack.gateway.until(lambda answer: answer.status == 200, "/hello").status == 200
    step = job.run(*reconcile(stack, "--detailed-exitcode"), expect=0)
    assert (step.outputs["reason"], step.outputs["changed"]) == ("InSync", "false")
    assert command.snapshot(job.checkout) == before


def test_65_annotations_at_the_lines_of_the_checkout(
    job: ci_step.Job, artifact: artifacts.Artifact, stack: stacks.Stack
) -> None:
    document = artifact.document("api", "functions.yml")
    document.write_text(document.read_text(encoding="utf-8") + '    timeout: "no"\n', encoding="utf-8")
    before = watch.documents(stack.config_dir)
    step = job.run(*reconcile(stack), expect=65)
    (found,) = step.annotations
    assert found.properties["file"] == "artifacts/main/api/config/functions.yml"
    assert found.properties["line"] == str(len(document.read_text(encoding="utf-8").splitlines()))
    assert "functions.hello.timeout" in found.text
    assert step.outputs["reason"] == "ArtifactInvalid"
    assert "ArtifactInvalid" in step.summary
    assert watch.documents(stack.config_dir) == before
    checked = job.run("manifest", "validate", ".", expect=65)
    assert [one.properties["file"] for one in checked.annotations] == [found.properties["file"]]


def test_75_another_controller_is_at_work_and_wait_waits(job: ci_step.Job, stack: stacks.Stack) -> None:
    """L7: told apart from a failure, in every form; with --wait the step goes on when the other one ends."""
    job.run(*reconcile(stack), expect=0)
    with command.locked(stack.config_dir):
        step = job.run(*reconcile(stack, "--wait", "0"), expect=75)
        assert step.errors == [step.outputs["reason"]] == ["LockBusy"]
        assert "LockBusy" in step.summary
    for form in ("junit", "sarif"):
        with command.locked(stack.config_dir):
            told = job.run(*reconcile(stack, "--wait", "0", "--output", form), expect=75).out
        assert "LockBusy" in told
    with busy_for_a_while(stack.config_dir):
        assert job.run(*reconcile(stack, "--wait", "60s"), expect=0).outputs["reason"] == "InSync"


@contextlib.contextmanager
def busy_for_a_while(config: Path) -> Iterator[None]:
    """Another one is at work, and ends while the step waits for it: that is started long before."""
    held, given_up = threading.Event(), threading.Event()

    def hold() -> None:
        with command.locked(config):
            held.set()
            given_up.wait(BUSY_S)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert held.wait(10)
        yield
    finally:
        given_up.set()
        holder.join()


def test_76_the_stack_is_another_one_than_the_artifact_requires(
    job: ci_step.Job, artifact: artifacts.Artifact, stack: stacks.Stack
) -> None:
    text = artifact.manifest.read_text(encoding="utf-8")
    artifact.manifest.write_text(text.replace("  mode: docker\n", "  mode: containerd\n"), encoding="utf-8")
    before = watch.documents(stack.config_dir)
    step = job.run(*reconcile(stack), expect=76)
    assert set(step.errors) == {"StackIncompatible"} == {step.outputs["reason"]}
    assert "StackIncompatible" in step.summary
    assert watch.documents(stack.config_dir) == before


def test_77_a_plan_of_the_job_is_applied_on_the_host_as_long_as_nothing_moved(
    job: ci_step.Job, artifact: artifacts.Artifact, stack: stacks.Stack, controller: commands.Controller
) -> None:
    """Saved in the job's container, reviewed, applied by the host's own command; and refused in either place once the
    source is another one."""
    host = converging.Target(stack, controller, artifact)
    plan = job.folder / "plan.json"
    marked.write(artifact, mark=7, table=0)
    step = job.run(*diff(stack, "--out", str(plan), "--detailed-exitcode"), expect=2)
    assert "~ function hello" in step.out or "+ function hello" in step.out
    assert host.reconcile("--plan", str(plan), "--detailed-exitcode", expect=2).body["changed"]
    job.run(*diff(stack, "--out", str(plan)), expect=0)
    marked.write(artifact, mark=8, table=0)
    before = watch.documents(stack.config_dir)
    assert host.reconcile("--plan", str(plan), expect=77).reason == "PlanMoved"
    step = job.run(*reconcile(stack, "--plan", str(plan)), expect=77)
    assert step.errors == ["PlanMoved"] == [step.outputs["reason"]]
    assert "what the source asks for" in step.annotations[0].text
    assert watch.documents(stack.config_dir) == before


def test_80_a_build_that_fails_is_shown_in_its_dockerfile(
    job: ci_step.Job, artifact: artifacts.Artifact, stack: stacks.Stack
) -> None:
    dockerfile = artifact.function("hello") / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text(encoding="utf-8") + "RUN echo trouble && exit 7\n", encoding="utf-8")
    step = job.run(*reconcile(stack), expect=80)
    (found,) = step.annotations
    assert found.properties["file"] == "artifacts/main/api/functions/hello/Dockerfile"
    assert "trouble" in found.text
    assert step.outputs["reason"] == "ImageBuildFailed"


def test_a_pull_request_is_compared_offline(artifact: artifacts.Artifact, engine: str, tmp_path: Path) -> None:
    """No network, no engine, no CONFIG_DIR; the checkout is read-only and somebody else's."""
    del engine
    job = ci_step.Job(artifact.source, tmp_path / "runner")
    words = ("diff", "--source", ".", "--manifest", MANIFEST, "--detailed-exitcode")
    assert job.run(*words, "--against-revision", "HEAD", expect=0).outputs["changed"] == "false"
    marked.write(artifact, mark=1, table=1)
    artifact.code("hello", "echo of the pull request")
    before = command.snapshot(job.checkout)
    step = job.run(*words, "--against-revision", "HEAD", expect=2)
    assert "~ function hello  change: ChangedInSource, rebuild" in step.out
    assert "ImageInputChanged" in step.out
    assert "> provisioner  ResourcesChanged" in step.out
    assert "BasesNotAsked" in step.err
    assert (step.outputs["changed"], step.outputs["exit-code"]) == ("true", "2")
    assert "artifacts/main/api/config/functions.yml" in step.summary
    assert command.snapshot(job.checkout) == before
    commit(artifact)
    step = job.run(*words, "--revision", "HEAD", "--against-revision", "HEAD~1", expect=2)
    assert "~ function hello" in step.out
    missing = job.run(*words, "--against-revision", "0" * 40, expect=69)
    assert missing.errors == ["RevisionMissing"]


@pytest.mark.parametrize(("name", "code"), [("artifact-validate", 0), ("artifact-diff", 2), ("artifact-reconcile", 65)])
def test_gitlab_s_runner_runs_the_jobs_of_the_template_in_the_image(
    artifact: artifacts.Artifact, engine: str, name: str, code: int
) -> None:
    """As its executor for docker does: the shell that it finds in the image, what it writes itself around the script, a
    checkout of root's that everybody may write."""
    del engine
    marked.write(artifact, mark=1, table=1)
    if name == "artifact-reconcile":
        artifact.manifest.write_text("artifacts: [", encoding="utf-8")
    artifact.source.chmod(0o777)
    options = f"--manifest {MANIFEST}" + (" --config-dir /tmp/config" if name == "artifact-reconcile" else "")
    given = {"CI_MERGE_REQUEST_DIFF_BASE_SHA": "HEAD", "ARTIFACT_OPTIONS": options}
    line = ["docker", "run", "--rm", "--interactive", "--network", "none", "--entrypoint", ""]
    line += ["--tmpfs", "/builds", "--volume", f"{artifact.source}:/builds/x", sidecar.image()]
    done = subprocess.run(
        [*line, "sh", "-c", "if [ -x /usr/bin/bash ]; then exec /usr/bin/bash; else exec /bin/sh; fi"],
        input=pipelines.gitlab_script(name, "/builds/x", given),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, "not found" in done.stderr) == (code, False), done.stderr
    assert "<testsuites" in (artifact.source / "artifact-controller.xml").read_text(encoding="ascii")
