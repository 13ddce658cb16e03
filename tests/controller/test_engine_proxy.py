"""The socket proxy between two sockets: one request a connection, understood to its last byte (docs/security.md)."""

import contextlib
import json
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller import engine_proxy, own_container
from core import own_container as containers
from core import provisioning
from tests.fakes import command, daemons

ID, OTHER, GONE = "a1" * 32, "b2" * 32, "c3" * 32
NAMES = {ID: f"/{provisioning.container_name('shop')}", OTHER: "/shop-gateway-1"}
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
TOLD: list[str] = []
"""What the proxies said of refusals."""
CREATE = f"POST /v1.45/containers/create?name={provisioning.container_name('shop')} HTTP/1.1\r\n"


class Engine:
    """An engine that keeps what it is sent, one text a connection, and says who its containers are. It makes a stream
    of what asks for one, of `/grpc` only, and then says back what it hears."""

    def __init__(self, path: Path) -> None:
        self.heard: list[str] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                client = self._listening.accept()[0]
            except OSError:
                return
            with client:
                self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        said = b""
        while b"\r\n\r\n" not in said and (piece := client.recv(4096)):
            said += piece
        head = said.partition(b"\r\n\r\n")[0].decode()
        for line in head.split("\r\n"):
            if line.lower().startswith("content-length: "):
                while len(said) < len(head) + 4 + int(line.split()[1]):
                    said += client.recv(4096)
        number = len(self.heard)
        self.heard.append(said.decode())
        if "\r\nUpgrade: " in head and "POST /grpc " in head:
            client.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
            while piece := client.recv(4096):
                client.sendall(piece.upper())
            return
        body = json.dumps(next(({"Name": name} for one, name in NAMES.items() if one in head), {})).encode()
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        client.settimeout(0.2)
        with contextlib.suppress(OSError):
            while piece := client.recv(4096):
                self.heard[number] += piece.decode()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """The engine behind the proxy."""
    one = Engine(tmp_path / "e")
    yield one
    one.close()


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Path]:
    """The proxy's socket, before an engine that may be there or not."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "p"))
        listening.listen()
        serving = engine_proxy.EngineProxy(listening, str(tmp_path / "e"), lambda _: {"shop_config"}, TOLD.append)
        threading.Thread(target=serving.serve, daemon=True).start()
        yield tmp_path / "p"
        listening.shutdown(socket.SHUT_RDWR)


def says(proxy: Path, request: str) -> str:
    """What is answered, until the connection ends."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(daemons.PATIENCE_S)
        client.connect(str(proxy))
        client.sendall(request.encode("latin-1"))
        said = b""
        while piece := client.recv(4096):
            said += piece
    return said.decode()


def test_a_call_that_is_needed_is_answered_by_the_engine(engine: Engine, proxy: Path) -> None:
    """And is the last one of its connection, whatever the client wishes."""
    said = says(
        proxy, "GET /v1.45/version HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nX-Registry-Auth: e30\r\n\r\n"
    )
    assert said.startswith("HTTP/1.1 200 ")
    assert engine.heard == [
        "GET /v1.45/version HTTP/1.1\r\nHost: x\r\nX-Registry-Auth: e30\r\nConnection: close\r\n\r\n"
    ]


@pytest.mark.parametrize(
    "request_line",
    ["DELETE /v1.45/images/x", "POST /v1.45/volumes/prune", f"POST /v1.45/containers/{ID}/exec", "GET /secrets"],
)
def test_any_other_call_is_403_and_the_engine_hears_nothing(engine: Engine, proxy: Path, request_line: str) -> None:
    said = says(proxy, f"{request_line} HTTP/1.1\r\nHost: x\r\n\r\n")
    assert said.startswith("HTTP/1.1 403 ")
    assert json.loads(said.partition("\r\n\r\n")[2])["message"].startswith("engine-proxy: ")
    assert TOLD[-1].startswith(f"403 {request_line} is none of the calls")
    assert engine.heard == []


