"""The same on a real engine, where it is cheap: what the stub claims about docker, compose and BuildKit is so."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller import docker, errors
from core import digest, dockerfile_seal, image_inputs
from tests.fakes import engines

pytestmark = [pytest.mark.engine, pytest.mark.process]

NAME = f"dockertest-{os.getpid()}"  # several test processes may share one engine
IMAGE = f"{NAME}/busybox:1"
RUN = f"{NAME}-run"

COMPOSE = f"""
name: {NAME}
services:
  ends: {{image: "{IMAGE}", network_mode: none, command: [sh, -c, 'printf "said \\377"; exit $$CODE'], environment: [CODE]}}
  hangs: {{image: "{IMAGE}", network_mode: none, command: [sh, -c, 'echo begun; exec sleep 600']}}
  broken: {{image: "{IMAGE}", network_mode: none, command: [no-such-program]}}
  floods: {{image: "{IMAGE}", network_mode: none, command: [sh, -c, 'yes aaaaaaaaaaaaaaa | head -c 20000000; echo end; exit 9']}}
  told: {{image: "{IMAGE}", network_mode: none, command: [sh, -c, 'cat; echo "$CONFIG_DIR"']}}
  alone: {{image: "{IMAGE}", network_mode: none, command: ["true"], depends_on: [hangs]}}
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.Engine]:
    engines.require()
    with engines.busybox(IMAGE):
        try:
            yield docker.Engine()
        finally:
            left = engines.docker("ps", "--all", "--quiet", "--filter", f"ancestor={IMAGE}").split()
            if left:
                engines.docker("rm", "--force", *left)


def service(tmp_path: Path, name: str, **environment: str) -> docker.ServiceRun:
    file = tmp_path / "compose.yml"
    file.write_text(COMPOSE, encoding="utf-8")
    return docker.ServiceRun(name, RUN, {NAME: "x"}, NAME, (file,), None, None, "deploy", environment, with_deps=False)


def test_h5_preflight_finds_everything(engine: docker.Engine) -> None:
    engine.preflight(list(docker.Piece))


def test_h5_no_engine_behind_the_address(engine: docker.Engine, tmp_path: Path) -> None:
    """In the words of the real command, whoever is asked."""
    del engine
    nobody = docker.Engine(host=f"unix://{tmp_path}/none.sock")
    acts = (nobody.containers, lambda: nobody.push("a"), lambda: nobody.run_service(service(tmp_path, "ends")))
    for act in acts:
        with pytest.raises(errors.ControllerError, match="there is no socket"):
            act()
    with pytest.raises(errors.ControllerError, match="knows no context"):
        docker.Engine(context=f"{NAME}-none").containers()


def test_containers_in_their_states(engine: docker.Engine) -> None:
    running = engines.docker(
        "run", "-d", "--name", f"{NAME}.a", "--label", f"{NAME}=1", "-e", "A=1", IMAGE, "sleep", "600"
    )
    exited = engines.docker("create", "--name", f"{NAME}.b", "--label", f"{NAME}=1", IMAGE, "sh", "-c", "exit 3")
    engines.docker("start", exited)
    assert engine.wait(exited, seconds=30) == 3
    found = {one.name: one for one in engine.containers({NAME: "1"}, environment=["A"])}
    assert set(found) == {f"{NAME}.a", f"{NAME}.b"}
    first, second = found[f"{NAME}.a"], found[f"{NAME}.b"]
    assert (first.id, first.image, first.state, first.exit_code) == (running, IMAGE, "running", None)
    assert (dict(first.environment), dict(second.environment)) == ({"A": "1"}, {})
    assert (second.state, second.exit_code) == ("exited", 3)
    assert [one.id for one in engine.containers(name=f"{NAME}.a")] == [running]
    assert engine.containers(name=f"{NAME}-a") == ()
    assert engine.images([first.image_id])[first.image_id].tags == (IMAGE,)
    with pytest.raises(docker.DeadlinePassed):
        engine.wait(running, seconds=0.2)
    engine.stop(running, grace_s=0)
    engine.remove(running)
    engine.remove(exited)
    engine.remove(exited)
    assert engine.containers({NAME: "1"}) == ()
    with pytest.raises(docker.CommandFailed):
        engine.wait(running, seconds=30)


