"""A registry over HTTP on loopback, in memory: real requests, scripted faults, counted bytes.

`put` adds an image, `fault` scripts what happens to the next requests, `requests` and `sent` say what was asked and
how many bytes were answered. Docker can push to it: uploads of blobs (in one piece or several) and of manifests.
"""

import contextlib
import datetime
import hashlib
import http.server
import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller import clock
from core import image_inputs
from tests.fakes import ports

OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"

_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs)/(?P<what>[^/]+)")
_UPLOAD = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<id>[0-9]*)")


@dataclass(frozen=True)
class Fault:
    """What happens instead of the answer. `status` 0 leaves the true one; `hang` answers nothing until the registry
    stops; `drip` sends the answer a byte at a time, for ever; `drop` closes the connection; `lie` changes the body but
    not the digest; `without` are headers left out."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    hang: bool = False
    drip: bool = False
    drop: bool = False
    cut: bool = False
    lie: bool = False
    raw: bytes | None = None
    without: tuple[str, ...] = ()


class Registry:
    """One registry; `address` is ``127.0.0.1:PORT``."""

    def __init__(self) -> None:
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.headers: list[Mapping[str, str]] = []
        self.sent: Counter[str] = Counter()
        """Bytes of bodies, by the method and the path that asked for them."""
        self.received = 0
        self.connections = 0
        self.arrivals = threading.Semaphore(0)
        """Released once for each request that has come."""
        self.stopping = threading.Event()
        self.uploads: dict[str, bytearray] = {}
        self.lock = threading.Lock()
        self._faults: list[tuple[re.Pattern[str], Fault, int]] = []
        self._server = _Server(self)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def put(
        self, name: str, *, labels: Mapping[str, str] | None = None, platform: str = "linux/amd64", created: str = ""
    ) -> str:
        """An image ``repository:tag`` without layers; the digest of its manifest. With our label it is dated as if it
        was built here, unless told otherwise."""
        system, _, machine = platform.partition("/")
        created = created or _dated((labels or {}).get(image_inputs.LABEL_INPUT, ""))
        config = {
            "os": system,
            "architecture": machine,
            "config": {"Labels": dict(labels or {})},
            "created": created,
        }
        manifest = {"schemaVersion": 2, "mediaType": OCI, "config": self.blob(config, CONFIG), "layers": []}
        return self.put_manifest(name, manifest)

    def put_manifest(self, name: str, manifest: object, kind: str = OCI) -> str:
        """A manifest as it is, JSON or bytes, under a tag and its digest."""
        repository, _, tag = name.partition(":")
        content = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        self.manifests[repository, tag] = kind, content
        self.manifests[repository, digest_of(content)] = kind, content
        return digest_of(content)

    def blob(self, content: object, kind: str) -> dict[str, Any]:
        """A blob, JSON or bytes; its descriptor."""
        told = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.blobs[digest_of(told)] = told
        return {"mediaType": kind, "digest": digest_of(told), "size": len(told)}

    def put_index(self, name: str, images: Mapping[str, str]) -> str:
        """An index of manifests (digest by ``os/architecture``) that are there already."""
        listed = [
            {"mediaType": OCI, "digest": digest, "size": 1, "platform": {"os": system, "architecture": machine}}
            for platform, digest in images.items()
            for system, _, machine in [platform.partition("/")]
        ]
        return self.put_manifest(name, {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}, INDEX)

    def delete(self, name: str) -> None:
        """Forget a tag and its manifest."""
        repository, _, tag = name.partition(":")
        _, content = self.manifests.pop((repository, tag))
        self.manifests.pop((repository, digest_of(content)), None)

    def fault(self, fault: Fault, pattern: str = "", *, times: int = 1 << 30) -> None:
        """Let the next requests whose ``METHOD PATH`` has the pattern in it meet this fault."""
        with self.lock:
            self._faults.append((re.compile(pattern), fault, times))

    def heal(self) -> None:
        """No more faults."""
        with self.lock:
            self._faults.clear()

    def next_fault(self, method: str, path: str) -> Fault:
        """The fault that this request meets, taken off the script."""
        with self.lock:
            self.requests.append((method, path))
            self.arrivals.release()
            for at, (pattern, fault, times) in enumerate(self._faults):
                if times and pattern.search(f"{method} {path}"):
                    self._faults[at] = pattern, fault, times - 1
                    return fault
        return Fault()

    def count(self, method: str) -> int:
        """How many requests of this method there were."""
        return sum(asked == method for asked, _ in self.requests)

    def drop_idle(self) -> None:
        """Close every connection from this side."""
        self._server.drop()

    def start(self) -> None:
        """Serve until `stop`."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """End; whoever hangs is let go."""
        self.stopping.set()
        self._server.shutdown()
        self._server.drop()
        self._server.server_close()


def _dated(input_digest: str) -> str:
    moment = datetime.datetime.fromtimestamp(image_inputs.created_s(input_digest), tz=datetime.UTC)
    return clock.iso(moment) if input_digest else ""


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@contextlib.contextmanager
def running() -> Iterator[Registry]:
    """A registry for the time of a test."""
    registry = Registry()
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()


def closed_port() -> int:
    """A port of loopback at which nothing listens."""
    return ports.free()[0]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Answering)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        self.registry.connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is none of ours."""

    def drop(self) -> None:
        for one in tuple(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class _Answering(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def registry(self) -> Registry:
        assert isinstance(self.server, _Server)
        return self.server.registry

    def log_message(self, *args: object) -> None:
        """Silent."""

    def do_HEAD(self) -> None:
        self._answer(self._read)

    def do_GET(self) -> None:
        self._answer(self._read)

    def do_POST(self) -> None:
        self._answer(self._begin_upload)

    def do_PATCH(self) -> None:
        self._answer(self._upload)

    def do_PUT(self) -> None:
        self._answer(self._put)

    def _answer(self, truth: Callable[[], tuple[int, dict[str, str], bytes]]) -> None:
        registry = self.registry
        registry.headers.append({name.lower(): value for name, value in self.headers.items()})
        fault = registry.next_fault(self.command, self.path)
        if fault.hang:
            registry.stopping.wait()
        if fault.hang or fault.drop or fault.raw is not None:
            self.wfile.write(fault.raw or b"")
            self.close_connection = True
            return
        status, headers, body = truth()
        headers = {"Docker-Distribution-Api-Version": "registry/2.0", **headers, **fault.headers}
        body = body if fault.body is None else fault.body
        body = body.replace(b"2", b"3") if fault.lie else body
        self.send_response(fault.status or status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            if name not in fault.without:
                self.send_header(name, value)
        if fault.drip:
            self._drip()
            return
        self.end_headers()
        if self.command != "HEAD":
            self._send(body[: len(body) // 2] if fault.cut else body)
            self.close_connection = self.close_connection or fault.cut

    def _send(self, body: bytes) -> None:
        for at in range(0, len(body), 65536):
            self.wfile.write(body[at : at + 65536])
            self.registry.sent[f"{self.command} {self.path}"] += len(body[at : at + 65536])

    def _drip(self) -> None:
        self.flush_headers()
        self.wfile.write(b"X-Slow: ")
        while not self.registry.stopping.wait(0.01):
            self.wfile.write(b".")
        self.close_connection = True

    def _read(self) -> tuple[int, dict[str, str], bytes]:
        registry, asked = self.registry, _PATH.fullmatch(self.path)
        if self.path == "/v2/":
            return 200, {"Content-Type": "application/json"}, b"{}"
        if asked and asked["kind"] == "blobs" and asked["what"] in registry.blobs:
            content = registry.blobs[asked["what"]]
            return 200, {"Content-Type": "application/octet-stream", "Docker-Content-Digest": asked["what"]}, content
        if asked and (asked["name"], asked["what"]) in registry.manifests:
            kind, content = registry.manifests[asked["name"], asked["what"]]
            return 200, {"Content-Type": kind, "Docker-Content-Digest": digest_of(content)}, content
        return 404, {"Content-Type": "application/json"}, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'

    def _begin_upload(self) -> tuple[int, dict[str, str], bytes]:
        self._content()
        registry = self.registry
        with registry.lock:
            number = str(len(registry.uploads) + 1)
            registry.uploads[number] = bytearray()
        return 202, {"Location": f"{self.path.partition('?')[0]}{number}", "Range": "0-0"}, b""

    def _upload(self) -> tuple[int, dict[str, str], bytes]:
        asked = _UPLOAD.fullmatch(self.path.partition("?")[0])
        if asked is None:
            return 404, {}, b""
        upload = self.registry.uploads[asked["id"]]
        upload += self._content()
        return 202, {"Location": self.path.partition("?")[0], "Range": f"0-{max(len(upload) - 1, 0)}"}, b""

    def _put(self) -> tuple[int, dict[str, str], bytes]:
        registry, path = self.registry, self.path.partition("?")[0]
        content = self._content()
        if (upload := _UPLOAD.fullmatch(path)) is not None:
            content = bytes(registry.uploads[upload["id"]]) + content
            registry.blobs[digest_of(content)] = content
        elif (asked := _PATH.fullmatch(path)) is not None:
            registry.put_manifest(f"{asked['name']}:{asked['what']}", content, self.headers["Content-Type"])
        return 201, {"Location": path, "Docker-Content-Digest": digest_of(content)}, b""

    def _content(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        else:
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        self.registry.received += len(content)
        return content
