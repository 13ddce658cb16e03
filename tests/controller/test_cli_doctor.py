"""`controller doctor` beyond the usual: git sources, what a controller that stays needs, Docker and the stack."""

import os
import shutil
import socket
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller import check, compose_stack, docker, errors
from controller.probes import stack as probe
from tests.fakes import command, git_server, registries, tools
from tests.fakes import engine as engines
from tests.fakes.command import Shop

Found = dict[str, list[tuple[str, str, str]]]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def doctor(shop: Shop, *words: str | Path, environment: dict[str, str] | None = None) -> Found:
    """The checks by name: status, detail, hint. Every one that is not well says a way out."""
    ended = shop.run("doctor", *words, "--output", "json", environment=environment)
    found: Found = {}
    for one in ended.json["checks"]:
        assert set(one) == {"name", "status", "detail", "hint"}
        assert one["hint"] or one["status"] == check.OK, one
        found.setdefault(one["name"], []).append((one["status"], one["detail"], one["hint"]))
    failing = any(status == check.FAIL for each in found.values() for status, _, _ in each)
    assert ended.code == (errors.MEANINGS["CheckFailed"].exit_code if failing else 0), ended.text
    return found


def statuses(found: Found) -> dict[str, set[str]]:
    return {name: {status for status, _, _ in each} for name, each in found.items()}


# A repository


class Followed:
    """The sample in a repository, and settings that follow it."""

    def __init__(self, folder: Path, shop: Shop) -> None:
        tools.require("git", "ssh-keygen")
        self.shop = shop
        self.author = git_server.Author(folder / "work", folder / "shop.git")
        shutil.copytree(command.SAMPLE, folder / "work" / "deploy")
        self.author.commit("one")
        self.author.push()
        self.words: list[str | Path] = ["--git", f"file://{self.author.bare}", "--config-dir", shop.config]
        self.words += ["--state-dir", shop.folder / "state"]

    def doctor(self, **more: str) -> Found:
        given = {"CONTROLLER_SOURCE__GIT__PATH": "deploy", **more}
        return doctor(self.shop, *self.words, environment=given)


@pytest.fixture
def followed(tmp_path: Path, shop: Shop) -> Followed:
    return Followed(tmp_path, shop)


@pytest.mark.parametrize("clones", ["", "clones"], ids=["its own clone", "a clone of several"])
def test_a_repository_is_asked_and_read_and_nothing_stays(followed: Followed, tmp_path: Path, clones: str) -> None:
    before = command.snapshot(tmp_path)
    found = followed.doctor(**{"CONTROLLER_CLONES_DIR": str(tmp_path / clones)} if clones else {})
    (source,) = found["source"]
    assert source[0] == "ok"
    assert source[1].startswith("commit ")
    assert "3 functions, 3 routes" in source[1]
    assert found["git"][0][1].startswith("git version ")
    assert found["secrets"][0][0] == "ok"
    assert command.snapshot(tmp_path) == before


def test_a_repository_that_is_away_fails_with_its_way_out(followed: Followed) -> None:
    followed.author.bare.rename(followed.author.bare.with_name("moved"))
    assert followed.doctor()["source"][0][0] == "FAIL"
    assert followed.doctor()["source"][0][2] == errors.MEANINGS["SourceUnavailable"].hint
    followed.author.bare.with_name("moved").rename(followed.author.bare)
    missing = followed.doctor(CONTROLLER_SOURCE__GIT__REF="release")["source"][0]
    assert (missing[0], missing[2]) == ("FAIL", errors.MEANINGS["RefMissing"].hint)


def test_l4_without_a_place_for_temporary_files(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**_: object) -> str:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", none)
    status, _, hint = followed.doctor()["source"][0]
    assert (status, "TMPDIR" in hint) == ("warn", True)


