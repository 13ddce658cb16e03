"""Secrets, hostile names, readers that went away, signals, and a host with little to give: over the real command."""

import base64
import os
import re
import resource
import signal
import sqlite3
import subprocess
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from controller import failpoints
from manifests import generation
from tests.fakes import command
from tests.fakes.command import Ended, Shop

CANARY = "c4n4ry/v4lu3+0123456789"
SECRETS = "required_secret_env: [AUTH_PASS, NOT_SET]"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def forms(text: str) -> tuple[str, ...]:
    """A value as it is, and in the disguises in which it would leak."""
    return text, base64.b64encode(text.encode()).decode()[:-2], urllib.parse.quote(text, safe=""), text[3:-3]


def with_canaries(shop: Shop) -> Path:
    """Canaries in environment values (which are published: that is their place) and in the secret file."""
    shop.edit("orders", "functions.yml", 'TABLE: "orders"', f'TABLE: "orders"\n      PASSWORD: "{CANARY}-function"')
    shop.edit("catalog", "functions.yml", 'LOG_LEVEL: "info"', f'LOG_LEVEL: "info"\n    TOKEN: "{CANARY}-default"')
    secrets = shop.folder / "stack.env"
    secrets.write_text(f"AUTH_PASS={CANARY}-file\n")
    return secrets


def every_path(shop: Shop, secrets: Path) -> Iterator[Ended]:
    """Runs that succeed, change, heal, refuse and fail, in text and JSON."""
    plan = shop.folder / "plan.json"
    environment = {"OTHER_SECRET": f"{CANARY}-environment"}
    for output in (("--output", "text", "-v"), ("--output", "json")):
        given = ("--secret-env", str(secrets), *output)
        yield shop.diff(*given, "--out", plan, environment=environment)
        yield shop.reconcile(*given, environment=environment)
        text = shop.document("orders", "functions.yml").read_text()
        number = str(len(text))
        shop.document("orders", "functions.yml").write_text(text.replace("-function", f"-function{number}"))
        yield shop.diff(*given, "--out", plan, environment=environment)
        yield shop.reconcile(*given, environment=environment)
        live = shop.config / "functions.yml"
        live.write_text(live.read_text().replace("-default", "-edited") + f"# {CANARY}-comment\n")
        yield shop.diff(*given, "--out", plan, environment=environment)
        yield shop.reconcile(*given, environment=environment)
        shop.document("orders", "functions.yml").write_text(f"functions: {{a: {CANARY}, b: [{CANARY}}}\n{CANARY}")
        yield shop.reconcile(*given, environment=environment)
        yield shop.run("manifest", "validate", shop.source, *output)
        shop.document("orders", "functions.yml").write_text(text.replace(f'"{CANARY}-function', f'[{CANARY}] # "'))
        yield shop.reconcile(*given, environment=environment)
        shop.document("orders", "functions.yml").write_text(text)
        command.replace_text(shop.manifest, "artifact_root: orders", f"artifact_root: orders\n    {SECRETS}")
        yield shop.reconcile(*given, environment=environment)
        command.replace_text(shop.manifest, f"artifact_root: orders\n    {SECRETS}", "artifact_root: orders")
        live.write_text(f"functions: [{CANARY}")
        yield shop.reconcile(*given, environment=environment)
        yield shop.about("rollback", *output)
        for name in ("status", "history", "events"):
            yield shop.about(name, *output)
        yield shop.run("doctor", *shop.target, *output)
        yield shop.about("resume", "--held", *output)


def test_k1_no_value_that_may_be_secret_is_printed_saved_or_told(shop: Shop) -> None:
    """K1, P13: stdout, stderr, JSON, saved plan, history, events and conditions, while things fail too."""
    secrets = with_canaries(shop)
    codes = set()
    for number, ended in enumerate(every_path(shop, secrets)):
        codes.add(ended.code)
        for form in forms(CANARY):
            assert form not in ended.text, (number, ended.text)
        if (shop.folder / "plan.json").exists():
            assert CANARY not in (shop.folder / "plan.json").read_text()
    assert {0, 65, 77} <= codes
    assert f"{CANARY}-function".encode() in (shop.documents()["functions.yml"] or b""), "published all the same"
    with closing(sqlite3.connect(shop.state)) as connection:
        for told in ("SELECT body FROM record", "SELECT body FROM history", "SELECT body FROM events"):
            bodies = b"".join(row[0] for row in connection.execute(told))
            assert bodies
            assert CANARY.encode() not in bodies, told


