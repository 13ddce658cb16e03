"""What is said to somebody who types it wrong, and the little that works without a target."""

import json
from pathlib import Path

import pytest

from controller import __version__
from tests.fakes import command
from tests.fakes.command import Shop

COMMANDS = (
    "reconcile", "diff", "deploy", "manifest", "status", "history", "events", "rollback", "suspend", "resume", "doctor",
)  # fmt: skip

WRONG = {
    "unknown command": (("reconcil",), "No such command 'reconcil'. Did you mean 'reconcile'?"),
    "unlike any command": (("xyzzy",), "No such command 'xyzzy'."),
    "unknown option": (("diff", "--sorce", "x"), "--source"),
    "unknown option of the group": (("--verson",), "--version"),
    "no --once": (("reconcile",), "give --once"),
    "a bad duration": (("suspend", "--reason", "x", "--for", "soon"), "--for: write a duration like 30s, 5m or 2h"),
    "no reason": (("suspend",), "--reason"),
    "no artifact": (("deploy", "--out", "x"), "--artifact"),
    "no out": (("deploy", "--artifact", "x"), "--out"),
    "no file": (("manifest", "sync-ids"), "artifact.yml"),
    "no path": (("manifest", "validate"), "PATH"),
    "unknown output": (("status", "--output", "xml"), "'xml'"),
    "a limit below one": (("history", "--limit", "0"), "--limit"),
    "unknown manifest command": (("manifest", "valdate"), "validate"),
    "too many arguments": (("rollback", "a", "b"), "b"),
}


@pytest.mark.parametrize("name", WRONG)
def test_64_usage_names_what_is_wrong_and_the_nearest_right_thing(tmp_path: Path, name: str) -> None:
    """64, reason `Usage`: nothing on stdout, nothing written, the nearest name where there is one."""
    arguments, says = WRONG[name]
    config = tmp_path / "config"
    ended = command.run(*arguments, environment={"CONFIG_DIR": str(config)})
    assert ended.code == 64, ended.text
    assert says in ended.err
    assert "failed (Usage): " in ended.err
    assert ended.err.startswith("Usage: controller")
    assert ended.out == ""
    assert not config.exists()


def test_without_arguments_the_commands_are_listed() -> None:
    ended = command.run("--help")
    assert ended.code == 0
    for name in COMMANDS:
        assert f"  {name} " in ended.out


@pytest.mark.parametrize("arguments", [(name,) for name in COMMANDS] + [("manifest", "validate")], ids=" ".join)
def test_every_command_has_a_help(arguments: tuple[str, ...]) -> None:
    ended = command.run(*arguments, "-h")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: controller {' '.join(arguments)}")


def test_the_version_is_told() -> None:
    assert command.run("--version").out == f"artifact-controller {__version__}\n"


def test_the_installed_entry_point_ends_with_the_code(tmp_path: Path) -> None:
    ended = command.child("diff", "--source", tmp_path / "nowhere", "--config-dir", tmp_path / "config")
    assert (ended.code, ended.out) == (69, "")
    assert "failed (SourceMissing): " in ended.err


@pytest.mark.parametrize("name", ["status", "history", "events", "rollback", "resume", "diff"])
def test_78_a_target_has_to_be_named(name: str) -> None:
    ended = command.run(name)
    assert (ended.code, "--config-dir DIR" in ended.err) == (78, True)


def test_78_a_source_has_to_be_named(tmp_path: Path) -> None:
    ended = command.run("reconcile", "--once", "--config-dir", tmp_path / "config")
    assert (ended.code, "--source DIR" in ended.err) == (78, True)


def test_quiet_keeps_the_result_and_the_failure(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    ended = shop.reconcile("--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[-1].startswith("done (FirstPublish)")
    shop.manifest.unlink()
    assert "failed (SourceEmpty): " in shop.reconcile("--quiet").err


def test_verbose_prints_every_change(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    functions = "".join(f"  f{number}:\n    image: x:1\n" for number in range(60))
    shop.document("catalog", "functions.yml").write_text(f"functions:\n{functions}")
    shop.document("catalog", "routing.yml").write_text("routes: []\n")
    short = shop.diff().out
    assert "more (-v shows all)" in short
    assert "f59" not in short
    assert "+ function f59 " in shop.diff("-v").out


def test_the_schemas_are_printed() -> None:
    for subject in ("artifact", "settings"):
        ended = command.run("manifest", "schema", "--of", subject)
        assert ended.code == 0
        assert json.loads(ended.out)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
