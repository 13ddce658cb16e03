"""Converging a running stack: from nothing, again, and after each kind of change (contract.md sections 4, 5 and 8)."""

import pytest

from e2e.harness import artifacts, commands, converging, docker, stacks, watch
from tests.fakes import daemons

FUNCTIONS = 11


@pytest.fixture
def target(stack: stacks.Stack, controller: commands.Controller, artifact: artifacts.Artifact) -> converging.Target:
    """The stack, converged with the committed artifact; the test edits the copy."""
    following = converging.Target(stack, controller, artifact)
    stack.configure(PROVISIONER_FAIL="", PROVISIONER_SLEEP="0")
    controller.run("resume", "--held", "--config-dir", str(stack.config_dir))
    following.reconcile()
    return following


def test_first_apply_from_nothing(
    stack: stacks.Stack, controller: commands.Controller, artifact: artifacts.Artifact
) -> None:
    """Eleven images, a table, a bucket and the routes: one command."""
    fresh = converging.Target(stack, controller, artifact)
    report = fresh.reconcile()
    assert report.reason == "FirstPublish"
    assert sorted(report.images) == sorted(artifact.functions())
    assert len(report.images) == FUNCTIONS
    assert fresh.answer("/hello", "hello v1") == "hello v1"
    assert fresh.answer("/greet/you", "good day, INFO") == "good day, INFO"
    assert stack.moto.tables() == ("e2e-orders",)
    assert stack.moto.buckets() == ("e2e-pictures",)


def test_second_pass_does_nothing(target: converging.Target) -> None:
    """0 builds, 0 pushes, 0 provisioner runs, 0 writes: as the engine and the file system saw it."""
    before, since = watch.tree(target.stack.config_dir), watch.now()
    report = target.reconcile()
    assert (report.reason, report.body["changed"]) == ("InSync", False)
    assert watch.tree(target.stack.config_dir) == before
    assert watch.events(target.stack, since) == {}


def test_one_function_changed_under_the_same_tag(target: converging.Target) -> None:
    """Exactly one build and one push, and a request gets the new answer."""
    assert target.answer("/hello", "hello v1") == "hello v1"
    digests = images(target)
    target.artifact.code("hello", "echo hello v2")
    since = watch.now()
    report = target.reconcile()
    assert report.images == {"hello": "build"}
    assert watch.events(target.stack, since)["image push"] == 1
    assert watch.events(target.stack, since)["container create provisioner"] == 0, "the resources did not change"
    assert [name for name, digest in images(target).items() if digest != digests[name]] == ["e2e-hello"]
    assert target.answer("/hello", "hello v2") == "hello v2"


def test_same_size_again_and_again(target: converging.Target) -> None:
    """H9: BuildKit keeps the context that it was sent last, and tells files apart by size and time only."""
    registry, digests = target.stack.registry, set()
    for number in range(10, 16):
        target.artifact.code("hello", f"echo same size {number}")
        target.reconcile()
        digests.add(registry.digest("e2e-hello"))
        assert target.answer("/hello", f"same size {number}") == f"same size {number}"
    assert len(digests) == 6


def test_missing_secret(target: converging.Target) -> None:
    """77: names the key, builds nothing, changes nothing."""
    text = target.artifact.manifest.read_text(encoding="utf-8")
    entry = "    runtime_config_dir: config\n"
    target.artifact.manifest.write_text(text.replace(entry, f"{entry}    required_secret_env: [E2E_ABSENT]\n", 1))
    target.artifact.code("hello", "echo never")
    before, since = images(target), watch.now()
    report = target.reconcile(expect=77)
    assert (report.reason, "E2E_ABSENT" in report.err) == ("SecretsMissing", True)
    assert images(target) == before
    assert watch.events(target.stack, since) == {}
    assert target.reconcile(env={"E2E_ABSENT": "canary"}).images == {"hello": "build"}


def test_base_image_moved(target: converging.Target) -> None:
    """Exactly the functions on it are built again: here all of them but the one that starts from another base."""
    registry = target.stack.registry
    registry.push(f"esb-lambda-base:{target.stack.tag}", "own-base:1")
    dockerfile = target.artifact.function("status") / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text(encoding="utf-8").replace("esb-lambda-base", "own-base:1"))
    assert target.reconcile().images == {"status": "build"}
    moved = derived_base(target)
    try:
        report = target.reconcile()
        assert report.images == {name: "build" for name in target.artifact.functions() if name != "status"}
        assert {image["reason"] for image in report.body["plan"]["images"]} == {"BaseMoved"}
        assert target.answer("/base", "moved base") == "moved base"
    finally:
        docker.docker("image", "rm", "--force", moved, check=False)
        registry.push(f"esb-lambda-base:{target.stack.tag}", f"esb-lambda-base:{target.stack.tag}")


def test_registry_down_during_push(target: converging.Target) -> None:
    """80: the old configuration stays live, and the next pass converges without building again."""
    target.artifact.code("hello", "echo after the registry came back")
    before = watch.tree(target.stack.config_dir / "..data" / "..")
    target.stack.registry.stop()
    try:
        report = target.reconcile(expect=80)
    finally:
        target.stack.registry.start()
    after = watch.tree(target.stack.config_dir / "..data" / "..")
    live = ("functions.yml", "routing.yml", "resources.yml", "..data")
    assert {name: before[name] for name in live} == {name: after[name] for name in live}
    assert "hello" in report.err
    target.reconcile()
    assert target.answer("/hello", "after the registry came back") == "after the registry came back"


