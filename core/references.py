"""Image references taken apart, and the small rewritings that registries ask for (contract.md section 5, faults.md F6).

Stands between a document's text and everything that names an image: what the runtime pulls, what the build host
pushes, what a Dockerfile starts from. The grammar is at home in `core.images`; the rewritings here take text that is
one already, and keep every part of it as it was written, except for the one they are there for.
"""

from dataclasses import dataclass

from core import images

HUB = "docker.io"
_OLD_HUB = "index.docker.io"
_OFFICIAL = "library/"
LATEST = "latest"
"""The tag that a reference without tag and digest stands for."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference in its parts, as written: ``str()`` gives the text back.

    `registry` is "" when none is named (Docker Hub), otherwise HOST or HOST:PORT. `repository` is the rest of the
    name. `tag` and `digest` ("sha256:…") are "" when there is none.
    """

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.name}{self.tag and ':' + self.tag}{self.digest and '@' + self.digest}"

    @property
    def name(self) -> str:
        """Without tag and digest."""
        return f"{self.registry}/{self.repository}" if self.registry else self.repository

    @property
    def host(self) -> str:
        """The registry that is asked: Docker Hub when none is named."""
        return HUB if self.registry in {"", _OLD_HUB} else self.registry

    @property
    def path(self) -> str:
        """The repository in that registry: Docker Hub keeps names of one part below library/."""
        official = self.host == HUB and "/" not in self.repository
        return _OFFICIAL + self.repository if official else self.repository

    @property
    def full(self) -> str:
        """The one spelling of all that mean the same, as engines compare them: ``docker.io/library/app:latest``."""
        tag = self.tag or ("" if self.digest else LATEST)
        return str(Reference(self.host, self.path, tag, self.digest))


@dataclass(frozen=True, slots=True)
class Registries:
    """Two names of one registry: as the runtime sees it, and as the build host does; "" when not set.

    Each is HOST, HOST:PORT or one of them with a path. A slash at the end means nothing.
    """

    runtime: str = ""
    host: str = ""


def parse(text: str) -> Reference | str:
    """The parts of a reference, or the sentence that says why the text is none (`images.reference_problem`)."""
    return images.reference_problem(text) or split(text)


def tagged(text: str) -> str:
    """The reference with the tag that it stands for: ``app`` is ``app:latest``. A digest is enough of a tag."""
    found = split(text)
    return text if found.tag or found.digest else f"{text}:{LATEST}"


def pinned(text: str, digest: str) -> str:
    """``repo:tag@sha256:…``: the reference with its tag, and with this digest instead of what digest it had."""
    return f"{tagged(text.partition('@')[0])}@{digest}"


def moved(text: str, aliases: Registries) -> str:
    """The reference as the build host sees it: the runtime's name of the registry in front becomes the host's.

    Only whole parts of the path count (``registry:5010`` is not in front of ``registry:50100/app``). With one of the
    two names unset, nothing is rewritten. What was moved is not moved again, also where one name contains the other.
    """
    runtime, host = aliases.runtime.rstrip("/"), aliases.host.rstrip("/")
    if not runtime or not host or runtime == host:
        return text
    if _below(host, runtime) and _below(text, host):
        return text
    while _below(text, runtime):
        text = host + text[len(runtime) :]
        if not _below(runtime, host):
            break
    return text


def _below(text: str, prefix: str) -> bool:
    return text.startswith(f"{prefix}/")


def split(text: str) -> Reference:
    """The parts of a text that is known to be a reference, by position only, as the engine does it: no part has the
    separator of the next. Loads no grammar."""
    rest, _, digest = text.partition("@")
    head, slash, last = rest.rpartition("/")
    name, _, tag = last.partition(":")
    name = f"{head}{slash}{name}"
    first, slash, path = name.partition("/")
    if slash and _is_registry(first):
        return Reference(first, path, tag, digest)
    return Reference("", name, tag, digest)


def _is_registry(part: str) -> bool:
    """Docker's rule for the first part of a name; a capital letter is one, because repositories have none."""
    return part == "localhost" or "." in part or ":" in part or part != part.lower()
