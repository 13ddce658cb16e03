"""Image references: faults.md F6."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import images

HEX = "0123456789abcdef" * 4

GOOD = [
    "busybox",
    "busybox:1.36",
    "library/busybox:latest",
    "registry:5010/esb-lambda-echo:e2e-docker-latest",
    "127.0.0.1:5010/esb-lambda-echo:v1",
    "localhost/app",
    "registry.example/a/b/c:v1",
    "[::1]:5000/app:v1",
    "a__b/c.d-e:v_1.0-x",
    f"app@sha256:{HEX}",
    f"registry:5010/app:v1@sha256:{HEX}",
    f"app@sha512:{HEX}{HEX}",
    "app:" + "t" * 128,
    "REGISTRY/app:v1",
]
BAD = [
    ("", "empty"),
    ("-x", "start with '-'"),
    ("--privileged", "start with '-'"),
    ("a b", "spaces"),
    (" app", "spaces"),
    ("app:v1\n", "control"),
    ("app\x00", "control"),
    ("app\u3000", "spaces"),
    ("app@sha256:abc", "complete digest"),
    ("app@", "complete digest"),
    (f"app@sha256:{HEX.upper()}", "complete digest"),
    (f"app@md5:{HEX}", "complete digest"),
    (f"app@sha512:{HEX}", "complete digest"),
    ("user:pass@registry:5010/app:v1", "credentials"),
    ("user@registry/app", "credentials"),
    (f"user:p@ss@registry/app@sha256:{HEX}", "credentials"),
    ("https://registry:5010/app", "not a URL"),
    ("App", "lower case"),
    ("registry:5010/team/App:v1", "lower case"),
    ("app:", "must be an image reference"),
    ("app:-v1", "must be an image reference"),
    ("app:v1:v2", "must be an image reference"),
    ("app:" + "t" * 129, "must be an image reference"),
    ("/app", "must be an image reference"),
    ("a//b", "must be an image reference"),
    ("app/", "must be an image reference"),
    ("../app", "must be an image reference"),
    ("$(id)", "must be an image reference"),
    ("${REGISTRY}/app:v1", "must be an image reference"),
    ("app;id", "must be an image reference"),
    ("\u0430pp", "must be an image reference"),
    ("app:v\u0661", "must be an image reference"),
    ("😀", "must be an image reference"),
    ("a" * 256, "255"),
    ("a" * 5000, "1024"),
    (HEX, "must be an image reference"),
    (f"sha256:{HEX}", "not only a digest"),
]


@pytest.mark.parametrize("text", GOOD)
def test_f6_references_that_are_taken(text: str) -> None:
    assert images.reference_problem(text) is None


@pytest.mark.parametrize(("text", "fragment"), BAD)
def test_f6_references_that_are_refused(text: str, fragment: str) -> None:
    problem = images.reference_problem(text)
    assert problem is not None
    assert fragment in problem


def test_k1_a_credential_is_not_shown() -> None:
    """K1: a reference with a password is refused in words that do not have it."""
    assert "hunter2" not in str(images.reference_problem("user:hunter2@registry/app"))


@given(st.text(st.sampled_from("ab/:@.-_[]A0 \n") | st.characters(), max_size=40))
def test_f6_any_text_gives_a_verdict(text: str) -> None:
    problem = images.reference_problem(text)
    assert problem is None or problem
    assert problem is not None or (text.isascii() and text.isprintable() and " " not in text and text[0] != "-")
