"""What is asked of the docker command, and what is made of its answers, with a stub in its place."""

import json
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from controller import docker, errors
from tests.fakes import docker_stub

ID, OTHER = "a" * 64, "b" * 64
CANARY = "canary-51c0"
MOMENT = "2026-02-20T07:04:04.12Z"


ONE_EACH = "--format={{json .}}"


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> docker_stub.DockerStub:
    return docker_stub.DockerStub(tmp_path / "stub").first_on(monkeypatch)


def shown(identity: str = ID, **state: Any) -> dict[str, Any]:
    return {
        "Id": identity,
        "Name": "/esb-gateway-1",
        "Image": "sha256:" + "c" * 64,
        "State": {"Status": "running", "ExitCode": 0, "Health": {"Status": "healthy"}, **state},
        "Config": {"Image": "gateway:1", "Labels": {"a": "b"}, "Env": [f"AUTH_PASS={CANARY}", "MODE=x=y", "ODD"]},
    }


def picture(identity: str, *tags: str, digests: tuple[str, ...] = (), labels: Any = None) -> dict[str, Any]:
    return {
        "Id": f"sha256:{identity}",
        "RepoTags": list(tags),
        "RepoDigests": list(digests),
        "Config": {"Labels": labels},
        "Os": "linux",
        "Architecture": "arm64",
        "Variant": "v8",
        "Created": "1985-11-05T00:53:20Z",
    }


def service(**changes: Any) -> docker.ServiceRun:
    given = {
        "service": "provisioner",
        "name": "esb-provisioner-run",
        "labels": {"run": "1"},
        "project": "esb",
        "files": (Path("/srv/compose.yml"), Path("/srv/more.yml")),
        "env_file": Path("/srv/stack.env"),
        "project_directory": Path("/srv"),
        "profile": "deploy",
        "environment": {"CONFIG_DIR": "/srv/config dir"},
        "with_deps": False,
    }
    return docker.ServiceRun(**{**given, **changes})


def request(tmp_path: Path, **changes: Any) -> docker.BuildRequest:
    given = {
        "context": tmp_path,
        "dockerfile": tmp_path / "d" / "Dockerfile",
        "tags": ("127.0.0.1:5010/a:1",),
        "labels": {"input": "sha256:1"},
        "arguments": {"A": "x y"},
        "platform": "",
        "contexts": {"base:1": "docker-image://base@sha256:2"},
    }
    return docker.BuildRequest(**{**given, **changes})


def failed(act: Any, *arguments: Any, **named: Any) -> errors.ControllerError:
    with pytest.raises(errors.ControllerError) as caught:
        act(*arguments, **named)
    assert caught.value.reason == "DockerUnavailable"
    return caught.value


# containers


def test_containers_take_two_calls_and_show_only_what_was_asked_for(stub: docker_stub.DockerStub) -> None:
    """K1: no other value of an environment leaves the module."""
    stub.says("container list", f"{ID}\n{OTHER}\n{ID}\n")
    stub.says("container inspect", json.dumps([shown(), shown(OTHER, Status="exited", ExitCode=3, Health=None)]))
    found = docker.Engine().containers({"project": "esb", "x": "y"}, environment=("MODE", "ABSENT"))
    assert found == (
        docker.Container(
            ID,
            "esb-gateway-1",
            "gateway:1",
            "sha256:" + "c" * 64,
            {"a": "b"},
            "running",
            "healthy",
            None,
            {"MODE": "x=y"},
        ),
        docker.Container(
            OTHER, "esb-gateway-1", "gateway:1", "sha256:" + "c" * 64, {"a": "b"}, "exited", "", 3, {"MODE": "x=y"}
        ),
    )
    listing, inspecting = stub.calls
    assert listing[:5] == ["container", "list", "--quiet", "--no-trunc", "--all"]
    assert listing[5:] == ["--filter=label=project=esb", "--filter=label=x=y"]
    assert inspecting == ["container", "inspect", ONE_EACH, "--", ID, OTHER]


