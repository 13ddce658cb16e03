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
    assert int(service()["stop_grace_period"].removesuffix("s")) >= drain + 5


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


def test_every_variable_has_a_default_or_says_what_to_set() -> None:
    """`${VAR}` alone would be an empty text and a warning that scrolls by."""
    lines = [line.partition(" #")[0] for line in COMPOSE.splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\$\{STACK_DIR:-\$\{PWD(:\?[^}]*)?\}\}", "", "\n".join(lines))
    used = re.findall(r"\$\{(\w+)(:[-+?])?", text)
    assert used
    assert {name for name, default in used if not default} == set()
