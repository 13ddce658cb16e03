"""The files of the image and of the sidecar, as far as they can be read without an engine; e2e/test_image.py and
e2e/test_sidecar.py run them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import controller
from controller import settings

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "compose.controller.yml").read_text(encoding="utf-8")


def blocks(name: str) -> dict[str, frozenset[str]]:
    """Every pin of a lock, with its hashes."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = re.findall(r"^(\S+==[^\s;\\]+)(.*?)(?=^\S+==|\Z)", text, re.MULTILINE | re.DOTALL)
    return {pin: frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", rest)) for pin, rest in found}


def service() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]["controller"]
    return found


def test_the_lock_of_the_image_is_a_part_of_the_lock() -> None:
    """docs/adr/0001. When it fails: `make lock`."""
    image, whole = blocks("requirements.runtime.lock"), blocks("requirements.lock")
    assert 20 < len(image) < len(whole)
    assert {pin: whole.get(pin) for pin in image} == image
    assert not {pin for pin in image if pin.startswith(("pytest", "mypy", "ruff", "uv=="))}
    assert all(image.values())


def test_the_version_is_that_of_the_code() -> None:
    """In both stages of the Dockerfile, and in the sidecar's file."""
    assert re.findall(r"^ARG VERSION=(.*)$", DOCKERFILE, re.MULTILINE) == [controller.__version__] * 2
    assert f"${{SIDECAR_IMAGE:-artifact-controller:{controller.__version__}}}" in COMPOSE
    assert f"docker build --tag artifact-controller:{controller.__version__} ." in DOCKERFILE


def test_the_dockerfile_builds_without_a_frontend_image() -> None:
    """contract.md section 5: a host without internet access. No index of packages is named either."""
    assert "# syntax" not in DOCKERFILE
    assert re.findall(r"https?://", DOCKERFILE) == []
    assert "--require-hashes" in DOCKERFILE


def test_what_is_copied_is_in_the_build_context() -> None:
    """.dockerignore leaves out all that the Dockerfile does not ask for."""
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )*(\S+) ", DOCKERFILE, re.MULTILINE)
    kept = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name.partition("/")[0] for name in copied} == set(kept)
    assert all((ROOT / name).exists() for name in copied)


def test_the_sidecar_may_do_next_to_nothing() -> None:
    """The socket is all it needs; everything else is taken away."""
    found = service()
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert found["restart"] == "unless-stopped"
    assert found["pids_limit"] == 256
    assert {"mem_limit", "user", "group_add", "healthcheck", "tmpfs"} <= set(found)
    assert "privileged" not in found


def test_the_grace_fits_the_drain() -> None:
    """A provisioner that runs is waited for; then everything has to be ended before the engine kills."""
    drain = settings.Settings.model_fields["drain"].default
    found = re.fullmatch(r"\$\{SIDECAR_GRACE:-(\d+)s\}", service()["stop_grace_period"])
    assert found is not None
    assert int(found[1]) >= drain + 5


def test_every_setting_of_the_sidecar_exists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variables that it sets are read, and an optional one that is left out sets nothing."""
    for name, value in service()["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:\+[^}]*\}", "", re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)))
    file = tmp_path / "controller.yml"
    file.write_text("source: {directory: {path: x}}\n", encoding="utf-8")
    loaded = settings.load(file, {})
    assert (str(loaded.config_dir), str(loaded.state_dir), loaded.http.listen) == (
        "/config",
        "/state",
        "127.0.0.1:8080",
    )
    assert (loaded.source.git, loaded.stack.env_file, loaded.http.webhook_secret_file) == (None, None, None)


def test_every_secret_may_be_left_out() -> None:
    """A file that holds nothing stands for it, also for the docker command's own, which has no variable of ours."""
    given = [each if isinstance(each, dict) else {"source": each} for each in service()["secrets"]]
    declared = yaml.safe_load(COMPOSE)["secrets"]
    assert {each["source"] for each in given} == set(declared)
    assert all(re.fullmatch(r"\$\{[A-Z_]+_FILE:-/dev/null\}", each["file"]) for each in declared.values())
    places = {each["source"]: each["target"] for each in given if "target" in each}
    folder = re.search(r"DOCKER_CONFIG=(\S+)", DOCKERFILE)
    assert folder is not None
    assert places == {"docker-config": f"{folder[1]}/config.json"}


FILES = pytest.mark.parametrize("name", ["compose.controller.yml", "compose.controller.socket-proxy.yml"])


@FILES
def test_no_folder_is_made_in_the_place_of_the_engine_s_socket(name: str) -> None:
    """Where the engine's own path is another one, or it is started later."""
    services = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))["services"].values()
    sockets = [each for one in services for each in one["volumes"] if "DOCKER_SOCKET" in str(each)]
    assert [each["bind"] for each in sockets] == [{"create_host_path": False}]


@FILES
def test_options_of_a_log_name_its_driver(name: str) -> None:
    """The engine's own may be another one, such as journald, which refuses a container with these."""
    services = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))["services"]
    told = [each["logging"]["driver"] for each in services.values() if "logging" in each]
    assert told == ["json-file"]


def test_every_variable_has_a_default_or_says_what_to_set() -> None:
    """`${VAR}` alone would be an empty text and a warning that scrolls by."""
    lines = [line.partition(" #")[0] for line in COMPOSE.splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\$\{STACK_DIR:-\$\{PWD(:\?[^}]*)?\}\}", "", "\n".join(lines))
    used = re.findall(r"\$\{(\w+)(:[-+?])?", text)
    assert used
    assert {name for name, default in used if not default} == set()