def test_images_that_are_there_and_not(engine: docker.Engine) -> None:
    names = [IMAGE, f"docker.io/{IMAGE}", f"{NAME}/none:1", f"{IMAGE}@sha256:{'0' * 64}", "NOT//VALID"]
    assert set(engine.images(names)) == {IMAGE, f"docker.io/{IMAGE}"}
    assert engine.labelled_images(f"{NAME}.none") == ()


def test_h9_builds(engine: docker.Engine, tmp_path: Path) -> None:
    context, dockerfile = tmp_path / "context", tmp_path / "elsewhere" / "Dockerfile"
    context.mkdir()
    dockerfile.parent.mkdir()
    (context / "file").write_text("x")
    dockerfile.write_text("ARG A\nFROM base\nARG A\nCOPY file /file\nRUN echo $A >/a\n")
    tag, label = f"{NAME}/built:1", f"{NAME}.input"
    wanted = docker.BuildRequest(
        context, dockerfile, (tag,), {label: "1"}, {"A": "b"}, "", {"base": f"docker-image://{IMAGE}"}
    )
    built = engine.build(wanted)
    try:
        assert [(one.id, one.tags, one.labels[label]) for one in engine.labelled_images(label)] == [
            (built, (tag,), "1")
        ]
        assert engine.build(wanted) == built
        engine.tag(built, f"{NAME}/built:2")
        assert engine.images([f"{NAME}/built:2"])[f"{NAME}/built:2"].id == built
    finally:
        engines.docker("rmi", "--force", built)
    dockerfile.write_text(f"FROM {IMAGE}\nRUN printf 'AUTH_PASS=secret\\n\\377\\n'; false\n")
    with pytest.raises(docker.CommandFailed) as caught:
        engine.build(wanted)
    assert any("AUTH_PASS=***" in line for line in caught.value.tail)
    assert "did not complete successfully" in caught.value.tail[-1]


DERIVED = ("", "ENV A=1\nENTRYPOINT /foreign\n", "LABEL more=1\n", "RUN true\n", "WORKDIR /foreign\n")


@pytest.mark.parametrize("steps", ["", "CMD true\n", "RUN true \\\n # the end", "RUN <<E\ntrue\nE"])
def test_h10_what_is_built_here_shows_its_input_and_what_is_built_on_it_does_not(
    engine: docker.Engine, tmp_path: Path, steps: str
) -> None:
    """H10: with the engine's own BuildKit; an image without a step has the date of its base, and so has one that adds
    only metadata."""
    wanted = digest.of_parts((NAME, steps))
    ours = f"{NAME}/ours:1"
    names = [ours]
    try:
        build(engine, tmp_path, ours, dockerfile_seal.sealed(f"FROM {IMAGE}\n{steps}", wanted), wanted)
        assert shown(engine, ours) == wanted
        for number, more in enumerate(DERIVED):
            names.append(f"{NAME}/derived:{number}")
            (tmp_path / "Dockerfile").write_text(f"FROM {ours}\n{more}")
            engines.docker("build", "--quiet", "--tag", names[-1], str(tmp_path))
            assert shown(engine, names[-1]) == "", more
        on_ours = digest.of_parts((NAME, "on ours"))
        names.append(f"{NAME}/on-ours:1")
        build(engine, tmp_path, names[-1], dockerfile_seal.sealed(f"FROM {ours}\n", on_ours), on_ours)
        assert shown(engine, names[-1]) == on_ours, "a function may be built on another one"
    finally:
        engines.docker("rmi", "--force", *names)


def build(engine: docker.Engine, folder: Path, name: str, text: str, wanted: str) -> None:
    """Build as `controller.image_builder` does."""
    context, dockerfile = folder / "context", folder / "Dockerfile"
    context.mkdir(exist_ok=True)
    dockerfile.write_text(text)
    labels, second = {image_inputs.LABEL_INPUT: wanted}, image_inputs.created_s(wanted)
    engine.build(docker.BuildRequest(context, dockerfile, (name,), labels, {}, "", {}, created_s=second))


def shown(engine: docker.Engine, name: str) -> str:
    image = engine.images([name])[name]
    return image_inputs.shown(image.labels, image.created_s)


