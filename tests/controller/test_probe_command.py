"""`controller probe`: what it prints of a stack, the verdict beside an artifact, and how it ends."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from controller import docker, errors
from controller.probes import stack as probe
from tests.fakes import command, git_server, tools
from tests.fakes import engine as engines

PLACE = "compose project shop on unix:///fake.sock"
DIGEST = "sha256:" + "d" * 64


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> engines.Engine:
    """The engine that the command finds."""
    played = engines.Engine()
    monkeypatch.setattr(docker, "Engine", lambda **_: played)
    return played


def start(engine: engines.Engine, service: str, image: str, *, project: str = "shop", **known: Any) -> None:
    """A container of a compose project."""
    number = len(engine.standing)
    engine.standing[str(number)] = docker.Container(
        id=str(number),
        name=f"{project}-{service}-{number}",
        image=image,
        image_id=engine.hold(image).id,
        labels={probe.LABEL_PROJECT: project, probe.LABEL_SERVICE: service, **known.get("labels", {})},
        state=known.get("state", "running"),
        health=known.get("health", ""),
        exit_code=known.get("exit_code"),
        environment={"AUTH_PASS": "canary", **known.get("environment", {})},
    )


@pytest.fixture
def shop(tmp_path: Path) -> command.Shop:
    """A source whose artifact requires a docker stack of version v1."""
    made = command.Shop(tmp_path)
    wanted = 'mode: docker\nruntime_stack: {api_version: "1.0", mode: docker, esb_version: v1}'
    command.replace_text(made.manifest, "mode: docker", wanted)
    return made


def test_every_service_is_shown_with_what_is_known_of_it(engine: engines.Engine) -> None:
    start(engine, "registry", f"registry@{DIGEST}")
    start(engine, "provisioner", "esb-provisioner-docker:v1", state="exited", exit_code=0)
    start(engine, "gateway", "esb-gateway-docker:v1", health="healthy")
    start(engine, "agent", "esb-agent-docker:v2")
    ended = command.run("probe", "--project", "shop")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        f"stack     {PLACE}",
        "mode      docker",
        "version   v1",
        "healthy   True: running: gateway, agent, registry",
        "  gateway      running (healthy)  docker  v1  esb-gateway-docker:v1",
        "  agent        running            docker  v2  esb-agent-docker:v2",
        "  provisioner  exited 0           docker  v1  esb-provisioner-docker:v1",
        f"  registry     running            -       -   registry@{DIGEST}",
        "skew      different versions: gateway v1; agent v2",
    ]


def test_h8_nothing_to_see_is_no_failure(engine: engines.Engine) -> None:
    ended = command.run("probe", "--project", "shop")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"stack     {PLACE}\nservices  none: no container of {PLACE}\n"


def test_a_source_gives_the_project_and_a_verdict(engine: engines.Engine, shop: command.Shop) -> None:
    start(engine, "gateway", "esb-gateway-docker:v1")
    start(engine, "gateway", "esb-gateway-containerd:v9", project="other")
    ended = command.run("probe", "--source", shop.source)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[-2:] == ["required  mode docker, API 1.0, version v1", "verdict   match"]


@pytest.mark.parametrize("first", ["away", "there", "a repository"])
def test_of_several_sources_the_first_that_answers_is_read(
    engine: engines.Engine, shop: command.Shop, tmp_path: Path, first: str
) -> None:
    """As a pass reads them; no clone and no record is made."""
    start(engine, "gateway", "esb-gateway-docker:v1")
    other = command.Shop(_made(tmp_path / "other"))
    wanted = 'mode: docker\nruntime_stack: {api_version: "1.0", mode: docker, esb_version: v9}'
    command.replace_text(other.manifest, "mode: docker", wanted)
    source: dict[str, Any] = {"directory": {"path": str(other.source)}}
    if first == "away":
        other.source.rename(tmp_path / "elsewhere")
    if first == "a repository":
        tools.require("git")
        author = git_server.Author(tmp_path / "work", tmp_path / "other.git")
        shutil.copytree(other.source, tmp_path / "work" / "deploy")
        author.commit("one")
        author.push()
        source = {"git": {"url": f"file://{author.bare}", "path": "deploy"}}
    file = tmp_path / "controller.yml"
    sources = [source, {"directory": {"path": str(shop.source)}}]
    file.write_text(json.dumps({"source": sources, "config_dir": "config", "state_dir": "state"}), encoding="utf-8")
    before = command.snapshot(tmp_path)
    ended = command.run("probe", "--config", file)
    version = "v1" if first == "away" else "v9"
    assert f"required  mode docker, API 1.0, version {version}\n" in ended.out, ended.text
    assert ("note: StandIn: source 2 of 2" in ended.err) is (first == "away")
    assert command.snapshot(tmp_path) == before


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_repository_alone_needs_no_config_dir(engine: engines.Engine, shop: command.Shop, tmp_path: Path) -> None:
    tools.require("git")
    start(engine, "gateway", "esb-gateway-docker:v1")
    author = git_server.Author(tmp_path / "work", tmp_path / "shop.git")
    shutil.copytree(shop.source, tmp_path / "work" / "deploy")
    author.commit("one")
    author.push()
    file = tmp_path / "controller.yml"
    file.write_text(json.dumps({"source": {"git": {"url": f"file://{author.bare}", "path": "deploy"}}}))
    assert command.run("probe", "--config", file).out.splitlines()[-1] == "verdict   match"
    author.bare.rename(tmp_path / "away")
    assert command.run("probe", "--config", file).code == 69


def test_a_source_that_is_away_hides_no_stack(engine: engines.Engine, tmp_path: Path) -> None:
    """People see what runs, and that there is no verdict; programs get one document, which says why."""
    start(engine, "gateway", "esb-gateway-docker:v1")
    given = ("--project", "shop", "--source", tmp_path / "nowhere")
    ended = command.run("probe", *given)
    assert (ended.code, ended.err.splitlines()[0]) == (
        69,
        f"failed (SourceMissing): {tmp_path}/nowhere: no such file or directory",
    )
    assert "  gateway  running" in ended.out
    ended = command.run("probe", *given, "--output", "json")
    assert (ended.code, ended.json["reason"]) == (69, "SourceMissing")


def test_an_artifact_that_requires_nothing_gets_no_verdict(engine: engines.Engine, tmp_path: Path) -> None:
    start(engine, "gateway", "esb-gateway-containerd:v9")
    ended = command.run("probe", "--source", command.Shop(tmp_path).source, "--strict")
    assert (ended.code, "verdict" in ended.out) == (0, False)


def test_h8_another_mode_is_76_and_says_both_and_where(engine: engines.Engine, shop: command.Shop) -> None:
    start(engine, "gateway", "esb-gateway-containerd:v1")
    ended = command.run("probe", "--source", shop.source)
    found = f"the artifact requires mode docker; {PLACE} runs containerd (gateway: esb-gateway-containerd:v1)"
    assert ended.code == 76
    assert ended.out.splitlines()[-2:] == ["verdict   mismatch", f"error: {found}"]
    assert ended.err.splitlines()[0] == f"failed (StackIncompatible): {found}"


@pytest.mark.parametrize(("flags", "code", "word"), [((), 0, "warning"), (("--strict",), 76, "error")])
def test_a_warning_is_an_error_in_strict(
    engine: engines.Engine, shop: command.Shop, flags: tuple[str, ...], code: int, word: str
) -> None:
    start(engine, "gateway", "esb-gateway-docker:v2")
    ended = command.run("probe", "--source", shop.source, *flags)
    assert ended.code == code
    assert ended.out.splitlines()[-1].startswith(f"{word}: the artifact requires version v1; {PLACE} runs v2 ")


def test_h8_unknown_is_0_by_default_and_76_in_strict(engine: engines.Engine, shop: command.Shop) -> None:
    usual, strict = (command.run("probe", "--source", shop.source, *more) for more in ((), ("--strict",)))
    assert (usual.code, strict.code) == (0, 76)
    assert "verdict   unknown" in usual.out
    assert "nothing is observable" in strict.err


def test_the_project_that_is_named_is_looked_at(engine: engines.Engine, shop: command.Shop, tmp_path: Path) -> None:
    """--project over stack.project over the manifest's; none of them chooses a manifest."""
    for project in ("shop", "blue", "green"):
        start(engine, "gateway", f"esb-gateway-docker:{project}", project=project)
    config = tmp_path / "controller.yml"
    config.write_text("stack: {project: blue}\n", encoding="utf-8")
    given = ("probe", "--source", shop.source, "--output", "json")
    assert command.run(*given).json["version"] == "shop"
    assert command.run(*given, "--config", config).json["version"] == "blue"
    assert command.run(*given, "--config", config, "--project", "green").json["version"] == "green"


