"""What docker prints, before anybody sees it: bounded, decoded, harmless, without secrets (faults.md H3, H5, K1)."""

import base64
import string

import hypothesis
import pytest
from hypothesis import strategies

from controller import docker_output

CANARY = "canary-7f3a"


@pytest.mark.parametrize(
    "line",
    [
        f"pulling https://user:{CANARY}@registry:5010/v2/",
        f"error: https://{CANARY}@registry/x",
        f"no answer from tcp://user:a/{CANARY}@registry:2376 yet",
        f"dial amqp://guest:{CANARY}@queue",
        f"> Authorization: Bearer {CANARY}",
        f'{{"authorization": "Basic {CANARY}"}}',
        f"sent bearer {CANARY}",
        f"AUTH_PASS={CANARY}",
        f"export RUSTFS_SECRET_KEY='{CANARY} and more'",
        f'"db_password": "{CANARY}"',
        f"DB_PWD={CANARY}",
        f"api-key: {CANARY}",
        f"login --password {CANARY} registry",
        f"?X-Amz-Signature={CANARY}&x=1",
        f"token={CANARY},other=1",
        f"pass\x1b[31mword={CANARY}",
        f"\x1b[password={CANARY}",
    ],
)
def test_k1_what_says_that_it_is_secret_is_hidden(line: str) -> None:
    shown = docker_output.cleaned(line.encode())
    assert CANARY not in shown
    assert docker_output.HIDDEN in shown


@pytest.mark.parametrize(
    "line",
    [
        "docker-image://127.0.0.1:5010/base:1@sha256:0123",
        "docker-image://base:1@sha256:0123",
        "mail admin@example.org about http://127.0.0.1:5010/v2/ and https://h/a:b",
        "unauthorized: authentication required",
        "denied: requested access to the resource is denied",
        "Dockerfile:3",
        "#7 [2/3] COPY functions/a/src/ /var/task/",
        "tests passed: 12, bypass: no",
        "source.git.url: write https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or file:///PATH",
        "ssh://git@host.example/shop.git",
        "controller.yml:3:5: source.git.password: must be text",
        "source.git.password: is for http and https",
        "the author: somebody",
    ],
)
def test_what_is_no_secret_stays_readable(line: str) -> None:
    """Counter-check: a log in which everything is hidden helps nobody."""
    assert docker_output.cleaned(line.encode()) == line


PASSWORD = "Zr8/q=w+Tz-7f3a"
WHOLE = base64.b64encode(PASSWORD.encode()).decode()
LOGIN = base64.b64encode(f"somebody:{PASSWORD}".encode()).decode()


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        ("denied: Zr8%2Fq%3Dw%2BTz-7f3a, who is that", "Zr8%2F"),
        ("denied: Zr8%2fq%3dw%2bTz-7f3a, who is that", "Zr8%2f"),
        (f"denied: {WHOLE}, who is that", WHOLE[:6]),
        *((f"denied: {base64.b64encode(f'{u}:{PASSWORD}:x'.encode()).decode()}.", WHOLE[:6]) for u in ("", "a", "ab")),
        (f"denied: {LOGIN}, who is that", LOGIN[12:18]),
        (f"denied: {base64.urlsafe_b64encode(PASSWORD.encode()).decode()}, who is that", WHOLE[:6]),
    ],
)
def test_k1_values_of_secret_variables_are_hidden_as_addresses_and_headers_have_them(line: str, hidden: str) -> None:
    """Whatever stands before and after them in what was encoded."""
    values = docker_output.secret_values({"REGISTRY_PASSWORD": PASSWORD})
    shown = docker_output.cleaned(line.encode(), values)
    assert hidden not in shown
    assert docker_output.HIDDEN in shown
    assert shown.startswith("denied: ")


def test_a_short_value_hides_no_word_that_looks_like_its_encoding() -> None:
    """Counter-check: six characters of base64 are in many a name."""
    assert docker_output.secret_values({"DB_PASSWORD": "abcde"}) == ("abcde",)


@pytest.mark.parametrize(
    "line",
    [
        "https://abcDefGhi@registry/x",
        "https://abcdefghijklmnopqrstu@registry/x",
        "https://abc123@registry/x",
        "https://git:x@registry/x",
        "https://git:@registry/x",
        "password=must be",
        "password: mustard be",
        "password: is-it me",
    ],
)
def test_k1_what_only_looks_like_a_name_or_a_sentence_is_hidden(line: str) -> None:
    assert docker_output.HIDDEN in docker_output.cleaned(line.encode())


