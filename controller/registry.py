"""What a registry holds: the digest that a reference stands for, and what an image says of itself. Reads only.

Asked by `controller.probes.images`, in every pass. Owns whom to ask (a host directly, or through docker) and the memory
of who did not answer. "Did not answer" is a value: nobody builds because a registry is down (faults.md H10). What is
read is checked against its digest (faults.md G3). No credentials are here: a registry that wants a login is asked by
docker, which has it.
"""

import hashlib
import ssl
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from http import client
from typing import TYPE_CHECKING, Any

from controller import errors, registry_http, registry_names, registry_replies

if TYPE_CHECKING:
    from controller import docker

LARGEST = 4 << 20
"""The most bytes of a manifest or of an image's configuration that are read."""

NoAnswer = registry_replies.NoAnswer
Image = registry_replies.Image

_ACCEPT = ", ".join(sorted(registry_replies.MANIFESTS))
_LOGIN = frozenset({401, 403})
_NO_HEAD = 405
_TOO_MANY = 429
_FAILURES = (OSError, client.HTTPException, ValueError, registry_http.Unacceptable)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a registry says about a reference: `digest` of its manifest, "" when it has none; `unreachable` says in
    words why nothing is known, "" when it answered."""

    digest: str = ""
    unreachable: str = ""

    @property
    def absent(self) -> bool:
        """Whether the registry says that there is no such thing."""
        return not self.digest and not self.unreachable


@dataclass(frozen=True, slots=True)
class _Asked:
    """A reference that is being asked for, as it was written and in its parts, and until when."""

    reference: str
    name: registry_names.Name
    deadline: registry_http.Deadline


class Registry:
    """Every registry that a pass asks. Safe for threads. Made anew for each pass: a host that did not answer once is
    not asked again by the same object.

    `insecure_hosts` (``HOST[:PORT]``; a path after it is ignored) are asked over plain HTTP, as loopback always is.
    `deadline_s` is for one question with everything that it takes. `fallback` is `docker.Engine.remote_manifest`: it
    asks Docker Hub, hosts that want a login or are behind a proxy, and those whose certificate only docker may know.
    """

    def __init__(
        self,
        *,
        insecure_hosts: Collection[str],
        deadline_s: float,
        fallback: "Callable[[str], docker.RemoteManifest | None]",
    ) -> None:
        self._insecure = frozenset(host.partition("/")[0] for host in insecure_hosts)
        self._deadline_s = deadline_s
        self._fallback = fallback
        self._connections = registry_http.Connections()
        self._lock = threading.Lock()
        self._silent: dict[str, str] = {}
        self._by_docker: dict[str, bool] = {}
        self._told: dict[tuple[tuple[str, str], str], Image] = {}

    def digest(self, reference: str) -> Answer:
        """The digest that a tag or a digest stands for now: one HEAD. Without the header that says it: one GET."""
        asked = self._asked(reference)
        try:
            return Answer(self._by_docker_alone(asked) if self.needs_docker(reference) else self._digest(asked))
        except NoAnswer as no:
            return Answer(unreachable=str(no))

    def image(self, reference: str, *, platform: str = "") -> Image:
        """What the image ``repository@digest`` says; of an index the one of `platform` (``os/architecture``), or its
        first. Empty when the registry has none, or lacks a part of the image.

        Raises `NoAnswer`, also for content that is not what its digest says, or larger than `LARGEST`.
        """
        asked = self._asked(reference)
        key = asked.name.place, asked.name.digest
        if self.needs_docker(reference) and key not in self._told:
            self._by_docker_alone(asked)
        if self.needs_docker(reference) or key in self._told:
            return self._told.get(key, Image())
        manifest = self._document(asked, "manifests", asked.name.digest)
        if manifest and registry_replies.is_index(manifest):
            chosen = registry_replies.of_platform(manifest, platform)
            manifest = self._document(asked, "manifests", chosen) if chosen else {}
            if registry_replies.is_index(manifest):
                raise NoAnswer("the registry has an index inside an index")
        if not manifest:
            return Image()
        config = registry_replies.digest_in(manifest.get("config"))
        return registry_replies.image(self._document(asked, "blobs", config))

    def needs_docker(self, reference: str) -> bool:
        """Whether only docker can ask for it, which takes a process and may count as a pull."""
        host = registry_names.split(reference).host
        known = self._by_docker.get(host)
        if known is None:
            hub = registry_names.split(reference).on_hub
            known = hub or registry_names.has_proxy(host, secure=host not in self._insecure)
            self._by_docker.setdefault(host, known)
        return known

    def hang_up(self) -> None:
        """End every question at once, from another thread: the pass was told to end (faults.md P8)."""
        self._connections.hang_up()

    def close(self) -> None:
        """Close the connections that are kept; happens by itself with the object's end."""
        self._connections.close()

    def _asked(self, reference: str) -> _Asked:
        return _Asked(reference, registry_names.split(reference), registry_http.Deadline(self._deadline_s))

    def _digest(self, asked: _Asked) -> str:
        name = asked.name
        reply = self._ask(asked, "HEAD", f"manifests/{name.digest or name.tag}")
        if reply.status in _LOGIN:
            return self._by_docker_alone(asked)
        if reply.status == 404:
            return registry_replies.absent(reply)
        if reply.status == _NO_HEAD:
            return self._digest_of_content(asked)
        registry_replies.require_manifest(reply)
        digest = reply.headers.get("docker-content-digest", "")
        if not registry_replies.DIGEST.fullmatch(digest):
            return self._digest_of_content(asked)
        if name.digest and digest != name.digest:
            raise NoAnswer("the registry answers with another digest than it was asked for")
        return digest

    def _digest_of_content(self, asked: _Asked) -> str:
        name = asked.name
        reply = self._ask(asked, "GET", f"manifests/{name.digest or name.tag}")
        if reply.status == 404:
            return registry_replies.absent(reply)
        registry_replies.require_manifest(reply)
        registry_replies.parsed(reply.body)
        digest = name.digest or f"sha256:{hashlib.sha256(reply.body).hexdigest()}"
        registry_replies.require_digest(reply.body, digest)
        return digest

    def _document(self, asked: _Asked, kind: str, digest: str) -> dict[str, Any]:
        """A JSON document by its digest; an empty one when the registry does not have it."""
        reply = self._ask(asked, "GET", f"{kind}/{digest}")
        if reply.status == 404:
            registry_replies.absent(reply)
            return {}
        if reply.status != 200:
            raise NoAnswer(registry_replies.status(reply))
        registry_replies.require_digest(reply.body, digest)
        return registry_replies.parsed(reply.body)

    def _ask(self, asked: _Asked, method: str, what: str) -> registry_http.Reply:
        host = asked.name.host
        if host in self._silent:
            raise NoAnswer(self._silent[host])
        accept = _ACCEPT if what.startswith("manifests/") else "*/*"
        question = registry_http.Question(method, f"/v2/{asked.name.repository}/{what}", accept, LARGEST)
        try:
            reply = self._connections.ask(self._address(host), question, asked.deadline)
        except ssl.SSLCertVerificationError:
            reply = registry_http.Reply(401, {})  # docker may have been given a certificate for this host
        except _FAILURES as error:
            words = registry_replies.failure(error, self._deadline_s)
            if not isinstance(error, registry_http.Unacceptable):
                self._silent.setdefault(host, words)
            raise NoAnswer(words) from error
        if reply.status == 401:
            self._by_docker[host] = True
        elif reply.status == _TOO_MANY:
            self._silent.setdefault(host, registry_replies.status(reply))
        return reply

    def _address(self, host: str) -> registry_http.Address:
        name, port = registry_names.host_and_port(host)
        secure = host not in self._insecure and not registry_names.is_loopback(host)
        return registry_http.Address(name, port or (443 if secure else 80), secure)

    def _by_docker_alone(self, asked: _Asked) -> str:
        """The digest as docker sees it, "" for none. What it says is kept for `image`."""
        host = asked.name.host
        if host in self._silent:
            raise NoAnswer(self._silent[host])
        from controller import docker

        try:
            found = self._fallback(asked.reference)
        except docker.CommandFailed as error:
            raise NoAnswer(f"docker cannot ask the registry: {' '.join(error.tail[-1:])}") from error
        except docker.DeadlinePassed as error:
            words = f"the registry did not answer docker within {error.seconds:g} s"
            raise NoAnswer(self._silent.setdefault(host, words)) from error
        except errors.ControllerError as error:
            raise NoAnswer(self._silent.setdefault(host, error.message)) from error
        if found is None:
            return ""
        with self._lock:
            self._told[asked.name.place, found.digest] = Image(dict(found.labels), found.created_s)
        return found.digest
