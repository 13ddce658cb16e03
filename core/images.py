"""Image references, as the runtime will pull them: contract.md section 5, faults.md F6.

Owns the question "is this a reference". The grammar is the library's; what it lets through and no engine can pull, or
what would put a credential into a configuration file, is refused here before it is asked.
"""

import functools
import re

_LONGEST = 1024
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_REFUSED = (
    (re.compile(r"\A\Z"), "must not be empty"),
    (re.compile(r"[\s\x00-\x1f\x7f-\x9f]"), "must not contain spaces or control characters"),
    (re.compile(r"\A-"), "must not start with '-'"),
    (re.compile(r"://"), "must be an image reference, not a URL: leave out the scheme"),
    (re.compile(r"@.*[@/]"), "must not contain credentials: the engine's own login holds them"),
    (re.compile(r"\Asha(?:256|384|512):[0-9a-f]{64,}\Z"), "must name a repository, not only a digest"),
)


def reference_problem(text: str) -> str | None:
    """Why the text is not an image reference, as a sentence that does not show it; None when it is one."""
    return _cached_problem(text) if len(text) <= _LONGEST else f"is longer than {_LONGEST} characters"


@functools.lru_cache(maxsize=65536)
def _cached_problem(text: str) -> str | None:
    problem = _refused_outright(text)
    if problem:
        return problem
    # Loaded when the first reference is looked at: it costs 20 ms, which a command that checks nothing must not pay.
    from docker_image import reference as library  # type: ignore[import-untyped]  # it brings no type hints

    try:
        library.Reference.parse_normalized_named(text)
    except library.NameTooLong:
        return "has a repository name of more than 255 characters"
    except (library.InvalidReference, library.digest_.InvalidDigest):
        return _explained(text)
    return None


def _refused_outright(text: str) -> str | None:
    for pattern, sentence in _REFUSED:
        if pattern.search(text):
            return sentence
    _, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        return "must have a complete digest after '@': sha256: and 64 lowercase hex digits, for example"
    return None


def _explained(text: str) -> str:
    """The library says no; the commonest reason gets its own sentence."""
    repository = text.partition("@")[0].rpartition("/")[2].partition(":")[0]
    if repository != repository.lower():
        return "must have a repository name in lower case"
    return "must be an image reference: [registry[:port]/]name[:tag][@digest]"
