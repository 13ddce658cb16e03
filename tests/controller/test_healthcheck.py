"""`controller healthcheck`: 0 or 1 within milliseconds, for a container's HEALTHCHECK (docs/http.md; faults.md I4)."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller import healthcheck
from tests.fakes import command

ALIVE = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
LOADED = """
import json, sys
from controller import cli
code = cli.run(sys.argv[1:])
names = {name.partition(".")[0] for name in sys.modules}
ours = sorted(name for name in sys.modules if name.partition(".")[0] in ("controller", "core", "manifests"))
print(json.dumps([code, sorted(names - sys.stdlib_module_names), ours]))
"""

QUICK = """
import json, sys
from controller import healthcheck
code = healthcheck.main()
names = {name.partition(".")[0] for name in sys.modules if not name.startswith("__")}
ours = sorted(name for name in sys.modules if name.partition(".")[0] in ("controller", "core", "manifests"))
print(json.dumps([sorted(names - sys.stdlib_module_names - {"controller"}), ours]))
sys.exit(code)
"""


@contextlib.contextmanager
def answering(*parts: bytes, host: str = "127.0.0.1") -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers one request with these bytes, and what it was asked."""
    asked: list[bytes] = []
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:

        def answer() -> None:
            with contextlib.suppress(OSError):
                client = server.accept()[0]
                with client:
                    asked.append(client.recv(4096))
                    for part in parts:
                        client.sendall(part)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        place = f"[{host}]" if ":" in host else host
        yield f"{place}:{server.getsockname()[1]}", asked
        server.close()
        thread.join(timeout=5)


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ((ALIVE,), 0),
        ((b"HTTP/1.", b"1 200", b" OK\r\n"), 0),
        ((b"HTTP/1.1 503 Service Unavailable\r\n\r\n",), 1),
        ((b"SSH-2.0-OpenSSH_9\r\n",), 1),
        ((b"HTTP/1.1 200",), 0),
        ((), 1),
    ],
    ids=["alive", "in pieces", "stopped", "something else", "cut short", "nothing"],
)
def test_the_answer_decides(parts: tuple[bytes, ...], code: int) -> None:
    with answering(*parts) as (address, asked):
        ended = command.run("healthcheck", "--url", f"http://{address}/")
    assert (ended.code, ended.out) == (code, "")
    assert ended.err == "" if code == 0 else ended.err.startswith(f"not healthy: http://{address}")
    assert asked[0].startswith(b"GET /healthz HTTP/1.1\r\nHost: ")


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    ended = command.run("healthcheck", "--url", address)
    assert (ended.code, ended.err) == (1, f"not healthy: {address}: Connection refused\n")


def test_nobody_answers_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        ended = command.run("healthcheck", "--url", address, "--timeout", "0.1")
    assert (ended.code, ended.err) == (1, f"not healthy: {address}: no answer in time\n")


@pytest.mark.parametrize(("host", "listens"), [("127.0.0.1", "0.0.0.0"), ("127.0.0.1", ""), ("::1", "[::]")])  # noqa: S104 - what a server may be told
def test_where_the_server_listens_is_where_it_is_asked(host: str, listens: str) -> None:
    """The setting, as the controller has it."""
    with answering(ALIVE, host=host) as (address, asked):
        told = f"{listens}:{address.rpartition(':')[2]}"
        ended = command.run("healthcheck", environment={"CONTROLLER_HTTP__LISTEN": told})
    assert (ended.code, len(asked)) == (0, 1)


def test_an_option_counts_more_than_the_variable(tmp_path: Path) -> None:
    """And a controller.yml less, as everywhere."""
    file = tmp_path / "controller.yml"
    with answering(ALIVE) as (address, _):
        file.write_text(f'http: {{listen: "{address}"}}\n', encoding="utf-8")
        assert command.run("healthcheck", "--config", file).code == 0
    variable = {"CONTROLLER_HTTP__LISTEN": "127.0.0.1:2"}
    ended = command.run("healthcheck", "--config", file, environment=variable)
    assert ended.err.startswith("not healthy: 127.0.0.1:2: ")
    ended = command.run("healthcheck", "--config", file, "--url", "127.0.0.1:1", environment=variable)
    assert ended.err.startswith("not healthy: 127.0.0.1:1: ")


def test_of_several_targets_it_is_one_address(tmp_path: Path) -> None:
    file = tmp_path / "controller.yml"
    with answering(ALIVE) as (address, _):
        file.write_text(f'http: {{listen: "{address}"}}\ntargets: {{a: {{config_dir: a}}}}\n', encoding="utf-8")
        ended = command.run("healthcheck", "--config", file)
    assert ended.code == 0, ended.text


@pytest.mark.parametrize("arguments", [(), ("--url", "https://127.0.0.1:8080"), ("--url", "example.org")])
def test_64_without_an_address(arguments: tuple[str, ...]) -> None:
    assert command.run("healthcheck", *arguments).code == 64


@pytest.mark.parametrize(
    ("parts", "code", "says"),
    [((ALIVE,), 0, ""), ((b"HTTP/1.1 503 no\r\n\r\n",), 1, "not healthy: {}: answered 503\n")],
)
def test_the_image_asks_without_the_command_line(parts: tuple[bytes, ...], code: int, says: str) -> None:
    """As image/controller does: nothing but modules of the standard library, and two of ours."""
    with answering(*parts) as (address, _):
        environment = {"PATH": os.environ["PATH"], "CONTROLLER_HTTP__LISTEN": address, "PYTHONPATH": str(command.ROOT)}
        words = [sys.executable, "-S", "-c", QUICK]
        ended = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (code, says.format(address))
    others, ours = json.loads(ended.stdout)
    assert (others, ours) == ([], ["controller", "controller.healthcheck", "controller.settings_values"])


def test_64_the_image_without_an_address(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("CONTROLLER_HTTP__LISTEN", raising=False)
    assert healthcheck.main() == 64
    assert capsys.readouterr().err.startswith("not healthy: CONTROLLER_HTTP__LISTEN: write HOST:PORT")


def test_it_loads_next_to_nothing() -> None:
    """It runs every few seconds: no settings, no validation, no YAML, no HTTP library. Counted, because seconds depend
    on the machine."""
    with answering(ALIVE) as (address, _):
        words = [sys.executable, "-c", LOADED, "healthcheck", "--url", address]
        ended = subprocess.run(words, capture_output=True, text=True, check=True)
    code, others, ours = json.loads(ended.stdout)
    assert code == 0
    assert {name for name in others if not name.startswith("_")} <= {"click", "controller", "core"}, others
    assert len(ours) <= 14, ours
    heavy = {"controller.settings", "controller.daemon", "controller.docker", "controller.target", "controller.state"}
    assert heavy.isdisjoint(ours)
