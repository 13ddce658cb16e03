"""What is said to somebody who types it wrong, and the little that works without a target."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from controller import __version__
from tests.fakes import command
from tests.fakes.command import Shop

COMMANDS = (
    "reconcile", "diff", "deploy", "manifest", "status", "history", "events", "rollback", "suspend", "resume", "doctor",
    "init",
)  # fmt: skip

WRONG = {
    "unknown command": (("reconcil",), "No such command 'reconcil'. Did you mean 'reconcile'?"),
    "unlike any command": (("xyzzy",), "No such command 'xyzzy'."),
    "unknown option": (("diff", "--sorce", "x"), "--source"),
    "unknown option of the group": (("--verson",), "--version"),
    "a plan without --once": (("reconcile", "--plan", "plan.json"), "give --once too"),
    "a bad duration": (("suspend", "--reason", "x", "--for", "soon"), "--for: write a duration like 30s, 5m or 2h"),
    "no time at all": (("suspend", "--reason", "x", "--for", "0s"), "--for: a suspension lasts at least 1s"),
    "more time than a calendar has": (
        ("suspend", "--reason", "x", "--for", "99999999999d"),
        "--for: must be at most 366d",
    ),
    "no time that it waits": (("reconcile", "--once", "--wait", "long"), "--wait: write a duration like 30s, 5m or 2h"),
    "a time between looks": (("reconcile", "--interval", "5x"), "--interval: write a duration like 30s, 5m or 2h"),
    "nowhere to listen": (("reconcile", "--listen", "here"), "--listen: write HOST:PORT"),
    "a name of no context": (("diff", "--source", "", "--against", "x"), "--source"),
    "a shell that is none": (("completion",), "Choose from: bash, zsh, fish"),
    "a revision that is too short": (("diff", "--allow-shrink", "sha256:12345"), "at least its first 6 hex digits"),
    "no revision": (("deploy", "--artifact", "x", "--out", "x", "--allow-shrink", ""), "--allow-shrink"),
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


@pytest.mark.parametrize("name", WRONG)
def test_64_usage_is_told_to_programs_too(name: str) -> None:
    """docs/json.md: with `--output json` one document; the same words on stderr."""
    arguments, _ = WRONG[name]
    if name == "unknown output":
        return
    ended = command.run(*arguments[:1], "--output=json", *arguments[1:])
    if arguments[0] == "manifest" or name.startswith("unknown"):
        ended = command.run(*arguments, "--output", "json")
    assert ended.code == 64, ended.text
    document = ended.json
    assert document["schema"] == "artifact-controller/error/v1"
    assert (document["reason"], document["exit_code"], document["failed"]) == ("Usage", 64, True)
    assert f"failed (Usage): {document['message']}" in ended.err
    assert ended.err.splitlines()[-1] == f"hint: {document['hint']}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("suspend", "--reason", "json"),
        ("rollback", "json"),
        ("status", "--output", "json", "--output", "text"),
        ("rollback", "--", "--output=json"),
    ],
    ids=" ".join,
)
def test_json_is_printed_to_those_who_asked_for_it(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The word alone, as a reason or a name, asks for nothing."""
    target = ("--config-dir", str(tmp_path / "nowhere"))
    ended = command.run(arguments[0], *target, *arguments[1:])
    assert ended.code in (64, 73)
    assert ended.out == ""


EMPTY_PATHS = (
    *(("reconcile", "--once", option) for option in ("--config-dir", "--state-dir", "--source", "--secret-env", "--config", "--plan")),
    ("status", "--config-dir"),
    ("diff", "--out"),
    ("deploy", "--artifact", "x", "--out"),
    ("deploy", "--out", "x", "--artifact"),
    ("deploy", "--out", "x", "--artifact", "x", "--secret-env"),
)  # fmt: skip


@pytest.mark.parametrize("arguments", EMPTY_PATHS, ids=" ".join)
def test_64_an_empty_path_is_not_the_working_directory(
    tmp_path: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell variable that was not set: nothing is published into whatever folder the command runs in."""
    shop = Shop(tmp_path)
    monkeypatch.chdir(shop.source)
    before = command.snapshot(shop.folder)
    for given in ((*arguments, ""), (*arguments[:-1], f"{arguments[-1]}=")):
        ended = command.run(*given)
        assert (ended.code, "must not be empty" in ended.err) == (64, True), ended.text
        assert f"'{arguments[-1]}'" in ended.err
    assert command.snapshot(shop.folder) == before


@pytest.mark.process
@pytest.mark.parametrize("module", ["click", "controller.output", "controller.commands.status", "controller.target"])
def test_l2_an_interrupt_while_modules_are_loaded(tmp_path: Path, module: str) -> None:
    """L2: 130 and no traceback, before the signals are ours and after."""
    script = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from controller.cli import main\n"
        "main()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, "status", "--config-dir", str(tmp_path)],
        env=command.child_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (130, "")
    assert "Traceback" not in ended.stderr


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
    assert "failed (NoManifest): " in shop.reconcile("--quiet").err


def test_verbose_prints_every_change(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    functions = "".join(f"  f{number}:\n    image: x:1\n" for number in range(60))
    shop.document("catalog", "functions.yml").write_text(f"functions:\n{functions}")
    shop.document("catalog", "routing.yml").write_text("routes: []\n")
    short = shop.diff().out
    assert re.search(r"… and \d+ more, \+\d+ \(-v shows all\)", short)
    assert "f59" not in short
    assert "+ function f59 " in shop.diff("-v").out
    shop.published()
    shop.document("catalog", "functions.yml").write_text("functions: {}\n")
    assert "… and 20 more, -20 (-v shows all)" in shop.diff().out, "what goes is counted where it is not shown"


def test_the_schemas_are_printed() -> None:
    for subject in ("artifact", "settings"):
        ended = command.run("manifest", "schema", "--of", subject)
        assert ended.code == 0
        assert json.loads(ended.out)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