def test_no_container_is_one_call(stub: docker_stub.DockerStub) -> None:
    stub.says("container list")
    assert docker.Engine().containers() == ()
    assert len(stub.calls) == 1


def test_a_container_is_found_by_its_whole_name_only(stub: docker_stub.DockerStub) -> None:
    """The engine's filter is a pattern; a name is none."""
    stub.says("container list", f"{ID}\n")
    stub.says("container inspect", json.dumps([shown()]))
    assert docker.Engine().containers(name="esb.gateway-1") == ()
    assert r"--filter=name=^/esb\.gateway\-1$" in stub.calls[0]
    assert len(docker.Engine().containers(name="esb-gateway-1")) == 1


def test_h8_a_container_that_vanishes_meanwhile_is_left_out(stub: docker_stub.DockerStub) -> None:
    stub.says("container list", f"{ID}\n{OTHER}\n")
    gone = f"Error response from daemon: No such container: {OTHER}\n"
    stub.says("container inspect", json.dumps([shown()]), err=gone, code=1)
    assert [one.id for one in docker.Engine().containers()] == [ID]
    stub.says("container inspect", "", err=gone, code=1)
    assert docker.Engine().containers() == ()


def test_h5_warnings_among_the_answers_are_no_containers(stub: docker_stub.DockerStub) -> None:
    stub.says("container list", f"WARNING: something is deprecated\n{ID}\nbye\n")
    stub.says("container inspect", f"WARNING: [x]\n{json.dumps([shown()])}\nbye\n", err="WARNING: y\n")
    assert [one.id for one in docker.Engine().containers()] == [ID]
    assert stub.calls[1] == ["container", "inspect", ONE_EACH, "--", ID]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"Id": 5},
        {"Id": ID},
        {"Id": ID, "Config": None, "State": [], "Name": None},
        {"Id": ID, "State": {"Status": 1, "ExitCode": "3", "Health": "x"}, "Config": {"Env": {"A": 1}, "Labels": [1]}},
        {"Id": ID, "State": {"Status": "exited", "ExitCode": None}, "Config": {"Env": [1, None], "Labels": {"a": 1}}},
    ],
)
def test_odd_payloads_are_read_as_far_as_they_go(stub: docker_stub.DockerStub, odd: Mapping[str, Any]) -> None:
    stub.says("container list", f"{ID}\n{OTHER}\n")
    stub.says("container inspect", json.dumps([odd, shown(OTHER)]))
    found = docker.Engine().containers(environment=["A"])
    assert found[-1].id == OTHER
    assert all((one.exit_code, dict(one.environment)) == (None, {}) for one in found)


@pytest.mark.parametrize("answer", ["", "{", "Segmentation fault", f"[[{CANARY}", '["text"]', b"\xff\xfe\x00"])
def test_h5_garbage_is_told_in_words_and_never_shown(stub: docker_stub.DockerStub, answer: str | bytes) -> None:
    stub.says("container list", f"{ID}\n")
    stub.says("container inspect", answer)
    error = failed(docker.Engine().containers)
    assert "container inspect answered with" in error.message
    assert CANARY not in told(error)


def test_a_question_that_is_refused_says_why(stub: docker_stub.DockerStub) -> None:
    stub.says("container list", err=b"Error response from daemon: \xff broken\n", code=1)
    assert failed(docker.Engine().containers).message == (
        "docker container list failed with exit code 1: Error response from daemon: ? broken"
    )


# images


def test_images_are_found_by_every_name_of_theirs_in_one_call(stub: docker_stub.DockerStub) -> None:
    pinned = "127.0.0.1:5010/a@sha256:" + "d" * 64
    both = [picture(ID, "a:latest", "127.0.0.1:5010/a:1", digests=(pinned,), labels={"l": "v"}), picture(OTHER, "b:2")]
    stub.says("image inspect", json.dumps(both), err="Error response from daemon: No such image: none:1\n", code=1)
    names = ("a", "docker.io/library/a:latest", "127.0.0.1:5010/a:1", pinned, pinned.replace("@", ":7@"), ID, ID[:12])
    found = docker.Engine().images((*names, "b:2", "none:1", "b", "b:2", ""))
    assert {name: one.id for name, one in found.items()} == {
        **dict.fromkeys(names, f"sha256:{ID}"),
        "b:2": f"sha256:{OTHER}",
    }
    assert found["a"] == docker.EngineImage(
        f"sha256:{ID}", ("a:latest", "127.0.0.1:5010/a:1"), (pinned,), {"l": "v"}, "linux/arm64/v8", 500_000_000
    )
    assert stub.calls == [["image", "inspect", ONE_EACH, "--", *names, "b:2", "none:1", "b"]]