@pytest.mark.parametrize(
    "text",
    [
        "GET /version\r\n\r\n",
        "GET /version HTTP/1.0\r\n\r\n",
        "GET  /version HTTP/1.1\r\n\r\n",
        "GET http://x/version HTTP/1.1\r\n\r\n",
        "GET /version HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        "GET /version HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET /version HTTP/1.1\nHost: x\r\n\r\n",
        "GET /version HTTP/1.1\r\nHost: x\nY: z\r\n\r\n",
        "GET /version HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "GET /version HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
        "GET /version HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /version HTTP/1.1\r\ncontent-length: 9999999\r\n\r\nx",
        "GET /version?%zz=\xff HTTP/1.1\r\n\r\n",
        "POST /containers/create?name=%zzshop-artifact-provisioner HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        "POST /containers/create?name=x;y-artifact-provisioner HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        f"POST /images/create?fromImage=x HTTP/1.1\r\n{FORM}Content-Length: 9\r\n\r\nfromSrc=-",
        "GET /version HTTP/1.1\r\n" + "X: y\r\n" * 20000 + "\r\n",
        "\r\n\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(engine: Engine, proxy: Path, text: str) -> None:
    with contextlib.suppress(ConnectionError):  # it may close before all was sent
        assert says(proxy, text).partition(" ")[2].startswith("4")
    assert engine.heard == []


@pytest.mark.parametrize("length", ["", "Content-Length: 0\r\n"])
def test_a_second_request_behind_the_first_reaches_nobody(engine: Engine, proxy: Path, length: str) -> None:
    """Neither in the same piece, nor as the beginning of a stream that never was."""
    second = "POST /v1.45/volumes/prune HTTP/1.1\r\nHost: x\r\n\r\n"
    says(proxy, f"GET /v1.45/version HTTP/1.1\r\n{length}\r\n{second}")
    says(proxy, f"POST /session HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n{length}\r\n{second}")
    assert len(engine.heard) == 2
    assert not any("prune" in one for one in engine.heard)


def test_a_stream_goes_both_ways(engine: Engine, proxy: Path) -> None:
    """And only where a call is one: elsewhere the wish for it is left out."""
    said = says(proxy, "GET /version HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
    assert (said[:12], "Upgrade" in engine.heard[0]) == ("HTTP/1.1 200", False)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(daemons.PATIENCE_S)
        client.connect(str(proxy))
        client.sendall(b"POST /grpc HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        client.sendall(b"hello")
        assert client.recv(4096) == b"HELLO"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(4096) == b""


@pytest.mark.parametrize("call", ["POST {}/start", "POST {}/stop", "DELETE {}", "GET {}/logs", "POST {}/attach"])
def test_only_a_provisioner_can_be_meant(engine: Engine, proxy: Path, call: str) -> None:
    """The engine is asked who the container is."""
    own, other, gone = (f"{call.format(f'/v1.45/containers/{one}')} HTTP/1.1\r\n\r\n" for one in (ID, OTHER, GONE))
    assert says(proxy, own).startswith("HTTP/1.1 200 ")
    assert says(proxy, other).startswith("HTTP/1.1 403 ")
    asked = [one.partition(" HTTP")[0] for one in engine.heard]
    assert asked == [f"GET /containers/{ID}/json", own.partition(" HTTP")[0], f"GET /containers/{OTHER}/json"]
    said = says(proxy, gone)
    assert (said[:13], f"No such container: {GONE}" in said) == ("HTTP/1.1 404 ", True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"HostConfig": {"Binds": ["shop_config:/app/config"]}}', "200"),
        ('{"HostConfig": {"Binds": ["/:/host"]}}', "403"),
        ('{"HostConfig": {"Privileged": true}}', "403"),
        ('{"HostConfig": {"Privileged": true, "Privileged": false}}', "403"),
        ('{"HostConfig": {}} {"HostConfig": {"Privileged": true}}', "403"),
        ("[" * 100000, "403"),
        ("", "403"),
    ],
)
def test_only_a_harmless_container_is_made(engine: Engine, proxy: Path, body: str, status: str) -> None:
    said = says(proxy, f"{CREATE}Content-Length: {len(body)}\r\n\r\n{body}")
    assert said.split(" ")[1] == status
    assert bool(engine.heard) == (status == "200")


def test_a_body_that_is_no_text_makes_no_container(engine: Engine, proxy: Path) -> None:
    """Other encodings of JSON would be guessed by one side only."""
    body = '{"HostConfig": {}}'.encode("utf-16").decode("latin-1")
    assert says(proxy, f"{CREATE}Content-Length: {len(body)}\r\n\r\n{body}").startswith("HTTP/1.1 403 ")
    assert engine.heard == []


def test_without_an_engine_the_answer_is_502(proxy: Path) -> None:
    assert says(proxy, "GET /version HTTP/1.1\r\n\r\n").startswith("HTTP/1.1 502 ")


def test_a_socket_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    words = ("engine-proxy", "--engine", tmp_path / "e", "--listen", tmp_path / "nowhere" / "p")
    ended = command.run(*words)
    assert (ended.code, "no socket can be made there" in ended.err) == (1, True)


@pytest.mark.parametrize("kind", ["file", "folder", "link", "an engine"])
def test_what_no_proxy_left_there_is_never_replaced(tmp_path: Path, kind: str) -> None:
    """Least of all the socket of an engine, whose path was typed into the wrong place."""
    path = tmp_path / "p"
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "an engine":
            listening.bind(str(path))
            listening.listen()
        elif kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to("elsewhere")
        else:
            path.write_text("somebody's", encoding="ascii")
        before = path.lstat()
        ended = command.run("engine-proxy", "--engine", tmp_path / "e", "--listen", path)
        assert (ended.code, "ListenFailed" in ended.err) == (69, True), ended.err
        assert command.run("engine-proxy", "--engine", path, "--listen", path).code == 64
        assert path.lstat().st_ino == before.st_ino


def test_a_socket_is_its_user_s_and_replaces_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    path = tmp_path / "p"
    monkeypatch.setattr(engine_proxy.EngineProxy, "serve", lambda self: seen.append(stat.S_IMODE(path.stat().st_mode)))
    for _ in range(2):
        assert command.run("engine-proxy", "--engine", tmp_path / "e", "--listen", path).code == 0
    assert seen == [0o600, 0o600]


def test_what_the_proxy_has_itself_a_provisioner_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below one folder of its own container, by every name that the engine has for it; and nothing else that it has."""
    here = containers.Traces((ID,), "", frozenset({"/mounts/config", "/mounts/more", "/run/engine"}))
    monkeypatch.setattr(own_container, "traces", lambda: here)
    mounts = [
        {"Type": "volume", "Name": "shop_config", "Source": "/volumes/shop_config", "Destination": "/mounts/config"},
        {"Type": "bind", "Source": "/mnt/srv/more", "Destination": "/mounts/more"},
        {"Type": "volume", "Name": "engine", "Source": "/volumes/engine", "Destination": "/run/engine"},
    ]
    payload = {"Id": ID, "Mounts": mounts, "HostConfig": {"Binds": ["/srv/more:/mounts/more:ro"]}}
    allowed: list[frozenset[str]] = []
    monkeypatch.setattr(engine_proxy.EngineProxy, "asked", lambda self, path: payload)
    monkeypatch.setattr(engine_proxy.EngineProxy, "serve", lambda self: allowed.append(frozenset(self._mounts(self))))
    words = ("engine-proxy", "--engine", tmp_path / "e", "--listen", tmp_path / "p", "--mount", "named")
    assert command.run(*words, "--mounts-below", "/mounts").code == 0
    assert command.run(*words).code == 0
    volume, folder = {"shop_config", "/volumes/shop_config"}, {"/srv/more", "/mnt/srv/more"}
    assert allowed == [{"named"} | volume | folder, {"named"}]