def test_json(engine: engines.Engine, shop: command.Shop) -> None:
    runtime = {"CONTAINERD_RUNTIME": "aws.firecracker"}
    start(engine, "agent", f"registry:5010/esb-agent-containerd:v1@{DIGEST}", health="starting", environment=runtime)
    ended = command.run("probe", "--source", shop.source, "--output", "json")
    assert ended.code == 76
    found = f"the artifact requires mode docker; {PLACE} runs firecracker "
    found += f"(agent: registry:5010/esb-agent-containerd:v1@{DIGEST})"
    assert ended.json == {
        "schema": "artifact-controller/probe/v1",
        "project": "shop",
        "source": PLACE,
        "unknown": "",
        "mode": "firecracker",
        "version": "v1",
        "services": [
            {
                "service": "agent",
                "image": f"registry:5010/esb-agent-containerd:v1@{DIGEST}",
                "tag": "v1",
                "digest": DIGEST,
                "version": "",
                "mode": "firecracker",
                "state": "running",
                "health": "starting",
                "exit_code": None,
                "one_shot": False,
            }
        ],
        "skew": [],
        "healthy": {"status": "Unknown", "reason": "Starting", "message": "still starting: agent"},
        "required": {"api_version": "1.0", "mode": "docker", "esb_version": "v1"},
        "verdict": "mismatch",
        "findings": [{"code": "ModeDiffers", "message": found, "blocks": True}],
    }