def test_h9_the_platform_is_that_of_what_is_built_without_a_wish(
    engine: docker.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(docker.DEFAULT_PLATFORM, raising=False)
    assert engine.images([IMAGE])[IMAGE].platform.startswith(engine.platform)
    assert engine.platform.startswith("linux/")


def test_h10_a_registry_that_is_down(engine: docker.Engine) -> None:
    target = f"127.0.0.1:1/{NAME}:1"
    engine.tag(IMAGE, target)
    try:
        with pytest.raises(docker.CommandFailed) as caught:
            engine.push(target)
        assert "connection refused" in caught.value.tail[-1]
        with pytest.raises(docker.CommandFailed):
            engine.remote_manifest(target)
    finally:
        engines.docker("rmi", target)


@pytest.mark.parametrize("code", [0, 1, 125, 127, 137])
def test_h3_exit_codes_are_values(engine: docker.Engine, tmp_path: Path, code: int) -> None:
    found = engine.run_service(service(tmp_path, "ends", CODE=str(code)))
    assert (found.exit_code, found.tail[-1]) == (code, "said �")
    assert engine.containers({NAME: "x"}) == ()


def test_h3_a_flood_and_what_compose_is_told(engine: docker.Engine, tmp_path: Path) -> None:
    found = engine.run_service(service(tmp_path, "floods"))
    assert (found.exit_code, found.tail[-1]) == (9, "end")
    assert engine.run_service(service(tmp_path, "told", CONFIG_DIR="/a b")).tail == ("/a b",)


def test_h6_dependencies_are_left_alone(engine: docker.Engine, tmp_path: Path) -> None:
    assert engine.run_service(service(tmp_path, "alone")).exit_code == 0
    assert engine.containers({"com.docker.compose.project": NAME}) == ()


@pytest.mark.parametrize(("name", "words"), [("none", "no such service"), ("broken", "executable file not found")])
def test_what_was_never_started_is_no_outcome(engine: docker.Engine, tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(docker.CommandFailed, match=words):
        engine.run_service(service(tmp_path, name))
    assert engine.containers(name=RUN) == ()


def test_a_compose_file_that_is_none_is_no_outcome(engine: docker.Engine, tmp_path: Path) -> None:
    wanted = service(tmp_path, "ends")
    wanted.files[0].write_text("services: [")
    with pytest.raises(docker.CommandFailed, match="yaml"):
        engine.run_service(wanted)


def test_h5_the_services_of_a_project_are_asked_of_compose_alone(engine: docker.Engine, tmp_path: Path) -> None:
    """By profile, with the CONFIG_DIR that its files want; files that are none are a failure, and nothing is made."""
    wanted = service(tmp_path, "ends", CONFIG_DIR="/srv/config")
    wanted.files[0].write_text(
        "services: {gateway: {image: x}, tables: {image: x, profiles: [deploy]}, "
        "once: {image: x, profiles: [seldom], volumes: ['${CONFIG_DIR:?not told}:/c']}}"
    )
    assert engine.services(wanted, profile=None) == ("gateway",)
    assert engine.services(wanted, profile="deploy") == ("gateway", "tables")
    assert engine.services(wanted, profile="*") == ("gateway", "once", "tables")
    for spoilt in (replace(wanted, environment={}), replace(wanted, files=(tmp_path / "gone.yml",))):
        with pytest.raises(docker.CommandFailed, match=r"not told|no such file"):
            engine.services(spoilt, profile="*")
    assert engine.containers(name=RUN) == ()


def test_p7_p8_one_at_a_time_and_gone_at_the_deadline(engine: docker.Engine, tmp_path: Path) -> None:
    """DK1: compose is gone with its deadline; what it started is not, and has the name."""
    soon = docker.Engine(deadlines=docker.Deadlines(provision_s=10))
    with pytest.raises(docker.DeadlinePassed) as passed:
        soon.run_service(service(tmp_path, "hangs"))
    assert "begun" in passed.value.tail
    (left,) = engine.containers(name=RUN)
    assert left.state == "running"
    with pytest.raises(docker.NameInUse):
        engine.run_service(service(tmp_path, "ends", CODE="0"))
    assert engine.containers(name=RUN) == (left,)
    engine.remove(left.id)
    assert engine.run_service(service(tmp_path, "ends", CODE="0")).exit_code == 0