def test_no_image_is_no_call(stub: docker_stub.DockerStub) -> None:
    assert docker.Engine().images([]) == {}
    assert stub.calls == []


@pytest.mark.parametrize(
    "complaint",
    [
        "Error response from daemon: No such image: a:1",
        "Error: No such image: a:1",
        "Error response from daemon: no such image: a:1: No such image: a:1",
        "error: no such object: a:1",
        "Error response from daemon: invalid reference format",
    ],
)
def test_absent_images_are_left_out(stub: docker_stub.DockerStub, complaint: str) -> None:
    stub.says("image inspect", "\n", err=f"WARNING: x\n{complaint}\n", code=1)
    assert docker.Engine().images(["a:1"]) == {}


def test_absent_is_not_said_of_what_could_not_be_asked(stub: docker_stub.DockerStub) -> None:
    """Counter-check: an engine in trouble has not lost its images."""
    complaint = "Error response from daemon: No such image: a:1\nError response from daemon: layer store is broken\n"
    stub.says("image inspect", "[]\n", err=complaint, code=1)
    assert "layer store is broken" in failed(docker.Engine().images, ["a:1", "b:1"]).message


def test_labelled_images_take_two_calls(stub: docker_stub.DockerStub) -> None:
    stub.says("image list", f"sha256:{ID}\nsha256:{ID}\n")
    stub.says("image inspect", json.dumps([picture(ID, labels={"input": "1"})]))
    (found,) = docker.Engine().labelled_images("input")
    assert (found.id, found.tags, dict(found.labels)) == (f"sha256:{ID}", (), {"input": "1"})
    assert [call[-1] for call in stub.calls] == ["--filter=label=input", f"sha256:{ID}"]


@pytest.mark.parametrize(
    ("image", "labels", "created_s"),
    [
        ({"config": {"Labels": {"input": "1"}}, "created": "1985-11-05T00:53:20Z"}, {"input": "1"}, 500_000_000),
        ({"config": {"Labels": {"input": "1"}}, "created": "1985-11-05T00:53:20.5Z"}, {"input": "1"}, None),
        (
            {
                "linux/amd64": {"config": {}, "created": "1985-11-05T00:53:20Z"},
                "linux/arm64": {"config": {"Labels": {"input": "2"}}, "created": "1985-11-05T00:53:21Z"},
            },
            {"input": "2"},
            500_000_001,
        ),
        (None, {}, None),
    ],
)
def test_h10_a_remote_manifest_has_a_digest_labels_and_a_second(
    stub: docker_stub.DockerStub, image: Any, labels: Mapping[str, str], created_s: int | None
) -> None:
    """H10: a label counts together with the second of the image that has it."""
    stub.says("buildx imagetools inspect", json.dumps({"manifest": {"digest": "sha256:1"}, "image": image}, indent=2))
    assert docker.Engine().remote_manifest("r/a:1") == docker.RemoteManifest("sha256:1", labels, created_s)


@pytest.mark.parametrize("complaint", ["ERROR: r/a:1: not found", "ERROR: r/a:1: manifest unknown"])
def test_a_manifest_that_is_not_there_is_none(stub: docker_stub.DockerStub, complaint: str) -> None:
    stub.says("buildx imagetools", err=complaint, code=1)
    assert docker.Engine().remote_manifest("r/a:1") is None


