"""What compose defines and what a container mounts, as docker prints it (faults.md H11, H12), with a stub for docker."""

import json
from pathlib import Path
from typing import Any

import pytest

from controller import docker, errors
from core import compose_definition
from core import own_container as containers
from tests.fakes import docker_stub

ID = "a" * 64
FILE = Path("/srv/compose.yml")
WANTED = docker.ServiceRun(
    "provisioner", "n", {}, "shop", (FILE,), None, None, "deploy", {"CONFIG_DIR": "config"}, False
)
COMPOSE = f"compose --file {FILE} --profile"
DEFINED: dict[str, Any] = {
    "name": "shop",
    "services": {
        "gateway": {"depends_on": ["database"]},
        "database": None,
        "keeper": {"volumes": [{"type": "bind", "source": "/kept", "target": "/kept"}]},
        "provisioner": {
            "depends_on": {"database": {"condition": "service_started"}, "gateway": {}},
            "volumes": [
                {"type": "volume", "source": "config", "target": "/app/config", "volume": {"subpath": "eu"}},
                {"type": "volume", "source": "plain", "target": "/plain"},
                {"type": "volume", "target": "/nameless"},
                {"type": "bind", "source": "/srv/rules", "target": "/rules"},
                "short",
            ],
            "secrets": [{"source": "key", "target": "/run/secrets/key"}, {"source": "of-the-environment"}],
            "configs": [{"source": "tuning"}],
            "volumes_from": ["keeper:ro", "container:x"],
        },
    },
    "volumes": {"config": {"name": "shop-config"}, "plain": {"name": "shop_plain"}, "other": None},
    "secrets": {"key": {"file": "/srv/key"}, "of-the-environment": {"environment": "KEY"}},
    "configs": {"tuning": {"file": "/srv/tuning"}},
}


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> docker_stub.DockerStub:
    """The docker command."""
    return docker_stub.DockerStub(tmp_path / "stub").first_on(monkeypatch)


def test_h12_what_compose_defines(stub: docker_stub.DockerStub) -> None:
    """Volumes by the engine's name of them, files of secrets and configurations as the folders that they are."""
    stub.says("compose ", json.dumps(DEFINED))
    found = docker.Engine().definition(WANTED, profile="deploy")
    mount = compose_definition.Defined
    assert found.mounts == (
        mount("volume", "shop-config", "/app/config", "eu"),
        mount("volume", "shop_plain", "/plain"),
        mount("bind", "/srv/rules", "/rules"),
        mount("bind", "/srv/key", "/run/secrets/key"),
        mount("bind", "/srv/tuning", "tuning"),
        mount("bind", "/kept", "/kept"),
    )
    assert found.volumes == {"config": "shop-config", "plain": "shop_plain", "other": "other"}
    assert found.needs["provisioner"] == {"database", "gateway"}
    assert compose_definition.started_with("provisioner", found.needs) == {"database", "gateway"}
    assert stub.calls[-1][-3:] == ["config", "--format", "json"]


def test_h12_files_as_they_are_written(stub: docker_stub.DockerStub) -> None:
    stub.says("compose ", json.dumps(DEFINED))
    docker.Engine().definition(WANTED, profile="*", interpolate=False)
    assert stub.calls[-1][-4:] == ["config", "--format", "json", "--no-interpolate"]


@pytest.mark.parametrize("text", ["", "warning: nothing", "[1]"])
def test_h12_what_is_no_definition_is_an_error(stub: docker_stub.DockerStub, text: str) -> None:
    stub.says("compose ", text)
    with pytest.raises(errors.ControllerError) as caught:
        docker.Engine().definition(WANTED, profile="deploy")
    assert caught.value.reason == "DockerUnavailable"


@pytest.mark.parametrize("payload", [{}, {"services": []}, {"services": {"provisioner": []}, "volumes": "x"}])
def test_h12_a_definition_of_nothing(stub: docker_stub.DockerStub, payload: Any) -> None:
    stub.says("compose ", json.dumps(payload))
    assert docker.Engine().definition(WANTED, profile="deploy").mounts == ()


def test_h12_a_circle_ends() -> None:
    """Compose refuses one; a definition that has it is no reason to hang."""
    needs = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"a"})}
    assert compose_definition.started_with("a", needs) == {"a", "b", "c"}


def test_h12_what_a_container_mounts(stub: docker_stub.DockerStub) -> None:
    """A folder by the path that the engine was given, whichever of its two ways that took."""
    shown = {
        "Id": ID,
        "Mounts": [
            {"Type": "volume", "Name": "v", "Source": "/volumes/v", "Destination": "/v"},
            {"Type": "bind", "Source": "/host_mnt/short", "Destination": "/short"},
            {"Type": "bind", "Source": "/host_mnt/long", "Destination": "/long"},
            {"Type": "bind", "Source": "/as/it/is", "Destination": "/other"},
            {"Type": "bind"},
        ],
        "HostConfig": {
            "Binds": ["v:/v:rw", "/short:/short:ro", "odd"],
            "Mounts": [{"Type": "bind", "Source": "/long", "Target": "/long"}],
            "Tmpfs": {"/tmp": "size=1m"},
        },
        "GraphDriver": {"Data": {"UpperDir": "/overlay2/x/diff"}},
    }
    stub.says("container inspect", json.dumps(shown))
    (found,) = docker.Engine().containers_of((ID[:12],))
    mount = containers.Mount
    assert found.mounts == (
        mount("volume", "v", "/v", "/volumes/v"),
        mount("bind", "/short", "/short", "/host_mnt/short"),
        mount("bind", "/long", "/long", "/host_mnt/long"),
        mount("bind", "/as/it/is", "/other", "/as/it/is"),
        mount("tmpfs", "", "/tmp"),
    )
    assert (found.layer, found.shown) == ("/overlay2/x/diff", containers.Shown(ID, found.mounts, found.layer))


def test_h12_a_container_that_the_engine_does_not_have(stub: docker_stub.DockerStub) -> None:
    stub.says("container inspect", "", err=f"Error: No such container: {ID}\n", code=1)
    assert docker.Engine().containers_of((ID,)) == ()
