"""The stack itself, before anything is said about the controller: in every environment of the matrix it comes up,
answers, runs functions from its registry, and provisions. contract.md section 11."""

import pytest

from e2e.harness import artifacts, docker, stacks

pytestmark = pytest.mark.parametrize("environment", ["docker", "containerd", "firecracker"], indirect=True)
ROUTES = 'routes:\n  - path: "{path}"\n    method: "GET"\n    function: "hello"\n'


def test_the_gateway_is_healthy_and_knows_no_route(stack: stacks.Stack) -> None:
    health = stack.gateway.get("/health")
    assert (health.status, health.json()["version"], health.json()["mode"]) == (200, stack.tag, stack.mode)
    assert stack.gateway.get("/hello").status == 404


def test_services_show_version_and_mode(stack: stacks.Stack) -> None:
    """contract.md section 6: what a probe will see."""
    shape = '{{.Image}} {{.Label "org.opencontainers.image.version"}}'
    listed = docker.docker("ps", "--filter", f"label=com.docker.compose.project={stack.project}", "--format", shape)
    seen = dict(line.split() for line in listed.splitlines() if len(line.split()) == 2)
    assert seen == {f"esb-{name}-{stack.mode}:{stack.tag}": stack.tag for name in ("gateway", "agent", "runtime-node")}


def test_a_function_answers_from_the_registry(stack: stacks.Stack, artifact: artifacts.Artifact) -> None:
    artifacts.apply_plainly(artifact, stack, functions=("hello", "greet"))
    answer = stack.gateway.until(lambda seen: seen.status == 200, "/hello")
    assert (answer.status, answer.text) == (200, "hello v1\n")
    assert stack.gateway.get("/greet/ann").text == "good day, INFO\n", "environment: the function's, and ${NAME} (GW11)"
    assert sorted(stack.workers()) == ["greet", "hello"], "one worker for each function that was asked"


def test_new_code_under_the_same_tag_answers(stack: stacks.Stack, artifact: artifacts.Artifact) -> None:
    before = stack.registry.digest("e2e-hello")
    artifact.code("hello", 'echo "hello v2"')
    artifacts.apply_plainly(artifact, stack, functions=("hello",))
    assert stack.registry.digest("e2e-hello") != before
    assert stack.gateway.until(lambda seen: seen.text == "hello v2\n", "/hello").text == "hello v2\n"


def test_a_worker_survives_the_registry(stack: stacks.Stack, artifact: artifacts.Artifact) -> None:
    artifacts.apply_plainly(artifact, stack, functions=("hello",))
    assert stack.gateway.until(lambda seen: seen.text == "hello v1\n", "/hello").status == 200
    stack.registry.stop()
    try:
        assert stack.gateway.get("/hello").text == "hello v1\n"
    finally:
        stack.registry.start()
    stack.registry.delete("e2e-hello", stack.registry.digest("e2e-hello"))
    assert stack.registry.digest("e2e-hello") == ""


def test_the_provisioner_makes_what_is_missing_and_fails_when_told(
    stack: stacks.Stack, artifact: artifacts.Artifact
) -> None:
    """consumers.md PR1: what exists already is fine."""
    artifacts.apply_plainly(artifact, stack, functions=())
    for said in ("created", "already exists"):
        ended = stack.provision()
        assert (ended.returncode, said in ended.stdout) == (0, True), ended.stderr
    assert (stack.moto.tables(), stack.moto.buckets()) == (("e2e-orders",), ())
    (stack.config_dir / "resources.yml").write_text(artifact.document("jobs", "resources.yml").read_text())
    stack.configure(PROVISIONER_FAIL="1")
    assert stack.provision().returncode == 3
    stack.configure(PROVISIONER_FAIL="")
    assert stack.provision().returncode == 0
    assert (stack.moto.tables(), stack.moto.buckets()) == (("e2e-orders",), ("e2e-pictures",))