def test_a_registry_that_refuses_is_a_failure(stub: docker_stub.DockerStub) -> None:
    stub.says("buildx imagetools", err=f"ERROR: https://user:{CANARY}@r/: connection refused", code=1)
    with pytest.raises(docker.CommandFailed) as caught:
        docker.Engine().remote_manifest("r/a:1")
    assert caught.value.tail == ("ERROR: https://***@r/: connection refused",)
    stub.says("buildx imagetools", "{}")
    failed(docker.Engine().remote_manifest, "r/a:1")


# build, tag, push


def test_a_build_names_everything_and_gives_the_id(stub: docker_stub.DockerStub, tmp_path: Path) -> None:
    stub.says("context show", "default\n")
    stub.says("buildx build", err="#1 done\n")
    stub.says("image inspect", json.dumps([picture(ID, "127.0.0.1:5010/a:1")]))
    assert docker.Engine().build(request(tmp_path, cache=False, platform="linux/arm64")) == f"sha256:{ID}"
    words = stub.calls[1]
    assert words[:2] == ["buildx", "build"]
    assert words[-1] == str(tmp_path)
    pairs = [(words[number], words[number + 1]) for number in range(len(words) - 1)]
    for pair in (
        ("--build-arg", "A=x y"),
        ("--build-context", "base:1=docker-image://base@sha256:2"),
        ("--builder", "default"),
        ("--file", str(tmp_path / "d" / "Dockerfile")),
        ("--label", "input=sha256:1"),
        ("--platform", "linux/arm64"),
        ("--progress", "plain"),
        ("--tag", "127.0.0.1:5010/a:1"),
    ):
        assert pair in pairs
    assert {"--load", "--provenance=false", "--no-cache"} <= set(words)
    assert not {"--push", "--pull"} & set(words)


def test_a_build_with_the_cache_for_the_engine_s_own_platform_names_neither(
    stub: docker_stub.DockerStub, tmp_path: Path
) -> None:
    stub.says("context show", err="unknown command", code=1)
    stub.says("buildx build")
    stub.says("image inspect", json.dumps([picture(ID, "127.0.0.1:5010/a:1")]))
    docker.Engine().build(request(tmp_path))
    assert not {"--no-cache", "--platform", "--builder"} & set(stub.calls[1])


def test_h10_a_build_is_dated_by_the_request_alone(stub: docker_stub.DockerStub, tmp_path: Path) -> None:
    """H10: an argument of that name, and the variable that buildx would take, do not count."""
    stub.says("context show", "default\n")
    stub.says("buildx build")
    stub.says("image inspect", json.dumps([picture(ID, "127.0.0.1:5010/a:1")]))
    wanted = request(tmp_path, created_s=500_000_000, arguments={"SOURCE_DATE_EPOCH": "1", "A": "b"})
    assert docker.Engine().build(wanted) == f"sha256:{ID}"
    given = [stub.calls[1][number + 1] for number, word in enumerate(stub.calls[1]) if word == "--build-arg"]
    assert sorted(given) == ["A=b", "SOURCE_DATE_EPOCH=500000000"]


def test_h10_an_engine_that_dates_images_by_its_clock_is_told(stub: docker_stub.DockerStub, tmp_path: Path) -> None:
    """H10: its images would be taken for somebody else's, and built for ever."""
    stub.says("context show", "default\n")
    stub.says("buildx build")
    stub.says("image inspect", json.dumps([picture(ID, "127.0.0.1:5010/a:1")]))
    told = failed(docker.Engine().build, request(tmp_path, created_s=500_000_001))
    assert (told.reason, "SOURCE_DATE_EPOCH" in told.message) == ("DockerUnavailable", True)


def test_h9_a_failed_build_has_its_last_lines(stub: docker_stub.DockerStub, tmp_path: Path) -> None:
    stub.says("context show", "default\n")
    lines = b"".join(b"#1 line %d \xff\x1b[31m\n" % number for number in range(500))
    stub.says("buildx build", err=lines + f"password={CANARY}\nERROR: failed to solve".encode(), code=1)
    with pytest.raises(docker.CommandFailed) as caught:
        docker.Engine().build(request(tmp_path))
    assert (caught.value.exit_code, caught.value.tail[-3:]) == (
        1,
        ("#1 line 499 �", "password=***", "ERROR: failed to solve"),
    )
    assert len(caught.value.tail) == 100
    assert CANARY not in told(caught.value)