def test_p8_a_repository_that_never_answers_is_told_by_the_deadline(shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/shop.git"
        words = ("--git", url, "--config-dir", shop.config, "--state-dir", shop.folder / "state")
        found = doctor(shop, *words, environment={"CONTROLLER_DEADLINES__GIT": "1s"})
    assert found["source"][0][0] == "FAIL"


def test_the_programs_of_a_source_are_those_that_it_needs(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    git = shutil.which("git")
    assert git is not None
    (tmp_path / "bin" / "git").symlink_to(git)
    for name in ("keys", "hosts"):
        (tmp_path / name).touch()
    given = {
        "PATH": str(tmp_path / "bin"),
        "CONTROLLER_SOURCE__GIT__KNOWN_HOSTS_FILE": str(tmp_path / "hosts"),
        "CONTROLLER_SOURCE__GIT__VERIFY__POLICY": "head",
        "CONTROLLER_SOURCE__GIT__VERIFY__ALLOWED_SIGNERS_FILE": str(tmp_path / "keys"),
        "CONTROLLER_SOURCE__GIT__VERIFY__KEYRING_FILE": str(tmp_path / "keys"),
    }
    words = ("--git", "ssh://git@localhost/shop", "--config-dir", shop.config, "--state-dir", tmp_path / "state")
    found = doctor(shop, *words, environment=given)
    assert found["git"][0][0] == "ok"
    for name, package in {"ssh": "openssh-client", "ssh-keygen": "openssh-client", "gpg": "gnupg"}.items():
        status, detail, hint = found[name][0]
        assert (status, "not on PATH" in detail, hint) == ("FAIL", True, f"install {package}")
    assert "tools" not in found
    assert list(doctor(shop, *shop.target)["tools"]) == [("ok", "none is needed: the source is a folder", "")]


# A controller that stays


def test_what_a_controller_that_stays_needs(shop: Shop) -> None:
    secret, url = shop.folder / "secret", shop.folder / "url"
    secret.write_text("0123456789abcdef")
    url.write_text("https://canary.example.org/token")
    for file in (secret, url):
        file.chmod(0o600)
    given = {
        "CONTROLLER_HTTP__LISTEN": "127.0.0.1:0",
        "CONTROLLER_HTTP__WEBHOOK_SECRET_FILE": str(secret),
        "CONTROLLER_NOTIFY__URL_FILE": str(url),
    }
    found = doctor(shop, *shop.target, environment=given)
    assert {name: found[name][0][0] for name in ("http", "webhook", "notify")} == dict.fromkeys(
        ("http", "webhook", "notify"), "ok"
    )
    assert "canary" not in str(found)
    for file in (secret, url):
        file.chmod(0o644)
    seen = statuses(doctor(shop, *shop.target, environment=given))
    assert (seen["webhook"], seen["notify"]) == ({"ok", "warn"}, {"ok", "warn"})
    secret.write_text("short")
    url.write_text("ftp://canary")
    seen = statuses(found := doctor(shop, *shop.target, environment=given))
    assert (seen["webhook"], seen["notify"]) == ({"FAIL"}, {"FAIL"})
    assert "canary" not in str(found)


def test_an_address_that_is_taken_may_be_our_own(shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        found = doctor(shop, *shop.target, environment={"CONTROLLER_HTTP__LISTEN": listen})
    assert found["http"][0][0] == "warn"


def test_an_address_of_another_host_is_nobody_s(shop: Shop) -> None:
    found = doctor(shop, *shop.target, environment={"CONTROLLER_HTTP__LISTEN": "192.0.2.1:8080"})
    assert found["http"][0][0] == "FAIL"


def test_a_source_that_is_away_does_not_hide_a_docker_that_is_away(shop: Shop) -> None:
    absent = shop.folder / "absent"
    where = {"DOCKER_HOST": f"unix://{absent}.sock", "CONTROLLER_STACK__COMPOSE_FILES": "compose.yml"}
    found = doctor(shop, "--source", absent, "--config-dir", shop.config, environment=where)
    assert (found["source"][0][0], found["docker"][0][0]) == ("FAIL", "FAIL")
    found = doctor(shop, *shop.target, environment=where)
    assert len(found["docker"]) == 1, "and it is asked once"
    assert "docker" not in doctor(shop, "--source", absent, "--config-dir", shop.config), "no stack needs one"


def test_a_place_below_a_file_is_told_as_one(shop: Shop) -> None:
    file = shop.folder / "file"
    file.touch()
    found = doctor(shop, "--source", shop.source, "--config-dir", file / "a", "--state-dir", file / "b")
    for name, below in (("CONFIG_DIR", "a"), ("record", "b")):
        assert found[name] == [("FAIL", f"{file} is not a directory", f"name another place than {file / below}")]


def test_l1_documents_from_the_future(shop: Shop) -> None:
    shop.published()
    assert "clock" not in doctor(shop, *shop.target)
    ahead = (shop.config / "functions.yml").stat().st_mtime + 3600
    os.utime(shop.config / "functions.yml", (ahead, ahead))
    status, detail, hint = doctor(shop, *shop.target)["clock"][0]
    assert (status, "ahead of this host's clock" in detail, bool(hint)) == ("warn", True, True)


def test_a_secrets_file_that_everybody_can_read(shop: Shop) -> None:
    secrets = shop.folder / "stack.env"
    secrets.write_text("A=1\n")
    secrets.chmod(0o644)
    assert doctor(shop, *shop.target, "--secret-env", secrets)["secrets file"][0][0] == "warn"
    secrets.chmod(0o600)
    assert "secrets file" not in doctor(shop, *shop.target, "--secret-env", secrets)


# Docker


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> engines.Engine:
    played = engines.Engine(defined=("gateway", "provisioner"))
    monkeypatch.setattr(docker, "Engine", lambda **_: played)
    return played


def run_gateway(engine: engines.Engine, **more: Any) -> None:
    image = engine.hold("esb-gateway-docker:latest")
    labels = {probe.LABEL_PROJECT: "shop", probe.LABEL_SERVICE: "gateway"}
    one = docker.Container(
        "1", "shop-gateway-1", "esb-gateway-docker:latest", image.id, labels, "running", "", None, {}
    )
    engine.standing["1"] = replace(one, **more)


@pytest.fixture
def stack(shop: Shop) -> dict[str, str]:
    (shop.folder / "compose.yml").touch()
    return {
        "CONTROLLER_STACK__COMPOSE_FILES": str(shop.folder / "compose.yml"),
        "CONTROLLER_STACK__PROJECT": "shop",
        "CONTROLLER_STACK__CONFIG_DIR_ON_HOST": "shop_config",
    }


def test_the_stack_is_judged_as_a_pass_does(shop: Shop, engine: engines.Engine, stack: dict[str, str]) -> None:
    found = doctor(shop, *shop.target, environment=stack)
    assert (found["stack"][0][0], found["stack"][0][2]) == ("warn", errors.MEANINGS["StackNotRunning"].hint)
    run_gateway(engine, health="unhealthy")
    assert "unhealthy" in doctor(shop, *shop.target, environment=stack)["stack"][0][1]
    run_gateway(engine)
    found = doctor(shop, *shop.target, environment=stack)
    assert {name: found[name][0][0] for name in ("docker", "compose", "stack", "provisioner")} == {
        "docker": "ok", "compose": "ok", "stack": "ok", "provisioner": "ok",
    }  # fmt: skip
    with shop.manifest.open("a") as manifest:
        manifest.write('runtime_stack: {api_version: "1.0", mode: containerd, esb_version: latest}\n')
    status, _, hint = doctor(shop, *shop.target, environment=stack)["stack"][0]
    assert (status, hint) == ("FAIL", errors.MEANINGS["StackIncompatible"].hint)


def test_h10_the_registry_is_asked(shop: Shop, engine: engines.Engine) -> None:
    recipe = shop.source / "catalog" / "functions" / "catalog-list" / "Dockerfile"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("FROM scratch\n")
    with registries.running() as registry:
        given = {"CONTROLLER_REGISTRY__RUNTIME": "registry:5010", "CONTROLLER_REGISTRY__HOST": registry.address}
        found = doctor(shop, *shop.target, environment=given)
        assert found["registry"] == [("ok", f"{registry.address} answers", "")]
        assert found["buildx"][0][0] == "ok"
        assert (registry.count("POST"), registry.count("PUT")) == (0, 0)
        assert "registry" not in doctor(shop, *shop.target, "--skip-images", environment=given)
    status, detail, hint = doctor(shop, *shop.target, environment=given)["registry"][0]
    assert (status, detail.startswith(given["CONTROLLER_REGISTRY__HOST"])) == ("FAIL", True)
    assert hint == errors.MEANINGS["RegistryUnavailable"].hint


def test_h12_in_a_container_what_is_on_no_mount_is_told(
    shop: Shop, engine: engines.Engine, stack: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_gateway(engine)
    monkeypatch.setattr(compose_stack, "in_container", lambda: False)
    assert "container" not in doctor(shop, *shop.target, environment=stack)
    monkeypatch.setattr(compose_stack, "in_container", lambda: True)
    own = shop.folder.stat().st_dev == Path("/").stat().st_dev
    assert statuses(doctor(shop, *shop.target, environment=stack))["container"] == {"warn" if own else "ok"}
    words = ("--source", shop.source, "--config-dir", "/dev/shm/artifact-controller-doctor")
    assert doctor(shop, *words, environment=stack)["container"][0][0] == "ok"