def test_k1_a_changed_environment_value_is_masked_and_still_named(shop: Shop) -> None:
    with_canaries(shop)
    shop.published()
    shop.edit("orders", "functions.yml", f"{CANARY}-function", f"{CANARY}-other")
    ended = shop.diff()
    assert "~ environment.PASSWORD: (value hidden) -> (value hidden)" in ended.out


HOSTILE = {
    "escape": "\x1b]0;owned\x07\x1b[2J",
    "bidi": "\u202egnp.exe",
    "isolate": "\u2066x\u2069",
    "c1": "\x9b31m",
    "line separator": "a\u2028b",
    "newline": "a\nfailed (Bug): not really",
    "long": "x" * 1_000_000,
    "nul": "a\0b",
}


def quoted(text: str) -> str:
    """As a YAML text in double quotes."""
    return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\u{ord(c):04x}" for c in text) + '"'


FIELDS: dict[str, Callable[[Shop, str], object]] = {
    "manifest key": lambda shop, text: command.replace_text(shop.manifest, "mode: docker", f"mode: docker\n? {text}\n: 1"),
    "project": lambda shop, text: command.replace_text(shop.manifest, "project: shop", f"project: {text}"),
    "artifact_root": lambda shop, text: command.replace_text(
        shop.manifest, "artifact_root: orders", f"artifact_root: {text}"
    ),
    "function": lambda shop, text: shop.edit("catalog", "functions.yml", "  catalog-list:", f"  ? {text}\n  :"),
    "function key": lambda shop, text: shop.edit(
        "catalog", "functions.yml", "    timeout: 10", f"    timeout: -1\n    ? {text}\n    : 1"
    ),
    "image": lambda shop, text: shop.edit(
        "catalog", "functions.yml", '"registry:5010/shop/catalog-list:v1"', text
    ),
    "route": lambda shop, text: shop.edit("catalog", "routing.yml", '"/catalog"', text),
    "route target": lambda shop, text: shop.edit("catalog", "routing.yml", '"catalog-list"', text),
    "table": lambda shop, text: shop.edit("catalog", "resources.yml", "catalog-pictures", text),
    "section": lambda shop, text: shop.edit("catalog", "resources.yml", "  s3:", f"  ? {text}\n  : []\n  s3:"),
}  # fmt: skip