def test_a_built_image_that_is_not_in_the_engine_is_no_success(stub: docker_stub.DockerStub, tmp_path: Path) -> None:
    stub.says("context show", "default\n")
    stub.says("buildx build")
    stub.says("image inspect", "[]", err="Error: No such image: x", code=1)
    assert "was built, and is not in the engine" in failed(docker.Engine().build, request(tmp_path)).message


def test_h10_a_failed_push_has_its_last_lines(stub: docker_stub.DockerStub) -> None:
    stub.says("image push", "preparing\n", err="denied: requested access\n", code=1)
    stub.says("image tag")
    engine = docker.Engine()
    engine.tag(ID, "r/a:1")
    with pytest.raises(docker.CommandFailed) as caught:
        engine.push("r/a:1")
    assert caught.value.tail == ("preparing", "denied: requested access")
    assert stub.calls == [["image", "tag", "--", ID, "r/a:1"], ["image", "push", "--", "r/a:1"]]


# the service


def test_dk2_dk4_a_service_is_run_alone_without_a_terminal_and_removed(stub: docker_stub.DockerStub) -> None:
    stub.does("compose", 'echo "CONFIG_DIR=$CONFIG_DIR"')
    assert docker.Engine().run_service(service()) == docker.RunOutcome(0, ("CONFIG_DIR=/srv/config dir",))
    (words,) = stub.calls
    before, after = words[: words.index("run")], words[words.index("run") + 1 :]
    assert before == [
        "compose",
        *("--file", "/srv/compose.yml"),
        *("--file", "/srv/more.yml"),
        *("--profile", "deploy"),
        *("--env-file", "/srv/stack.env"),
        *("--project-name", "esb"),
        *("--project-directory", "/srv"),
    ]
    assert {"--rm", "--no-deps", "--no-TTY"} <= set(after)
    assert after[after.index("--name") + 1] == "esb-provisioner-run"
    assert "run=1" in after
    assert after[-1] == "provisioner"


def test_dk2_dependencies_are_started_only_when_told(stub: docker_stub.DockerStub) -> None:
    stub.says("compose")
    docker.Engine().run_service(service(with_deps=True, profile=None, env_file=None, project_directory=None, files=()))
    assert not {"--no-deps", "--profile", "--env-file", "--project-directory", "--file"} & set(stub.calls[0])


def test_h5_the_services_of_a_project_are_the_names_in_the_answer(stub: docker_stub.DockerStub) -> None:
    """Asked with the files, the environment and the profile of a run; a warning among them is no service."""
    stub.does("compose", 'printf "%s\\n" gateway "WARNING: no such thing" provisioner gateway "$CONFIG_DIR"')
    assert docker.Engine().services(service(), profile="*") == ("gateway", "provisioner")
    (words,) = stub.calls
    assert words[-2:] == ["config", "--services"]
    assert {"/srv/compose.yml", "/srv/stack.env", "esb", "/srv", "*"} <= set(words)
    assert "deploy" not in words


def test_h5_compose_that_says_no_is_one_thing_and_none_at_all_another(stub: docker_stub.DockerStub) -> None:
    stub.says("compose", err="yaml: line 1: did not find expected node content", code=15)
    with pytest.raises(docker.CommandFailed) as caught:
        docker.Engine().services(service(), profile=None)
    assert caught.value.tail == ("yaml: line 1: did not find expected node content",)
    stub.says("compose", err="docker: 'compose' is not a docker command.", code=1)
    assert failed(docker.Engine().services, service(), profile=None).reason == "DockerUnavailable"


