"""Faults of whole passes on a real stack that need more than one fault at a time: several one-shots at one target while
their builds take long (B1, L7), and an engine or a controller that is lost in the middle (B2, H2, P8)."""

import json
import subprocess

import pytest

from e2e.harness import artifacts, commands, converging, docker, processes, stacks, watch
from tests.fakes import daemons

SLOW = "RUN sleep 3\n"
ENDLESS = "sleep 100611"


@pytest.fixture
def target(stack: stacks.Stack, controller: commands.Controller, artifact: artifacts.Artifact) -> converging.Target:
    """The stack, converged with the committed artifact; the test edits the copy."""
    following = converging.Target(stack, controller, artifact)
    following.reconcile()
    return following


def slowly(target: converging.Target, text: str) -> str:
    """Give "hello" other code and a build that takes seconds; what it will answer."""
    target.artifact.code("hello", f"echo '{text}'")
    dockerfile = target.artifact.function("hello") / "Dockerfile"
    plain = dockerfile.read_text(encoding="utf-8").replace(SLOW, "")
    dockerfile.write_text(plain + SLOW, encoding="utf-8")
    return text


def ended(process: "subprocess.Popen[str]") -> tuple[int, dict[str, object], str]:
    """Exit code, report and stderr of a pass."""
    out, err = process.communicate(timeout=240)
    return process.returncode, json.loads(out) if out else {}, err


def test_b1_l7_one_shots_that_do_not_wait(target: converging.Target) -> None:
    """L7: while one builds, the others are told 75 and who has it, at once; nothing is built twice, and what served
    goes on serving."""
    text = slowly(target, "built by one of three")
    since = watch.now()
    runs = [ended(process) for process in [target.start("--wait", "0s") for _ in range(3)]]
    assert sorted(code for code, _, _ in runs) == [0, 75, 75], runs
    for code, report, err in runs:
        if code == 75:
            assert (report["reason"], "locked by" in err) == ("LockBusy", True)
    assert watch.events(target.stack, since)["image push"] == 1
    assert target.answer("/hello", text) == text


def test_b1_l7_a_pipeline_and_a_pass_that_wait(target: converging.Target) -> None:
    """L7: `deploy`, as a pipeline runs it, and a pass, one after the other: one build, and the same documents."""
    text = slowly(target, "built once for both")
    since = watch.now()
    deploy = ("--artifact", str(target.artifact.manifest), "--out", str(target.stack.config_dir), "--wait", "200s")
    pair = [target.start("--wait", "200s"), target.controller.start("deploy", *deploy)]
    codes = [(process.communicate(timeout=240), process.returncode) for process in pair]
    assert [code for _, code in codes] == [0, 0], codes
    assert watch.events(target.stack, since)["image push"] == 1
    assert target.answer("/hello", text) == text
    since, shown = watch.now(), watch.documents(target.stack.config_dir)
    target.reconcile()
    assert watch.events(target.stack, since) == {}
    assert watch.documents(target.stack.config_dir) == shown


def test_b2_killed_while_it_builds(target: converging.Target) -> None:
    """B2, A2: no lock and no half-made image is in the next one's way, which does not wait."""
    text = slowly(target, "built by the second")
    before = watch.documents(target.stack.config_dir)
    first = target.start()
    until_building(target, first)
    first.kill()
    first.communicate()
    assert watch.documents(target.stack.config_dir) == before
    since = watch.now()
    assert set(target.reconcile("--wait", "0s").images) == {"hello"}
    assert watch.events(target.stack, since)["image push"] == 1
    assert target.answer("/hello", text) == text


def until_building(target: converging.Target, process: "subprocess.Popen[str]") -> None:
    """Return once a build for this stack's registry runs."""
    until_runs(process, "buildx build", target.stack.registry.address)


def until_runs(process: "subprocess.Popen[str]", *words: str) -> None:
    """Return once a command with these words runs, beside this pass."""
    daemons.until(lambda: running(*words) or process.poll() is not None)
    assert process.poll() is None, process.communicate()


def running(*words: str) -> list[int]:
    """The processes whose command line has all of these words."""
    lines = docker.run(["ps", "-e", "-ww", "-o", "pid=,args="]).splitlines()
    return [int(line.split()[0]) for line in lines if all(word in line for word in words)]


def test_p8_killed_while_it_builds_leaves_no_build_behind(target: converging.Target) -> None:
    """P8, B2: by a signal that nobody can heed. The build ends in the engine too, and not at its deadline; the next
    pass, of a source that builds, finds nothing in its way."""
    dockerfile = target.artifact.function("hello") / "Dockerfile"
    plain = dockerfile.read_text(encoding="utf-8")
    dockerfile.write_text(f"{plain}RUN {ENDLESS}\n", encoding="utf-8")
    process = target.start()
    until_runs(process, ENDLESS)
    ours = running("buildx build", target.stack.registry.address)
    steps = running(ENDLESS)
    assert len(ours) >= 2, "the build's own process, and what stands before it"
    process.kill()
    process.communicate()
    assert [pid for pid in (*ours, *steps) if not processes.ends(pid)] == []
    assert running("buildx build", target.stack.registry.address) == []
    dockerfile.write_text(plain, encoding="utf-8")
    target.artifact.code("hello", "echo built after the kill")
    assert target.reconcile("--wait", "0s").images == {"hello": "build"}
    assert target.answer("/hello", "built after the kill") == "built after the kill"


def test_h2_the_engine_goes_away_between_two_passes_and_comes_back(target: converging.Target) -> None:
    """H2: 69 while it is away, said by `status`; what is live stays; healed by the first pass after its return."""
    target.artifact.code("hello", "echo after the engine came back")
    before = watch.documents(target.stack.config_dir)
    report = target.reconcile(expect=69, env={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    assert report.reason == "DockerUnavailable"
    told = target.controller.run("status", "--config-dir", str(target.stack.config_dir), "--output", "json")
    ready = next(each for each in json.loads(told.out)["conditions"] if each["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "DockerUnavailable")
    assert watch.documents(target.stack.config_dir) == before
    assert target.reconcile().images == {"hello": "build"}
    assert target.answer("/hello", "after the engine came back") == "after the engine came back"