def harmless(ended: Ended, *, as_json: bool) -> None:
    """No character that a terminal would obey, no line of somebody else's, no flood."""
    for stream in (ended.err, "" if as_json else ended.out):
        for line in stream.splitlines():
            assert len(line) < 2200
            assert {unicodedata.category(char) for char in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"} == set(), line
        assert "\nfailed (Bug)" not in stream
    if as_json and ended.out:
        assert ended.json


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("name", HOSTILE)
def test_k2_hostile_names_reach_no_terminal(shop: Shop, field: str, name: str) -> None:
    """K2: in every field that is printed: escaped, on one line, cut; the exit code is a documented one."""
    FIELDS[field](shop, quoted(HOSTILE[name]))
    for output in ("text", "json"):
        ended = shop.reconcile("--output", output)
        assert ended.code in (0, 65, 69), ended.text[:3000]
        harmless(ended, as_json=output == "json")
    if shop.config.exists():
        for command_name in ("history", "events", "status"):
            harmless(shop.about(command_name), as_json=False)


@pytest.mark.parametrize("name", ["escape", "bidi", "newline", "line separator"])
def test_k2_hostile_file_names_and_words_reach_no_terminal(shop: Shop, name: str) -> None:
    shop.published()
    (shop.config / HOSTILE[name]).write_text("x")
    (shop.source / "orders" / HOSTILE[name]).mkdir()
    (shop.source / "orders" / HOSTILE[name] / "artifact.yml").write_text("x")
    harmless(shop.reconcile("--manifest", "artifact.yml"), as_json=False)
    harmless(shop.reconcile(), as_json=False)
    harmless(shop.run("manifest", "discover", shop.source), as_json=False)
    harmless(shop.run(HOSTILE[name]), as_json=False)
    harmless(shop.run("diff", f"--{HOSTILE[name]}"), as_json=False)
    harmless(shop.reconcile("--manifest", HOSTILE[name]), as_json=False)
    harmless(shop.run("status", "--config-dir", shop.folder / HOSTILE[name]), as_json=False)
    harmless(shop.about("suspend", "--reason", HOSTILE[name], "--owner", HOSTILE[name]), as_json=False)
    harmless(shop.about("status"), as_json=False)
    harmless(shop.reconcile("--manifest", "artifact.yml"), as_json=False)


SINKS = {
    "stdout closed": ">&-",
    "both closed": ">&- 2>&-",
    "everything closed": "<&- >&- 2>&-",
    "a full disk": ">/dev/full 2>/dev/full",
    "a reader that reads one line": "| head -1",
    "a reader that reads nothing": "2>&1 | true",
}


@pytest.mark.process
@pytest.mark.parametrize("name", SINKS)
def test_k3_a_reader_that_went_away_changes_no_result(shop: Shop, name: str) -> None:
    """K3: the exit code is that of the work, nothing is raised, the publish is done and recorded."""
    functions = "".join(f"  f{number}:\n    image: x:1\n" for number in range(3000))
    shop.document("orders", "functions.yml").write_text(f"functions:\n{functions}")
    script = f'{{ "$@" {SINKS[name]} ; }} ; exit ${{PIPESTATUS[0]}}'
    if "|" in SINKS[name]:
        script = f'"$@" {SINKS[name]} ; exit ${{PIPESTATUS[0]}}'
    ended = command.child("reconcile", "--once", *shop.target, "-v", prefix=("bash", "-c", script, "bash"))
    assert ended.code == 0, ended.text
    assert "Traceback" not in ended.text
    assert "Exception ignored" not in ended.text
    assert shop.reconcile().out.startswith("nothing to do (InSync)")
    shop.manifest.unlink()
    ended = command.child("reconcile", "--once", *shop.target, prefix=("bash", "-c", script, "bash"))
    assert ended.code == 65, ended.text


STEPS = [*map(str, failpoints.Step), *map(str, generation.Step)]
BEFORE_ACTING = (
    "locked",
    "remembered",
    "observed",
    "fetched",
    "probed",
    "parsed",
    "images-seen",
    "planned",
    "attempted",
)
WITH_DOCKER = ("built", "pushed", "resources-live", "provisioned")
"""e2e/test_failpoints.py stops there."""
NOT_IN_THIS_PASS = ("snapshot-write", "snapshot-switch", "confirm", "swept", "confirmed", *WITH_DOCKER)


@pytest.mark.process
@pytest.mark.parametrize("step", [step for step in STEPS if step not in NOT_IN_THIS_PASS])
def test_l2_a_signal_ends_the_reading_and_never_half_a_publish(shop: Shop, step: str) -> None:
    """L2, P16: while it only reads, 143 and nothing changed; once it writes, the work is finished, with its code."""
    shop.published()
    shop.edit("catalog", "functions.yml", "timeout: 10", "timeout: 25")
    before = command.visible(shop.config)
    ended = command.child("reconcile", "--once", *shop.target, environment={"FAILPOINT": f"{step}:term"})
    assert "Traceback" not in ended.err
    if step in BEFORE_ACTING:
        assert ended.code == 128 + signal.SIGTERM, ended.text
        assert "nothing half-written is visible" in ended.err
        assert command.visible(shop.config) == before
    else:
        assert ended.code == 0, ended.text
        assert b"timeout: 25" in (shop.documents()["functions.yml"] or b"")
        assert shop.reconcile().out.startswith("nothing to do (InSync)")


@pytest.mark.process
@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (signal.SIGINT, None, 130),
        (signal.SIGHUP, None, 129),
        (signal.SIGTERM, signal.SIGTERM, 143),
        (signal.SIGUSR1, signal.SIGINT, 130),
    ],
)
def test_l2_signals_while_it_reads(shop: Shop, first: int, second: int | None, code: int) -> None:
    """L2: 128 + n, also for a second signal; SIGUSR1 means nothing to a single pass."""
    shop.published()
    before = command.visible(shop.config)
    fifo = shop.folder / "ready"
    os.mkfifo(fifo)
    script = (
        "import sys, time\n"
        "from controller import cli, failpoints\n"
        "def reach(step):\n"
        "    if step == 'fetched':\n"
        f"        open({str(fifo)!r}, 'w').close()\n"
        "        time.sleep(3600)\n"
        "failpoints.reach = reach\n"
        "sys.exit(cli.run(sys.argv[1:]))\n"
    )
    process = subprocess.Popen(
        [*command.line()[:1], "-c", script, "reconcile", "--once", *shop.target],
        env=command.child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process, fifo.open("r") as ready:
        assert ready.read() == ""
        process.send_signal(first)
        if second is not None:
            process.send_signal(second)
        _, err = process.communicate(timeout=command.PATIENCE_S)
    assert process.returncode == code, err
    assert b"Traceback" not in err
    assert command.visible(shop.config) == before


def limited(**limits: int) -> Callable[[], None]:
    """To be run in the child before the command."""

    def apply() -> None:
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, name), (value, value))

    return apply