@pytest.mark.parametrize("code", [1, 2, 124, 125, 126, 127, 137, 143, 255])
def test_h3_any_exit_code_of_the_container_is_a_value(stub: docker_stub.DockerStub, code: int) -> None:
    """Also those that compose, docker, the shell and timeout use themselves."""
    stub.says("compose", "Cannot connect to the Docker daemon at x\nno such service: p", code=code)
    stub.says("info", f"WARNING: x\n{MOMENT}\n")
    stub.says("events", f"start \ndie {code}\n")
    tail = ("Cannot connect to the Docker daemon at x", "no such service: p")
    assert docker.Engine().run_service(service()) == docker.RunOutcome(code, tail)
    assert f"--until={MOMENT}" in stub.calls[-1]
    (label,) = (word for word in stub.calls[0] if word.startswith(docker.LABEL_CALL))
    assert f"--filter=label={label}" in stub.calls[-1]


def test_h3_the_container_s_own_exit_code_decides(stub: docker_stub.DockerStub) -> None:
    """Compose may fail while the container goes on, and afterwards."""
    stub.says("compose", code=1)
    stub.says("info", MOMENT)
    stub.says("events", "start \ndie 0\n")
    assert docker.Engine().run_service(service()).exit_code == 0
    stub.says("events", "start\n")
    assert docker.Engine().run_service(service()).exit_code == 1


@pytest.mark.parametrize(
    "complaint", ["no such service: provisioner", "yaml: line 1: did not find expected node content", ""]
)
def test_a_service_that_was_never_started_is_a_failure_of_compose(stub: docker_stub.DockerStub, complaint: str) -> None:
    stub.says("compose", err=complaint, code=15)
    stub.says("info", MOMENT)
    stub.says("events")
    with pytest.raises(docker.CommandFailed) as caught:
        docker.Engine().run_service(service())
    assert not isinstance(caught.value, docker.NameInUse)
    assert (caught.value.exit_code, caught.value.tail) == (15, (complaint,) if complaint else ())


def test_without_events_an_exit_code_is_taken_for_the_container_s(stub: docker_stub.DockerStub) -> None:
    stub.says("compose", "it broke", code=3)
    stub.says("info", "no idea")
    assert docker.Engine().run_service(service()) == docker.RunOutcome(3, ("it broke",))
    stub.says("info", err="Error: no", code=1)
    assert docker.Engine().run_service(service()) == docker.RunOutcome(3, ("it broke",))


@pytest.mark.parametrize("answered", [True, False], ids=["events", "no events"])
def test_p7_a_name_that_is_taken_is_told_apart(stub: docker_stub.DockerStub, answered: bool) -> None:
    taken = (
        'Error response from daemon: Conflict. The container name "/esb-provisioner-run" is already in use by container '
        f'"{ID}". You have to remove (or rename) that container to be able to reuse that name.'
    )
    stub.says("compose", err=taken, code=1)
    stub.says("info", MOMENT)
    stub.says("events", code=0 if answered else 1)
    with pytest.raises(docker.NameInUse) as caught:
        docker.Engine().run_service(service())
    assert caught.value.tail == (taken,)


def test_p7_another_s_name_that_is_taken_is_only_a_failure(stub: docker_stub.DockerStub) -> None:
    """A dependency's name, for example: there is no container of ours to wait for."""
    stub.says("compose", err='Error response from daemon: Conflict. The name "/esb-db-1" is already in use', code=1)
    stub.says("info", MOMENT)
    stub.says("events")
    with pytest.raises(docker.CommandFailed) as caught:
        docker.Engine().run_service(service())
    assert not isinstance(caught.value, docker.NameInUse)


# containers, one by one


def test_wait_gives_the_exit_code(stub: docker_stub.DockerStub) -> None:
    stub.says("container wait", "WARNING: x\n137\n")
    assert docker.Engine().wait(ID, seconds=5) == 137
    stub.says("container wait", "WARNING: x\n")
    failed(docker.Engine().wait, ID, seconds=5)
    stub.says("container wait", err="Error response from daemon: No such container: x\n", code=1)
    with pytest.raises(docker.CommandFailed):
        docker.Engine().wait(ID, seconds=5)


def test_logs_are_the_last_lines_of_both_streams(stub: docker_stub.DockerStub) -> None:
    stub.does("container logs", "echo one; echo two >&2; printf 'three \\377'")
    assert docker.Engine().logs(ID, lines=2) == ("two", "three �")
    assert stub.calls == [["container", "logs", "--tail=2", "--", ID]]


