"""Shell completion: the real bash with the printed script, and how quickly names come."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from controller import cli
from tests.fakes import command, tools
from tests.fakes.command import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A published shop, beside a program called `controller`."""
    shop = Shop(tmp_path)
    program = tmp_path / "bin" / "controller"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m controller.cli "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return shop


_PRESS = """
source <(controller completion bash) || exit 3
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_controller_completion controller
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(shop: Shop, *words: str | Path, **environment: str) -> list[str]:
    """What bash offers at the end of a command line."""
    bash = shutil.which("bash") or tools.absent("there is no bash")
    path = f"{shop.folder / 'bin'}:{os.environ['PATH']}"
    ended = subprocess.run(
        [bash, "--norc", "-c", _PRESS, "bash", "controller", *map(str, words)],
        env=command.child_environment({"PATH": path, **environment}),
        cwd=shop.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return [line for line in ended.stdout.splitlines() if line]


def test_commands(shop: Shop) -> None:
    assert offered(shop, "") == list(cli._COMMANDS)
    assert offered(shop, "re") == ["reconcile", "resume"]
    assert offered(shop, "manifest", "s") == ["schema", "sync-ids"]
    assert offered(shop, "nosuch", "") == list(cli._COMMANDS)


def test_options_and_choices(shop: Shop) -> None:
    assert offered(shop, "reconcile", "--take") == ["--take-over"]
    assert "--config-dir" in offered(shop, "trace", "--")
    assert {"text", "json"} <= set(offered(shop, "status", "--output", ""))
    assert offered(shop, "completion", "") == ["bash", "zsh", "fish"]


def test_functions_of_the_live_set(shop: Shop) -> None:
    """By flags, by a file, and by a variable; of several targets those of the chosen one."""
    shop.published()
    assert offered(shop, "trace", "--config-dir", shop.config, "orders") == ["orders-create", "orders-report"]
    (shop.folder / "controller.yml").write_text(json.dumps({"config_dir": "config"}), encoding="utf-8")
    assert offered(shop, "trace", "--config", "controller.yml", "cat") == ["catalog-list"]
    assert offered(shop, "trace", "cat", CONFIG_DIR=str(shop.config)) == ["catalog-list"]
    several = {"targets": {"one": {"config_dir": "config"}, "two": {"config_dir": "nowhere"}}}
    (shop.folder / "controller.yml").write_text(json.dumps(several), encoding="utf-8")
    given = ("--config", "controller.yml")
    assert offered(shop, "status", *given, "--target", "") == ["one", "two"]
    assert offered(shop, "trace", *given, "--target", "one", "cat") == ["catalog-list"]
    assert offered(shop, "trace", *given, "--target", "two", "") == []


def test_functions_where_several_targets_have_one_state_directory(shop: Shop) -> None:
    """The folder of each in it, by its name, whether the file or a variable says where it is."""
    targets = {"one": {"config_dir": "config", "source": {"directory": {"path": str(shop.source)}}}}
    file = shop.folder / "controller.yml"
    given = ("--config", file)
    for document, variables in (({"state_dir": "state"}, {}), ({}, {"CONTROLLER_STATE_DIR": str(shop.folder / "s")})):
        file.write_text(json.dumps({**document, "targets": targets}), encoding="utf-8")
        assert command.run("reconcile", "--once", *given, "--take-over", environment=variables).code == 0
        shutil.rmtree(shop.config / ".controller", ignore_errors=True)
        assert offered(shop, "trace", *given, "cat", **variables) == ["catalog-list"]


@pytest.mark.parametrize("content", [b"", b"\xff", b"targets: [", b"targets: 7", b"- a"])
def test_what_cannot_be_read_offers_nothing_and_says_nothing(shop: Shop, content: bytes) -> None:
    (shop.folder / "controller.yml").write_bytes(content)
    assert offered(shop, "status", "--config", "controller.yml", "--target", "") == []
    assert offered(shop, "trace", "--config", "controller.yml", "") == []
    assert offered(shop, "trace", "--config", "nowhere.yml", "") == []


def test_looking_for_names_changes_nothing(shop: Shop) -> None:
    shop.published()
    before = command.snapshot(shop.config)
    assert offered(shop, "trace", "--config-dir", shop.config, "")
    assert command.snapshot(shop.config) == before


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_takes_its_script(shop: Shop, shell: str) -> None:
    ended = shop.run("completion", shell)
    assert (ended.code, ended.err) == (0, "")
    assert "_CONTROLLER_COMPLETE" in ended.out
    tools.require(shell)
    checked = subprocess.run([shell, "-n"], input=ended.out, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_fish_shows_the_whole_of_a_help_text(shop: Shop) -> None:
    fish = shutil.which("fish") or tools.absent("there is no fish")
    ended = subprocess.run(
        [fish, "--no-config", "-c", 'controller completion fish | source; complete -C "controller resu"'],
        env=command.child_environment({"PATH": f"{shop.folder / 'bin'}:{os.environ['PATH']}"}),
        cwd=shop.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout == "resume\tLift a suspension, or the holds of a rollback.\n"


def test_completing_names_loads_no_settings() -> None:
    """What loading the settings costs would be felt at each press of the key."""
    code = """
import os, sys
os.environ.update(_CONTROLLER_COMPLETE="bash_complete", COMP_WORDS="controller ", COMP_CWORD="1")
from controller import cli
try:
    cli.main()
except SystemExit:
    pass
print([name for name in sys.modules if name.split(".")[0] in ("pydantic", "ruamel", "sqlite3")], file=sys.stderr)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=command.child_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "reconcile" in ended.stdout
    assert ended.stderr == "[]\n"
