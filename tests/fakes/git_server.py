"""A real git remote over HTTP: `git http-backend` behind a small server, with passwords, scripted faults and a count of
requests, in the clear or with a certificate of its own. As a process of its own: ``python -m tests.fakes.git_server FOLDER`` prints its port."""

import base64
import contextlib
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class Faults:
    """What the server does instead of answering. `status` answers with a number, `location` redirects there, `silent`
    never answers, `silent_packs` answers what it has and never sends it, `cut` sends only so many bytes of a body,
    `slow` one byte a tenth of a second. `retry_after` goes with a status, which `packs_only` keeps for what is fetched."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.packs_only = False
        self.location = ""
        self.silent = False
        self.silent_packs = False
        self.retry_after = ""
        self.cut: int | None = None
        self.slow = False


class Authority:
    """Signs the certificate of a server on 127.0.0.1. `file` is its own, `chain` the server's with its key."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.file, self.chain = folder / "ca.pem", folder / "server.pem"
        key, asked = folder / "ca.key", folder / "server.csr"
        new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        _openssl(*new, "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", key, "-out", self.file)
        _openssl(*new, "-subj", "/CN=127.0.0.1", "-keyout", folder / "server.key", "-out", asked)
        names = folder / "names"
        names.write_text("subjectAltName=IP:127.0.0.1\n", encoding="ascii")
        sign: list[str | Path] = ["-CA", self.file, "-CAkey", key, "-CAcreateserial", "-extfile", names, "-days", "2"]
        _openssl("x509", "-req", "-in", asked, *sign, "-out", folder / "server.crt")
        self.chain.write_text((folder / "server.crt").read_text() + (folder / "server.key").read_text())


def _openssl(*words: "str | Path") -> None:
    ended = subprocess.run(["openssl", *map(str, words)], capture_output=True, check=False, text=True)
    assert ended.returncode == 0, (words, ended.stderr)


class _Server(http.server.ThreadingHTTPServer):
    """Says nothing of a client that went away, or that does not trust us."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """As the library, but for what clients do."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class GitServer:
    """Serves every bare repository below a folder."""

    def __init__(
        self, folder: Path, *, user: str = "", password: str = "", port: int = 0, authority: Authority | None = None
    ) -> None:
        self.folder = folder
        self.faults = Faults()
        self.requests: list[str] = []
        self.authorizations: list[str] = []
        self.before_answer: Callable[[], object] = lambda: None
        self._expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if password else ""
        owner = self

        class Backend(_Backend):
            server_of = owner

        self._server = _Server(("127.0.0.1", port), Backend)
        self._scheme = "http"
        if authority is not None:
            self._scheme, context = "https", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(authority.chain)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_address[1]
        self.closing = threading.Event()

    def url(self, name: str) -> str:
        """The address of a repository."""
        return f"{self._scheme}://127.0.0.1:{self.port}/{name}"

    def is_welcome(self, authorization: str | None) -> bool:
        """Whether the password is right."""
        return not self._expected or authorization == self._expected

    def serve(self) -> None:
        """Until `close`."""
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        """Give the port back."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


class _Backend(http.server.BaseHTTPRequestHandler):
    """One request to `git http-backend`, as a web server runs it."""

    server_of: GitServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Refs."""
        self._serve(b"")

    def do_POST(self) -> None:
        """Packs."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._serve(body)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _serve(self, body: bytes) -> None:
        owner, faults = self.server_of, self.server_of.faults
        owner.requests.append(f"{self.command} {self.path}")
        owner.authorizations.append(self.headers.get("Authorization", ""))
        owner.before_answer()
        if faults.silent or (faults.silent_packs and b"command=fetch" in body):
            owner.closing.wait(60)
            self.close_connection = True
        elif _is_refused(faults, body) or not owner.is_welcome(self.headers.get("Authorization")):
            self._refuse(faults.status or 401)
        else:
            self._answer(body)

    def _refuse(self, status: int) -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
        if self.server_of.faults.location:
            self.send_header("Location", self.server_of.faults.location + self.path)
        if self.server_of.faults.retry_after:
            self.send_header("Retry-After", self.server_of.faults.retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.server_of.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_USER": "somebody",
            "REMOTE_ADDR": "127.0.0.1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        ended = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
        head, _, content = ended.stdout.partition(b"\r\n\r\n")
        headers = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n") if b": " in line)
        self.send_response(int(headers.pop("Status", "200 OK").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self._send(content)

    def _send(self, content: bytes) -> None:
        faults = self.server_of.faults
        with contextlib.suppress(OSError):
            if faults.cut is not None:
                self.wfile.write(content[: faults.cut])
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            elif faults.slow:
                for byte in content:
                    self.wfile.write(bytes([byte]))
                    if self.server_of.closing.wait(0.1):
                        return
            else:
                self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Nothing on stderr."""