def test_remove_is_content_when_it_is_gone(stub: docker_stub.DockerStub) -> None:
    stub.says("container rm", err="Error response from daemon: No such container: x\n", code=1)
    docker.Engine().remove(ID)
    assert "--force" in stub.calls[0]
    stub.says("container rm", err="Error response from daemon: removal is already in progress\n", code=1)
    with pytest.raises(docker.CommandFailed):
        docker.Engine().remove(ID)


def test_stop_gives_grace(stub: docker_stub.DockerStub) -> None:
    stub.says("container stop", ID)
    docker.Engine().stop(ID, grace_s=3)
    assert stub.calls == [["container", "stop", "--time=3", "--", ID]]


# which engine


def test_the_address_and_the_context_go_into_every_call(stub: docker_stub.DockerStub, tmp_path: Path) -> None:
    stub.says("", "")
    for engine, flags in (
        (docker.Engine(host="tcp://10.0.0.9:2376"), ["--host", "tcp://10.0.0.9:2376"]),
        (docker.Engine(context="edge"), ["--context", "edge"]),
        (docker.Engine(host="", context=""), []),
    ):
        before = len(stub.calls)
        engine.containers()
        engine.labelled_images("x")
        engine.push("a")
        engine.logs(ID, lines=1)
        engine.run_service(service())
        failed(engine.build, request(tmp_path))
        calls = stub.calls[before:]
        assert [call[: len(flags)] for call in calls] == [flags] * len(calls)
        assert ["context", "show"] in [call[len(flags) :] for call in calls]


def test_the_address_in_words(monkeypatch: pytest.MonkeyPatch, stub: docker_stub.DockerStub) -> None:
    assert docker.Engine().address == "the current docker context"
    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    assert docker.Engine().address == "context far"
    monkeypatch.setenv("DOCKER_HOST", f"tcp://user:{CANARY}@10.0.0.9:2376")
    assert docker.Engine().address == "tcp://***@10.0.0.9:2376"
    assert docker.Engine(context="edge").address == "context edge"
    assert docker.Engine(host="ssh://edge.example").address == "ssh://edge.example"
    assert stub.calls == []


@pytest.mark.parametrize(
    ("host", "remote"),
    [
        ("unix:///run/docker.sock", False),
        ("fd://", False),
        ("ssh://edge", True),
        ("tcp://10.0.0.9:2376", True),
        ("tcp://localhost.example:2375", True),
        ("10.0.0.9:2375", True),
        ("ssh://user@127.0.0.1", True),
        ("tcp://127.0.0.1:2375", False),
        ("tcp://127.1.2.3", False),
        ("tcp://localhost:2376/", False),
        ("tcp://user@[::1]:2376", False),
        ("tcp://[::2]:2376", True),
        ("127.0.0.1:2375", False),
    ],
)
def test_remote_is_what_the_address_says_and_a_context_is_looked_up_once(
    stub: docker_stub.DockerStub, monkeypatch: pytest.MonkeyPatch, host: str, remote: bool
) -> None:
    assert docker.Engine(host=host).remote is remote
    monkeypatch.setenv("DOCKER_HOST", host)
    assert docker.Engine().remote is remote
    assert stub.calls == []
    stub.says("context inspect", f"{host}\n")
    engine = docker.Engine(context="edge")
    assert (engine.remote, engine.remote) == (remote, remote)
    assert stub.calls == [["--context", "edge", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]]


def test_two_names_for_one_engine_are_refused() -> None:
    with pytest.raises(errors.ControllerError) as caught:
        docker.Engine(host="unix:///a", context="b")
    assert caught.value.reason == "SettingsInvalid"


def told(error: Exception) -> str:
    """Everything that a person or a log might see of an exception."""
    extra = [*getattr(error, "tail", ()), *(str(one) for one in getattr(error, "problems", ()))]
    return "\n".join(["".join(traceback.format_exception(error)), str(error), repr(error), *extra])
