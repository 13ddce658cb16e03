"""What is true of every Dockerfile that is read, whatever stands in it (contract.md section 5)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from core import dockerfile, references

RULES = dockerfile.BaseRules(references.Registries("registry:5010", "127.0.0.1:5010/mirror"), "7.8.9")
HOST = "127.0.0.1:5010/mirror"

IMAGES = {
    "registry:5010/app:1": f"{HOST}/app:1",
    "registry:5010/esb-lambda-base": f"{HOST}/esb-lambda-base:7.8.9",
    "esb-lambda-base:latest": "esb-lambda-base:7.8.9",
    "${REG}/tools": f"{HOST}/tools",
    '"$REG/tools:${TAG:-3}"': f"{HOST}/tools:3",
    "${TAG:-app:2}": "app:2",
    "other/app:1": "other/app:1",
    "registry:50100/app": "registry:50100/app",
    f"{HOST}/app:1": f"{HOST}/app:1",
    "scratch": "scratch",
    "first": "first",
}
PLAIN = [image for image in IMAGES if "$" not in image]
END = "\0"
"""Stands for the end of a line."""

KEPT = [
    "RUN echo FROM registry:5010/no:1 \\\0# FROM registry:5010/no:2\0\0FROM registry:5010/no:3\0",
    "RUN <<EOF cat <<-'E' \0FROM registry:5010/no:1\0COPY --from=registry:5010/no:2 a b\0EOF\0# syntax=x\0\t\tE\0",
    "COPY registry:5010/no:1 --from=registry:5010/no:2 /\0",
    "COPY --chown=1:2 --from=first /a /b\0",
    "RUN --mount=type=cache,target=/from=registry:5010/x --mount=from=0,target=/a make\0",
    "# syntax=docker/dockerfile:1\0",
    "  #registry:5010/app\0",
    "ENV A=registry:5010/app:1 \\\0  B='それで'\0",
    "ARG TAG=registry:5010/app\0",
    "LABEL a=<<EOF\0",
    "\0 \t\0",
    "ONBUILD RUN echo registry:5010/app\0",
]


def _from(drawn: tuple[str, str, str, str]) -> list[str]:
    word, flag, image, stage = drawn
    return [f"{word} {flag}", image, f"{stage}\0"]


def _copy(drawn: tuple[str, str]) -> list[str]:
    return [drawn[0], drawn[1], " /a /b\0"]


FROM = st.tuples(
    st.sampled_from(["FROM", "from", "  From", "FROM \\\0", "FROM \\\0# FROM registry:5010/no:1\0  "]),
    st.sampled_from(["", "--platform=$BUILDPLATFORM ", "  --platform=linux/amd64\t"]),
    st.sampled_from(list(IMAGES)),
    st.sampled_from(["", " AS x", "  as  X-1 ", " \\\0 AS \\\0 y"]),
).map(_from)
OTHERS = st.tuples(
    st.sampled_from(["COPY --from=", "copy --link \\\0 --from=", "RUN --network=none --mount=target=/x,from="]),
    st.sampled_from(PLAIN),
).map(_copy)
PARTS = st.lists(FROM | OTHERS | st.sampled_from(KEPT).map(lambda text: [text]), max_size=8)
TOPS = st.sampled_from(["", "\ufeff", "#!sh\0", "# escape=\\\0", "# a comment\0"])


@given(TOPS, PARTS, st.sampled_from(["\n", "\r\n"]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_only_names_of_images_change(top: str, parts: list[list[str]], end: str, complete: bool) -> None:
    """Each Dockerfile is put together from text that stays and names that change: nothing else may."""
    pieces = [top, "#\0ARG REG=registry:5010 TAG\0FROM --platform=linux/amd64 ", "first:1", " AS first\0FROM first\0"]
    pieces += [piece for part in parts for piece in part]
    pieces[-1] = pieces[-1] if complete else pieces[-1].removesuffix(END)
    text = "".join(pieces).replace(END, end)
    found = dockerfile.read(text.encode(), arguments={}, rules=RULES)
    assert found.problems == ()
    assert found.text == "".join(IMAGES.get(piece, piece) for piece in pieces).replace(END, end)
    named = dict.fromkeys(IMAGES.get(piece, piece) for piece in pieces if piece in IMAGES or piece == "first:1")
    assert list(found.bases) == [name for name in named if name not in {"scratch", "first"}]
    assert dockerfile.read(found.text, arguments={}, rules=RULES) == found, "read again, nothing changes"


WORDS = (
    "FROM ARG RUN COPY ONBUILD --from= --mount= registry:5010/ app:1 AS first # syntax= escape= check= <<EOF <<- EOF A"
)
SIGNS = ["\n", "\r\n", "\\", "\u3000", "\ufeff", "é", "FROM app:1\n", "FROM app\n", *"\n`'\"${} \t[]=,:-0/!"]
FRAGMENTS = st.sampled_from([*WORDS.split(), *(f"{word} " for word in WORDS.split()), *SIGNS])


@given(st.lists(FRAGMENTS | st.text(max_size=2), max_size=30).map("".join))
@settings(max_examples=400, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    """F6: no text raises; what is read keeps its number of lines, and reads the same again."""
    found = dockerfile.read(text, arguments={"A": "app:2"}, rules=RULES)
    if found.problems:
        assert (found.text, found.bases) == ("", ())
        assert all(0 <= problem.line <= text.count("\n") + 1 for problem in found.problems)
    else:
        assert found.text.count("\n") == text.count("\n")
        assert dockerfile.read(found.text, arguments={"A": "app:2"}, rules=RULES) == found
        assert not any(_names_runtime(base) for base in found.bases)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    found = dockerfile.read(b"FROM app:1\n# " + raw, arguments={}, rules=RULES)
    assert bool(found.problems) != bool(found.text)


def _names_runtime(base: str) -> bool:
    return base.startswith("registry:5010/")