def test_json_without_a_source(engine: engines.Engine) -> None:
    found = command.run("probe", "--project", "shop", "--output", "json").json
    assert (found["unknown"], found["services"]) == (f"no container of {PLACE}", [])
    assert (found["required"], found["verdict"], found["findings"]) == (None, None, [])


def test_k1_no_value_of_an_environment_is_printed(engine: engines.Engine, shop: command.Shop) -> None:
    start(engine, "agent", "esb-agent-docker:v1", environment={"RUNTIME": "canary"})
    for more in ((), ("--output", "json"), ("-v",)):
        assert "canary" not in command.run("probe", "--source", shop.source, *more).text


def test_k3_what_somebody_wrote_into_a_label_is_neutral(engine: engines.Engine) -> None:
    start(engine, "gateway\x1b[31m", "esb-gateway-docker:v1")
    ended = command.run("probe", "--project", "shop")
    assert "\x1b" not in ended.text
    assert "gateway\\x1b[31m" in ended.out


def test_h8_two_stacks_of_one_name_are_76(engine: engines.Engine) -> None:
    for folder in ("/srv/a", "/srv/b"):
        start(engine, "gateway", "esb-gateway-docker:v1", labels={probe.LABEL_FOLDER: folder})
    ended = command.run("probe", "--project", "shop")
    assert (ended.code, ended.out) == (76, "")
    assert "StackAmbiguous" in ended.err
    assert "gateway from /srv/a and /srv/b" in ended.err


def test_an_engine_that_does_not_answer_is_69(engine: engines.Engine) -> None:
    engine.fail("containers", "", errors.ControllerError("DockerUnavailable", "no engine answers"))
    ended = command.run("probe", "--project", "shop")
    assert (ended.code, ended.out) == (69, "")
    assert "no engine answers" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 64, "--project"),
        (("--project", ""), 78, "stack.project"),
        (("--unknown",), 64, "--unknown"),
        (("--source", "nowhere"), 69, "SourceMissing"),
    ],
)
def test_wrong_usage_asks_no_engine(engine: engines.Engine, arguments: tuple[str, ...], code: int, says: str) -> None:
    ended = command.run("probe", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert says in ended.err
    assert engine.calls == []


def test_an_artifact_that_breaks_the_contract_is_65(engine: engines.Engine, shop: command.Shop) -> None:
    command.replace_text(shop.manifest, 'schema_version: "1"', 'schema_version: "2"')
    assert command.run("probe", "--source", shop.source).code == 65


def test_nothing_is_changed(engine: engines.Engine, shop: command.Shop) -> None:
    before = command.snapshot(shop.folder)
    assert command.run("probe", "--source", shop.source).code == 0
    assert command.snapshot(shop.folder) == before
    assert {name for name, _ in engine.calls} <= {"containers", "images", "preflight"}


def test_the_digest_that_the_engine_knows_is_shown(engine: engines.Engine) -> None:
    start(engine, "gateway", "esb-gateway-docker:v1")
    (held,) = engine.local.values()
    known = (f"esb-gateway-docker@{DIGEST}",)
    engine.local[held.id] = docker.EngineImage(held.id, held.tags, known, held.labels, held.platform)
    shown = command.run("probe", "--project", "shop").out
    assert "docker  v1  esb-gateway-docker:v1 (sha256:dddddddddddd)\n" in shown
