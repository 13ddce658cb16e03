"""What a git source's settings mean: the address, the ref and the path, checked before git sees any of them. Pure.

Owns the allow-lists (faults.md E5: nothing that git or ssh could take for an option, a helper program or a revision
expression) and the choice among the refs that a remote lists. Home of semantic_version.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import semantic_version

SEMVER = "semver:"

_USER = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_PATH = r"/[A-Za-z0-9._~%!$&'()*+,;=:@/-]*"
_ADDRESSES = (
    ("https", re.compile(rf"https://{_HOST}{_PATH}")),
    ("http", re.compile(rf"http://{_HOST}{_PATH}")),
    ("ssh", re.compile(rf"ssh://(?:{_USER}@)?{_HOST}{_PATH}")),
    (
        "ssh",
        re.compile(rf"(?:{_USER}@)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?:(?![-/:])[A-Za-z0-9._~][A-Za-z0-9._~/-]*"),
    ),
    # An absolute path wants a user before it: "ftp:/x" is a mistake, and no host.
    ("ssh", re.compile(rf"{_USER}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?:/(?![-/])[A-Za-z0-9._~][A-Za-z0-9._~/-]*")),
    ("file", re.compile(r"file:///[^\x00-\x20\x7f]*")),
)
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@=-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_WITH_USER = re.compile(r"https?://[^/]*@", re.IGNORECASE)
_LOOPBACK = re.compile(r"http://(?:localhost|127\.[0-9.]+|\[::1\])(?::[0-9]+)?/")


@dataclass(frozen=True, slots=True)
class Remote:
    """One ref of a remote: its full name, the object that it names, and the commit that an annotated tag stands for."""

    name: str
    object_id: str
    commit: str


def scheme(url: str) -> str:
    """The transport of an address: https, http, ssh or file; "" for one that is refused."""
    return next((name for name, form in _ADDRESSES if form.fullmatch(url)), "")


def url_problem(url: str, *, credentials: bool) -> str:
    """What is wrong with `source.git.url`, "" for nothing. Never the address itself: it may hold a password."""
    found = scheme(url)
    if _WITH_USER.match(url):  # many hosts take a token there, and the address is in arguments and in the clone
        return "no user and no token before the host: write them as source.git.username and source.git.password_file"
    if not found:
        return "write https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or file:///PATH, without a password"
    if found == "http" and credentials and not _LOOPBACK.match(url):
        return "credentials over plain http can be read by everybody on the way: use https"
    if ".." in url.rpartition("://")[2].split("/"):
        return "must not contain .."
    return ""


def ref_problem(ref: str) -> str:
    """What is wrong with `source.git.ref`, "" for nothing."""
    if ref.startswith(SEMVER):
        return (
            ""
            if _range(ref) is not None
            else "is no range of semantic versions, such as semver:>=1.2 <2 or semver:^1.2"
        )
    parts = ref.split("/")
    fine = all(_WORD.fullmatch(part) and not part.endswith((".lock", ".")) and ".." not in part for part in parts)
    return (
        ""
        if fine and "@{" not in ref and len(ref) <= 255
        else "is no name of a branch or tag, no commit and no semver:RANGE"
    )


def path_problem(path: str) -> str:
    """What is wrong with `source.git.path`, "" for nothing."""
    parts = path.strip("/").split("/")
    wrong = path.startswith("/") or any(part in ("..", "") or part.lower() == ".git" for part in parts)
    wrong |= any(ord(character) < 32 or ord(character) == 127 for character in path) or path.startswith(("-", ":"))
    return "must be a folder inside of the repository, written with /" if wrong else ""


def folder(path: str) -> str:
    """`source.git.path` as git names it, "" for the whole tree. A name may begin with a dot."""
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def is_commit(ref: str) -> bool:
    """Whether the ref is a full commit id."""
    return _COMMIT.fullmatch(ref) is not None


def listed(answer: str) -> tuple[Remote, ...]:
    """The refs of an answer of ls-remote; lines that are none are left out."""
    objects: dict[str, str] = {}
    for line in answer.splitlines():
        object_id, _, name = line.partition("\t")
        if _COMMIT.fullmatch(object_id) and (name == "HEAD" or name.startswith("refs/")):
            objects[name] = object_id
    return tuple(
        Remote(name, object_id, objects.get(f"{name}^{{}}", object_id))
        for name, object_id in objects.items()
        if not name.endswith("^{}")
    )


def patterns(ref: str) -> tuple[str, ...]:
    """What to ask ls-remote for: a remote with many refs need not list them all."""
    if ref.startswith(SEMVER):
        return ("refs/tags/*",)
    if ref == "HEAD" or ref.startswith("refs/"):
        return (ref, f"{ref}^{{}}")
    return (f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/tags/{ref}^{{}}")


def chosen(ref: str, found: tuple[Remote, ...]) -> Remote | None:
    """Which of the remote's refs is meant, None for none. A branch wins over a tag of the same name, as for `git clone
    --branch`; of a range, the highest version; a commit is its own."""
    if is_commit(ref):
        return Remote(ref, ref, ref)
    by_name = {one.name: one for one in found}
    if ref.startswith(SEMVER):
        return _highest(ref, by_name)
    names = (ref,) if ref == "HEAD" or ref.startswith("refs/") else (f"refs/heads/{ref}", f"refs/tags/{ref}")
    return next((by_name[name] for name in names if name in by_name), None)


def _highest(ref: str, by_name: Mapping[str, Remote]) -> Remote | None:
    wanted = _range(ref)
    versions = {}
    for name, one in by_name.items():
        text = name.removeprefix("refs/tags/").removeprefix("v")
        try:
            versions[semantic_version.Version(text)] = one
        except ValueError:
            continue
    best = wanted.select(versions) if wanted is not None else None
    return versions[best] if best is not None else None


def _range(ref: str) -> semantic_version.NpmSpec | None:
    try:
        return semantic_version.NpmSpec(ref.removeprefix(SEMVER).strip())
    except ValueError:
        return None
