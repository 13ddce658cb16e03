"""References in their parts, and the two names of one registry: contract.md section 5, faults.md F6."""

import pytest
from docker_image import reference as library  # type: ignore[import-untyped]  # it brings no type hints
from hypothesis import given
from hypothesis import strategies as st

from core import images, references

DIGEST = "sha256:" + "0123456789abcdef" * 4
OTHER = "sha256:" + "f" * 64
PARTS = [
    ("app", ("", "app", "", "")),
    ("app:1", ("", "app", "1", "")),
    ("team/app", ("", "team/app", "", "")),
    ("localhost/app", ("localhost", "app", "", "")),
    ("docker.io/app", ("docker.io", "app", "", "")),
    ("registry:5010/app:v1", ("registry:5010", "app", "v1", "")),
    ("registry:5010/a/b/c", ("registry:5010", "a/b/c", "", "")),
    ("REGISTRY/app", ("REGISTRY", "app", "", "")),
    ("[::1]:5000/app:1", ("[::1]:5000", "app", "1", "")),
    (f"app@{DIGEST}", ("", "app", "", DIGEST)),
    (f"127.0.0.1:5010/a/b:1@{DIGEST}", ("127.0.0.1:5010", "a/b", "1", DIGEST)),
]


@pytest.mark.parametrize(("text", "parts"), PARTS)
def test_f6_parts(text: str, parts: tuple[str, str, str, str]) -> None:
    found = references.parse(text)
    assert found == references.Reference(*parts)
    assert str(found) == text


@pytest.mark.parametrize("text", ["", "-x", "a b", "app@sha256:short", "user:pass@registry/app", "App", "https://a/b"])
def test_f6_what_is_no_reference_has_a_sentence(text: str) -> None:
    """F6: the same sentence that the grammar gives."""
    assert references.parse(text) == images.reference_problem(text)
    assert isinstance(references.parse(text), str)


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("app", "docker.io/library/app:latest"),
        ("app:latest", "docker.io/library/app:latest"),
        ("library/app", "docker.io/library/app:latest"),
        ("index.docker.io/team/app:1", "docker.io/team/app:1"),
        ("registry:5010/app", "registry:5010/app:latest"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}"),
        (f"app:1@{DIGEST}", f"docker.io/library/app:1@{DIGEST}"),
    ],
)
def test_one_spelling_of_all(text: str, full: str) -> None:
    found = references.parse(text)
    assert isinstance(found, references.Reference)
    assert found.full == full
    assert found.host == full.partition("/")[0]


@pytest.mark.parametrize(
    ("text", "tagged"),
    [
        ("app", "app:latest"),
        ("app:1", "app:1"),
        ("registry:5010/app", "registry:5010/app:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        (f"app@{DIGEST}", f"app@{DIGEST}"),
    ],
)
def test_f6_a_missing_tag_is_latest(text: str, tagged: str) -> None:
    assert references.tagged(text) == tagged


@pytest.mark.parametrize(
    ("text", "pinned"),
    [
        ("app", f"app:latest@{DIGEST}"),
        ("registry:5010/app:1", f"registry:5010/app:1@{DIGEST}"),
        (f"registry:5010/app:1@{OTHER}", f"registry:5010/app:1@{DIGEST}"),
        (f"app@{OTHER}", f"app:latest@{DIGEST}"),
    ],
)
def test_f6_pinned(text: str, pinned: str) -> None:
    assert references.pinned(text, DIGEST) == pinned
    assert images.reference_problem(pinned) is None


@pytest.mark.parametrize(
    ("runtime", "host", "text", "moved"),
    [
        ("registry:5010", "127.0.0.1:5010", "registry:5010/app:1", "127.0.0.1:5010/app:1"),
        ("registry:5010/", "127.0.0.1:5010/", "registry:5010/app:1", "127.0.0.1:5010/app:1"),
        ("registry:5010", "127.0.0.1:5010", f"registry:5010/a/b@{DIGEST}", f"127.0.0.1:5010/a/b@{DIGEST}"),
        ("registry:5010", "127.0.0.1:5010", "127.0.0.1:5010/app", "127.0.0.1:5010/app"),
        ("registry:5010", "127.0.0.1:5010", "registry:50100/app", "registry:50100/app"),
        ("registry:5010", "127.0.0.1:5010", "other/registry:5010/app", "other/registry:5010/app"),
        ("registry:5010", "127.0.0.1:5010", "app", "app"),
        ("registry:5010/team", "127.0.0.1:5010/x/y", "registry:5010/team/app", "127.0.0.1:5010/x/y/app"),
        ("registry:5010/team", "127.0.0.1:5010", "registry:5010/teams/app", "registry:5010/teams/app"),
        ("", "127.0.0.1:5010", "registry:5010/app", "registry:5010/app"),
        ("registry:5010", "", "registry:5010/app", "registry:5010/app"),
        ("registry:5010", "registry:5010", "registry:5010/app", "registry:5010/app"),
        ("hub:1", "hub:1/mirror", "hub:1/app", "hub:1/mirror/app"),
        ("hub:1", "hub:1/mirror", "hub:1/mirror/app", "hub:1/mirror/app"),
        ("hub:1/mirror", "hub:1", "hub:1/mirror/app", "hub:1/app"),
        ("hub:1/mirror", "hub:1", "hub:1/mirror/mirror/app", "hub:1/app"),
    ],
)
def test_f6_two_names_of_one_registry(runtime: str, host: str, text: str, moved: str) -> None:
    """F6: the alias is rewritten, and once only."""
    aliases = references.Registries(runtime, host)
    assert references.moved(text, aliases) == moved
    assert references.moved(moved, aliases) == moved


NAMES = st.lists(st.sampled_from(["a", "b", "a:1", "b.c", "localhost"]), max_size=4).map("/".join)
DOMAINS = st.sampled_from(["", "reg:1/", "b.c/", "localhost/", "A/", "docker.io/", "index.docker.io/"])
TEXTS = st.tuples(DOMAINS, NAMES, st.sampled_from(["", ":1", ":t.1-x"]), st.sampled_from(["", f"@{DIGEST}"])).map(
    "".join
)


@given(TEXTS, NAMES, NAMES)
def test_f6_moving_again_changes_nothing(text: str, runtime: str, host: str) -> None:
    aliases = references.Registries(runtime, host)
    once = references.moved(text, aliases)
    assert references.moved(once, aliases) == once


@given(TEXTS)
def test_f6_the_parts_are_the_ones_of_the_grammar(text: str) -> None:
    found = references.parse(text)
    if isinstance(found, str):
        assert images.reference_problem(text) == found
        return
    known = library.Reference.parse_normalized_named(text)
    assert str(found) == text
    assert (f"{found.host}/{found.path}", found.tag, found.digest) == (
        known["name"],
        known["tag"] or "",
        known["digest"] or "",
    )
    assert images.reference_problem(references.tagged(text)) is None
    assert references.parse(found.full) == _spelled_out(found)


def _spelled_out(found: references.Reference) -> references.Reference:
    tag = found.tag or ("" if found.digest else "latest")
    return references.Reference(found.host, found.path, tag, found.digest)