def test_image_deleted_from_the_registry(target: converging.Target) -> None:
    """Drift: pushed again from the engine, not built, and nothing is published."""
    registry = target.stack.registry
    digest = registry.digest("e2e-greet")
    registry.delete("e2e-greet", digest)
    since = watch.now()
    report = target.reconcile()
    assert (report.reason, report.images) == ("Drifted", {"greet": "push"})
    assert registry.digest("e2e-greet") == digest
    assert watch.events(target.stack, since)["image push"] == 1


def test_image_deleted_from_registry_and_engine(target: converging.Target) -> None:
    """Drift too: built again."""
    registry = target.stack.registry
    registry.delete("e2e-report", registry.digest("e2e-report"))
    label = "label=artifact-controller.function=report"
    docker.docker("image", "rm", "--force", *docker.docker("image", "ls", "--quiet", "--filter", label).split())
    assert target.reconcile().images == {"report": "build"}
    assert target.answer("/report", "report v1") == "report v1"


def test_image_moved_under_its_tag(target: converging.Target) -> None:
    """Drift: ours is pushed back."""
    registry = target.stack.registry
    ours = registry.digest("e2e-greet")
    registry.push(f"esb-lambda-base:{target.stack.tag}", "e2e-greet:latest")
    assert registry.digest("e2e-greet") != ours
    assert target.reconcile().images == {"greet": "push"}
    assert registry.digest("e2e-greet") == ours


@pytest.mark.parametrize(
    "line",
    ["RUN echo foreign > /foreign", 'ENTRYPOINT ["/foreign"]', "LABEL more=labels", ""],
    ids=["RUN", "ENTRYPOINT", "LABEL", "nothing"],
)
def test_h10_an_image_built_on_ours_under_our_tag(target: converging.Target, line: str) -> None:
    """H10: it inherits our labels, and is foreign nevertheless: drift, and ours is pushed back. Also with one who has
    no record of what was pushed, and when it adds nothing but metadata, which keeps the date of its base."""
    registry = target.stack.registry
    ours = registry.digest("e2e-greet")
    name = derived(target, f"{registry.address}/e2e-greet:latest", line)
    try:
        registry.push(name, "e2e-greet:latest")
        assert registry.digest("e2e-greet") != ours
        report = target.reconcile()
        assert (report.reason, report.images) == ("Drifted", {"greet": "push"})
        assert registry.digest("e2e-greet") == ours
        registry.push(name, "e2e-greet:latest")
        fresh = target.stack.folder / "no-record"
        arguments = ("--artifact", str(target.artifact.manifest), "--out", str(fresh))
        ended = target.controller.run("deploy", *arguments)
        assert "0 images built, 1 pushed" in ended.out
        assert registry.digest("e2e-greet") == ours
    finally:
        docker.docker("image", "rm", "--force", name, check=False)


def test_rollback_brings_the_old_code_back(target: converging.Target) -> None:
    """The digest is part of what is published, so an older set is older code; nothing is built for it."""
    assert target.answer("/hello", "hello v1") == "hello v1"
    target.artifact.code("hello", "echo bad code")
    target.reconcile()
    assert target.answer("/hello", "bad code") == "bad code"
    since = watch.now()
    target.controller.run("rollback", "--config-dir", str(target.stack.config_dir))
    assert target.answer("/hello", "hello v1") == "hello v1"
    assert watch.events(target.stack, since)["image push"] == 0
    target.reconcile(expect=77)


def test_two_controllers_at_once(target: converging.Target) -> None:
    """One works and one waits, or is told 75; the work is done once."""
    target.artifact.code("hello", "echo once only")
    since = watch.now()
    pair = [target.start("--wait", "200s"), target.start("--wait", "200s")]
    ended = [process.communicate(timeout=240) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], ended
    assert watch.events(target.stack, since)["image push"] == 1
    target.artifact.code("hello", "echo busy")
    before = target.stack.registry.digest("e2e-hello")
    slow = target.start(env={"FAILPOINT": "pushed:sleep"})
    try:
        daemons.until(lambda: target.stack.registry.digest("e2e-hello") != before)  # only the owner of the lock pushes
        report = target.reconcile("--wait", "0s", expect=75)
        assert report.reason == "LockBusy"
    finally:
        slow.kill()
        slow.communicate()
    target.reconcile()
    assert target.answer("/hello", "busy") == "busy"


def test_no_cache_builds_everything_once_more(target: converging.Target) -> None:
    """`deploy --no-cache`: every function, and the same documents as a pass."""
    target.reconcile()
    shown = (target.stack.config_dir / "routing.yml").read_bytes()
    arguments = ("--artifact", str(target.artifact.manifest), "--out", str(target.stack.config_dir), "--no-cache")
    ended = target.controller.run("deploy", *arguments)
    assert f"{FUNCTIONS} images built, {FUNCTIONS} pushed" in ended.out
    assert (target.stack.config_dir / "routing.yml").read_bytes() == shown


def images(target: converging.Target) -> dict[str, str]:
    """The digest of every function's image in the registry."""
    registry = target.stack.registry
    return {name: registry.digest(name) for name in registry.repositories() if name.startswith("e2e-")}


def derived_base(target: converging.Target) -> str:
    """Push another lambda base under the stack's tag; the name of its image in the engine."""
    base = f"esb-lambda-base:{target.stack.tag}"
    name = derived(target, base, 'RUN echo "moved base" > /etc/lambda-base')
    target.stack.registry.push(name, base)
    return name


def derived(target: converging.Target, base: str, line: str) -> str:
    """An image of the engine, built on another one as anybody would; its name."""
    name = f"{target.stack.project}-derived"
    folder = target.stack.folder / "derived"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(f"FROM {base}\n{line}\n")
    docker.docker("build", "--quiet", "--provenance=false", "--tag", name, str(folder))
    return name
