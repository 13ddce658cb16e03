"""The distribution: one version, a lock that satisfies pyproject.toml and names no index, a wheel that is complete."""

import email
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging import requirements, utils, version

import controller

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")

# Imports every module that the wheel has, and none from anywhere else; then what the console script would call.
IMPORT_ALL = """
import importlib, pkgutil, sys
root = sys.argv[1]
for package in ("core", "manifests", "controller"):
    for found in pkgutil.walk_packages([f"{root}/{package}"], f"{package}."):
        assert importlib.import_module(found.name).__file__.startswith(root), found.name
from controller import cli
sys.exit(cli.run(["--version"]))
"""


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def direct_requirements() -> list[requirements.Requirement]:
    described = project()
    lines = [
        *described["project"]["dependencies"],
        *described["dependency-groups"]["dev"],
        *described["build-system"]["requires"],
    ]
    return [requirements.Requirement(line) for line in lines]


def pinned() -> dict[str, version.Version]:
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", LOCK, re.MULTILINE)
    return {utils.canonicalize_name(name): version.Version(number) for name, number in pins}


def test_one_version() -> None:
    assert project()["project"]["version"] == controller.__version__


@pytest.mark.parametrize("wanted", direct_requirements(), ids=lambda wanted: wanted.name)
def test_the_lock_satisfies_pyproject(wanted: requirements.Requirement) -> None:
    """When it fails: `make lock`."""
    assert wanted.specifier.contains(pinned()[utils.canonicalize_name(wanted.name)])


def test_the_lock_has_what_the_extras_ask_for() -> None:
    """libraries.md: without its C parser ruamel.yaml is four times slower, silently."""
    assert "ruamel-yaml-clib" in pinned()


def test_every_pin_has_a_hash_and_none_an_address() -> None:
    """docs/adr/0001: no index of packages stands in the repository."""
    blocks = re.findall(r"^\S+==(?:.*\\\n)+.*", LOCK, re.MULTILINE)
    assert len(blocks) == len(pinned())
    assert all("--hash=sha256:" in block for block in blocks)
    assert re.findall(r"://|file:|--(?:extra-)?index|--find-links|--trusted-host| @ ", LOCK) == []


def test_the_wheel_has_all_packages_and_the_command(tmp_path: Path) -> None:
    """Built without network, unpacked, and run with nothing of this folder on the path."""
    built = subprocess.run(
        [sys.executable, "-c", "import sys, uv_build; print(uv_build.build_wheel(sys.argv[1]))", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"},
        capture_output=True,
        text=True,
        check=True,
    )
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(tmp_path / built.stdout.splitlines()[-1]) as wheel:
        wheel.extractall(unpacked)
    folder = f"artifact_controller-{controller.__version__}.dist-info"
    described = email.message_from_string((unpacked / folder / "METADATA").read_text(encoding="utf-8"))
    assert {path.name for path in unpacked.iterdir()} == {"core", "manifests", "controller", folder}
    assert described["Name"] == "artifact-controller"
    assert described["Version"] == controller.__version__
    assert "controller = controller.cli:main" in (unpacked / folder / "entry_points.txt").read_text(encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-P", "-B", "-c", IMPORT_ALL, str(unpacked)],
        cwd=tmp_path,
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"artifact-controller {controller.__version__}\n", "")