def _is_refused(faults: Faults, body: bytes) -> bool:
    return faults.status is not None and (b"command=fetch" in body or not faults.packs_only)


@contextlib.contextmanager
def serving(
    folder: Path, *, user: str = "", password: str = "", port: int = 0, authority: Authority | None = None
) -> Iterator[GitServer]:
    """A server in a thread."""
    server = GitServer(folder, user=user, password=password, port=port, authority=authority)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


class Author:
    """A working copy whose commits go to a bare repository. `keys` is where an ssh key for signing is kept."""

    def __init__(self, folder: Path, bare: Path) -> None:
        self.folder = folder
        self.bare = bare
        self.key = folder.parent / f"{folder.name}-key"
        self.signers = folder.parent / f"{folder.name}-signers"
        if not bare.exists():
            self._plain("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
            for name in ("http.receivepack", "uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
                self._plain("--git-dir", str(bare), "config", name, "true")
        self._plain("init", "--quiet", "--initial-branch=main", str(folder))
        self.git("remote", "add", "origin", str(bare))
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "author", "-f", str(self.key)], check=True)
        self.signers.write_text(f"author@example.org {self.key.with_suffix('.pub').read_text(encoding='utf-8')}")

    def git(self, *words: str) -> str:
        """Run git in the working copy."""
        return self._plain("-C", str(self.folder), *words)

    def commit(self, message: str = "change", *, sign: bool = False) -> str:
        """Commit everything; the commit's id."""
        self.git("add", "--all")
        signing = ["-c", "gpg.format=ssh", "-c", f"user.signingkey={self.key}"]
        flag = ["-S"] if sign else ["--no-gpg-sign"]
        self.git(*signing, "commit", "--quiet", "--allow-empty", *flag, "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def tag(self, name: str, *, sign: bool = False) -> None:
        """An annotated tag at the newest commit."""
        signing = ["-c", "gpg.format=ssh", "-c", f"user.signingkey={self.key}"]
        self.git(*signing, "tag", "-s" if sign else "-a", "-f", name, "-m", name)

    def push(self, *words: str) -> None:
        """Push the branch main, or what the words say."""
        self.git("push", "--quiet", "--force", "origin", *(words or ("main",)))

    def publish(self, message: str = "change", *, sign: bool = False) -> str:
        """Commit and push; the commit's id."""
        commit = self.commit(message, sign=sign)
        self.push()
        return commit

    def fill(self, content: Path) -> None:
        """Copy a tree into the working copy."""
        shutil.copytree(content, self.folder, dirs_exist_ok=True)

    @staticmethod
    def _plain(*words: str) -> str:
        environment = {
            **os.environ,
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "author",
            "GIT_AUTHOR_EMAIL": "author@example.org",
            "GIT_COMMITTER_NAME": "author",
            "GIT_COMMITTER_EMAIL": "author@example.org",
        }
        ended = subprocess.run(["git", *words], env=environment, capture_output=True, check=False, text=True)
        assert ended.returncode == 0, (words, ended.stderr)
        return ended.stdout


if __name__ == "__main__":
    server = GitServer(Path(sys.argv[1]), port=int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve()


@contextlib.contextmanager
def published(folder: Path, content: Path, *, user: str = "", password: str = "") -> Iterator[tuple[GitServer, Author]]:
    """A server with one repository, ``shop.git``, that has a tree in its first commit, and who wrote that."""
    author = Author(folder / "work", folder / "remote" / "shop.git")
    author.fill(content)
    author.publish()
    with serving(folder / "remote", user=user, password=password) as server:
        yield server, author
