"""What a registry's answers mean: manifests, digests, labels, and words for what is none of these.

Beneath `controller.registry`. Pure: asks nothing. Everything that comes from a registry is taken for hostile until its
digest says otherwise (faults.md G3); nothing of it is shown in a message (faults.md K1).
"""

import hashlib
import http.client
import json
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller import clock, registry_http

INDEXES = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)
MANIFESTS = INDEXES | {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
}
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")

_WORDS = (
    (TimeoutError, "the registry did not answer within {seconds:g} s"),
    (ConnectionRefusedError, "nothing listens at the registry's address"),
    (socket.gaierror, "the registry's host is not known here"),
    (ssl.SSLError, "the registry does not speak TLS; registry.insecure asks over plain HTTP"),
    (OSError, "the connection to the registry broke"),
    (http.client.HTTPException, "the registry's answer is not HTTP, or ends too early"),
)


@dataclass(frozen=True, slots=True)
class Image:
    """What an image says of itself: its labels, and the second, since the epoch, that it was created in; None for none,
    or a part of one. Without anything, the registry does not have it."""

    labels: Mapping[str, str] = field(default_factory=dict)
    created_s: int | None = None


class NoAnswer(Exception):
    """Nothing can be said about what was asked. The text is for people, and follows a reference or a host."""


def failure(error: Exception, deadline_s: float) -> str:
    """Why a question was not answered."""
    if isinstance(error, registry_http.Unacceptable):
        return f"the registry {error}"
    words = (text for kind, text in _WORDS if isinstance(error, kind))
    return next(words, "the registry's address is none").format(seconds=deadline_s)


def status(reply: registry_http.Reply) -> str:
    """An answer that is none, by its number; with it the registry's wish to be left alone for a while (H10)."""
    later = reply.headers.get("retry-after", "")
    again = f", and wants to be asked again after {later} s" if re.fullmatch(r"[0-9]{1,6}", later) else ""
    return f"the registry answered with status {reply.status}{again}"


def absent(reply: registry_http.Reply) -> str:
    """The digest "" of a 404, when a registry says it. Raises `NoAnswer` when a proxy before it does, for one that is
    down: "gone" would be taken for drift."""
    if "docker-distribution-api-version" in reply.headers or "json" in reply.headers.get("content-type", ""):
        return ""
    raise NoAnswer("the registry's address answered with status 404, but not as a registry does")


def require_manifest(reply: registry_http.Reply) -> None:
    """Raises `NoAnswer` unless it is a manifest, or an index, by its media type."""
    if reply.status != 200:
        raise NoAnswer(status(reply))
    if reply.headers.get("content-type", "").partition(";")[0].strip().lower() not in MANIFESTS:
        raise NoAnswer("the registry answers with something that is no manifest of a known kind")


def require_digest(content: bytes, digest: str) -> None:
    """Raises `NoAnswer` unless the content has this digest."""
    algorithm, _, expected = digest.partition(":")
    if hashlib.new(algorithm, content).hexdigest() != expected:
        raise NoAnswer("the registry answers with content that does not have its digest")


def parsed(content: bytes) -> dict[str, Any]:
    """A JSON object. Raises `NoAnswer` for anything else."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise NoAnswer("the registry answers with something that is no JSON object")
    return value


def is_index(manifest: Mapping[str, Any]) -> bool:
    """Whether it lists manifests. OCI lets it leave out its media type; then its parts tell."""
    kind = manifest.get("mediaType")
    return kind in INDEXES if isinstance(kind, str) else isinstance(manifest.get("manifests"), list)


def of_platform(index: Mapping[str, Any], platform: str) -> str:
    """The digest of the image for a platform (``os/architecture``, "" for any), the first of several; "" for none.
    Attestations are no images."""
    listed = index.get("manifests")
    for one in listed if isinstance(listed, list) else ():
        has = one.get("platform") if isinstance(one, dict) else None
        at = f"{has.get('os')}/{has.get('architecture')}" if isinstance(has, dict) else ""
        if at != "unknown/unknown" and (not platform or not at or platform.split("/")[:2] == at.split("/")):
            return digest_in(one)
    return ""


def digest_in(descriptor: object) -> str:
    """The digest of a part of a manifest. Raises `NoAnswer` when it names none."""
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise NoAnswer("the registry has a manifest that does not name the digests of its parts")
    return digest


def image(config: Mapping[str, Any]) -> Image:
    """What an image's configuration says."""
    inner, created = config.get("config"), config.get("created")
    found = inner.get("Labels") if isinstance(inner, dict) else None
    pairs = found.items() if isinstance(found, dict) else ()
    labels = {name: value for name, value in pairs if isinstance(value, str)}
    return Image(labels, clock.whole_second(created) if isinstance(created, str) else None)