def test_k1_values_of_secret_variables_are_hidden_wherever_they_stand() -> None:
    environment = {"AUTH_PASS": CANARY, "PATH": "/usr/bin", "KEY_PEM_SECRET": f"-----\n{CANARY}2\n", "A_TOKEN": "abc"}
    values = docker_output.secret_values(environment)
    assert "/usr/bin" not in values
    assert "abc" not in values, "too short to be told from words"
    assert docker_output.cleaned(f"x{CANARY}y {CANARY}2 /usr/bin abc".encode(), values) == "x***y *** /usr/bin abc"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"\xff\xfe bad", "�� bad"),
        (b"\x1b[1;31mred\x1b[0m\x1b]0;title\x07!", "red!"),
        (b"a\x00b\x08c\x7f", "a�b�c�"),
        ("left\u202eright\u2028x\u200b".encode(), "left�right�x�"),
        ("日本語 naïve".encode(), "日本語 naïve"),
        (b"a\tb  ", "a    b"),
        (b"x" * 5000, "x" * 999 + "…"),
    ],
)
def test_h3_a_line_is_made_fit_to_be_shown(raw: bytes, shown: str) -> None:
    assert docker_output.cleaned(raw) == shown


def test_h3_the_last_lines_are_kept() -> None:
    raw = b"".join(b"line %d\n" % number for number in range(1000))
    assert docker_output.tail(raw, lines=2) == ("line 998", "line 999")
    assert len(docker_output.tail(raw)) == docker_output.LINES


def test_h3_a_progress_bar_is_its_last_lines() -> None:
    raw = b"\r".join(b"%d%%" % number for number in range(101)) + b"\r\ndone"
    assert docker_output.tail(raw, lines=2) == ("100%", "done")


def test_k1_a_piece_of_a_line_is_not_shown() -> None:
    """Where the output was cut, a secret may have lost the name by which it is known."""
    assert docker_output.tail(f"{CANARY}\nnext".encode(), cut=True) == ("next",)
    assert CANARY not in "".join(docker_output.tail(CANARY.encode(), cut=True))


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b'{"a": 1}', ({"a": 1},)),
        (b"[]\n", ()),
        (b'W!\n{"a": 1}\n{"b": 2}\r\n  {"c": 3}\nbye\n', ({"a": 1}, {"b": 2}, {"c": 3})),
        (b'WARNING: x\n[warn] y\n[1]\n{broken\n[{"a": 1},\n {"b": 2}]\nbye\n', ({"a": 1}, {"b": 2})),
        (b'\xff\xfe\n{"a": "\xff"}', ({"a": "�"},)),
    ],
)
def test_h5_an_answer_is_found_among_warnings(raw: bytes, found: tuple[dict[str, object], ...]) -> None:
    assert docker_output.answered(raw) == found


@pytest.mark.parametrize(
    "raw", [b"", b"no", b"{", b"[1, 2]", b'{"a": 1}\n{"b": ', b"[" * 100_000, b'"text"', b"{\n" * 1000]
)
def test_h5_anything_else_is_no_answer(raw: bytes) -> None:
    with pytest.raises(ValueError, match="no JSON objects"):
        docker_output.answered(raw)


@hypothesis.given(
    strategies.binary(max_size=200),
    strategies.sampled_from(["password=", "://u:", "Authorization: Basic ", "--token "]),
)
def test_k1_property_no_control_character_and_no_named_secret_gets_through(noise: bytes, before: str) -> None:
    noise = noise.replace(b"\n", b"").replace(b"\r", b"")
    secret = f"{CANARY}@x" if before.startswith(":") else CANARY
    shown = docker_output.cleaned(noise + before.encode() + secret.encode())
    assert CANARY not in shown
    assert all(character.isprintable() for character in shown if character.isascii())


@pytest.mark.parametrize("word", ["pass", "a", "password=", "://", "--", "auth", "'", 'key"', " "])
def test_a_long_hostile_line_is_cleaned_in_bounded_work(word: str) -> None:
    """Rules that backtrack would take minutes for these; the test's time limit notices."""
    docker_output.tail(("\n".join([word * 60_000] * 3)).encode())


def test_every_printable_character_of_ascii_stays() -> None:
    plain = string.ascii_letters + string.digits + "!#$%&()*+,-./:;<=>?@[]^_`{|}~ \\"
    assert docker_output.cleaned(plain.encode()) == plain