def read_only_temp(shop: Shop) -> Mapping[str, str]:
    """A TMPDIR in which nothing can be made."""
    (shop.folder / "tmp").mkdir(mode=0o555)
    return {"TMPDIR": str(shop.folder / "tmp" / "missing"), "SQLITE_TMPDIR": "/proc"}


HOSTS: dict[str, tuple[Callable[[Shop], Mapping[str, str]], dict[str, Any]]] = {
    "64 descriptors": (lambda shop: {}, {"preexec_fn": limited(RLIMIT_NOFILE=64)}),
    "400 MB of addresses": (lambda shop: {}, {"preexec_fn": limited(RLIMIT_AS=400 << 20)}),
    "umask 077": (lambda shop: {}, {"umask": 0o077}),
    "umask 000": (lambda shop: {}, {"umask": 0}),
    "LANG=C": (lambda shop: {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {}),
    "LC_ALL=POSIX, TZ odd": (lambda shop: {"LC_ALL": "POSIX", "TZ": "Nowhere/Nowhere"}, {}),
    "no TMPDIR": (read_only_temp, {}),
    "an unwritable working directory": (lambda shop: {}, {"cwd": "/proc"}),
}


@pytest.mark.process
@pytest.mark.parametrize("name", HOSTS)
def test_l4_a_host_with_little_to_give(shop: Shop, name: str) -> None:
    """L4: it works all the same; documents are readable for the gateway and the record for nobody else."""
    environment, more = HOSTS[name]
    ended = command.child("reconcile", "--once", *shop.target, environment=environment(shop), **more)
    assert ended.code == 0, ended.text
    assert "Traceback" not in ended.text
    for document in command.DOCUMENTS:
        assert (shop.config / document).stat().st_mode & 0o777 == 0o644
    assert shop.state.parent.stat().st_mode & 0o777 == 0o700
    ended = command.child("reconcile", "--once", *shop.target, environment=dict(environment_again(name)), **more)
    assert (ended.code, ended.out.startswith("nothing to do (InSync)")) == (0, True), ended.text


def environment_again(name: str) -> Mapping[str, str]:
    """The second pass is about the limits, which are in the other arguments."""
    return {"LC_ALL": "C"} if "C" in name else {}


@pytest.mark.process
def test_l4_home_unset_and_no_environment_at_all(shop: Shop) -> None:
    """L4: a unit that sets nothing."""
    ended = subprocess.run(
        ["env", "-i", f"PYTHONPATH={command.ROOT}", *command.line("reconcile", "--once", *shop.target)],
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_l4_a_user_without_a_passwd_entry(shop: Shop) -> None:
    """L4: uid 54321 owns CONFIG_DIR and nothing else."""
    command.require_root()
    shop.config.mkdir()
    command.give_away(shop.config)
    ended = command.as_nobody(shop, "reconcile", "--once", *shop.target)
    assert ended.code == 0, ended.text
    assert shop.state.stat().st_uid == command.NOBODY
    ended = command.as_nobody(shop, "doctor", *shop.target)
    assert (ended.code, set(re.findall(r"^\w+", ended.out, re.MULTILINE))) == (0, {"ok"}), ended.text
