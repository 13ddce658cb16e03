"""What docker, and programs that it runs, print: made fit to be shown, and read where it should be JSON.

The boundary of everything that `controller.docker` passes on: lines leave it decoded, short, without control
characters and without what may be secret (faults.md P13, K1, H3; consumers.md DK4). Pure but for the names of this
process's environment, which are given to it.
"""

import base64
import json
import re
import unicodedata
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

LINES = 100
"""Lines at the end of a log that are kept."""

LONGEST_LINE = 1000
"""Characters of a line that are kept."""

HIDDEN = "***"

_LONGEST_READ = 8 * LONGEST_LINE
"""Bytes of a line that are looked at: more than are kept, so that a secret at the cut is seen whole."""

_SHORTEST_SECRET = 5
"""A shorter value would hide half of the log, and is no secret."""

_SHORTEST_ENCODED = 8
"""Characters that an encoded value must have to be told from any other word."""

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, movements
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)"  # titles, links
    r"|\x1b[ -/]*[0-~]"
)
_NAME = (
    r"(?:password|passwd|passphrase|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|[_-](?:key|pwd|signature)(?![a-z])|(?<![a-z])(?:db|user)?pass(?![a-z])|(?<![a-z])auth(?![a-z]))"
)
_USER = r"[A-Za-z](?:[a-z._-]{0,15}|[A-Z._-]{0,15})"
"""A name such as git or USER: short, without digits and in one case, as no token is."""
_SENTENCE = r"(?!(?<=: )(?:must|is|are|has|cannot|not) [a-z])"
"""What our own words about a setting with such a name go on with, instead of a value."""
_VALUE = r"(?:\"[^\"]*\"?|'[^']*'?|[^\s,;&\"']+)"
_SECRET_NAME = re.compile(_NAME, re.IGNORECASE)
_NO_SECRET = frozenset({"SSH_AUTH_SOCK"})

# No rule begins with a repetition: a long line would be searched from each of its characters again.
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # user:password@ and token@ of an address, but not docker-image://name:tag@sha256:… or somebody's plain name
    (re.compile(rf"://(?!{_USER}@)[^\s/@]+@(?!sha256:)"), f"://{HIDDEN}@"),
    # The same with a password that was not encoded: it may have a slash.
    (re.compile(r"://[^\s/@:]*:[^\s@]+@(?!sha256:)"), f"://{HIDDEN}@"),
    (re.compile(r"(authorization[\"']?\s{0,9}[:=]\s{0,9}).+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\b(bearer|basic)\s{1,9}[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9._-]*"), HIDDEN),
    # NAME=value, name: value, "name": "value"; --name value
    (
        re.compile(rf"({_NAME}[\w.-]{{0,40}}[\"']?\s{{0,9}}[=:]\s{{0,9}}){_SENTENCE}{_VALUE}", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),
    (re.compile(rf"(--[\w-]{{0,40}}{_NAME}[\w-]{{0,40}}\s{{1,9}}){_VALUE}", re.IGNORECASE), rf"\1{HIDDEN}"),
)


def secret_values(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values of variables whose names say that they are secret, and what they are encoded as, the longest first."""
    plain = {
        line
        for name, value in environment.items()
        if _SECRET_NAME.search(name) and name not in _NO_SECRET
        for line in (value, *value.splitlines())
        if len(line) >= _SHORTEST_SECRET
    }
    encoded = {form for value in plain for form in _encoded(value) if len(form) >= _SHORTEST_ENCODED}
    return tuple(sorted(plain | encoded, key=lambda value: (-len(value), value)))


def _encoded(value: str) -> Iterator[str]:
    """The value as an address or a header would have it: percent-encoded, and what base64 always has of it, whatever
    stands before it (``user:`` in a login) and after it. A registry may say it back (faults.md K1)."""
    whole = value.encode(errors="surrogateescape")
    quoted = urllib.parse.quote_from_bytes(whole, safe="")
    yield quoted
    yield re.sub("%..", lambda found: found[0].lower(), quoted)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            first, last = -(-before * 8 // 6), (before + len(whole)) * 8 // 6
            yield encode(b"\0" * before + whole)[first:last].decode()


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without passwords in addresses, headers that authorise, values of names that say "secret", and the given
    values. Rather too much than too little: this is for people to read."""
    for value in secrets:
        text = text.replace(value, HIDDEN)
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text


def cleaned(raw: bytes, secrets: Iterable[str] = ()) -> str:
    """One line as it may be shown: UTF-8 with replacements, no control or invisible characters, redacted, not long."""
    values = tuple(secrets)
    text = raw[:_LONGEST_READ].decode(errors="replace").replace("\t", "    ").rstrip()
    # Twice, because an escape sequence may stand inside of a name, and may swallow the first letter of one.
    text = _ESCAPES.sub("", redacted(text, values))
    plain = "".join(character if _is_plain(character) else "�" for character in text)
    shown = redacted(plain, values)
    return shown if len(shown) <= LONGEST_LINE else shown[: LONGEST_LINE - 1] + "…"


def tail(raw: bytes, secrets: Iterable[str] = (), *, cut: bool = False, lines: int = LINES) -> tuple[str, ...]:
    """The last lines, cleaned; empty ones at the end are dropped. With `cut` the first line is a piece of one, and left
    out: what is secret in it could not be recognised."""
    # A carriage return starts a line over: progress bars are many lines, of which the last ones count.
    found = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip().split(b"\n")
    if cut:
        found = found[1:] or [b"(one line, too long to be shown)"]
    values = tuple(secrets)
    shown = tuple(cleaned(line, values) for line in found[-lines:])
    return shown if any(shown) else ()


def answered(raw: bytes) -> tuple[dict[str, Any], ...]:
    """The objects of an answer, a list or one after the other, which may come after warnings (faults.md H5). Raises
    ValueError without one, and says nothing of the content."""
    lines = raw.decode(errors="replace").splitlines(keepends=True)
    starts = [number for number, line in enumerate(lines) if line.lstrip()[:1] in ("{", "[")]
    for start in starts[:_TRIES]:
        try:
            objects = _decoded("".join(lines[start:]))
        except (ValueError, RecursionError):
            continue
        if all(isinstance(one, dict) for one in objects):
            return objects
    raise ValueError("no JSON objects")


def _decoded(text: str) -> tuple[Any, ...]:
    """The values that the text begins with: those of a list, or what stands one after the other."""
    found: list[Any] = []
    text, end = text.strip(), 0
    while not found or text.startswith("{", end):
        value, end = _DECODER.raw_decode(text, end)
        if isinstance(value, list):
            return tuple(value)
        found.append(value)
        end += len(text[end : end + _LONGEST_GAP]) - len(text[end : end + _LONGEST_GAP].lstrip())
    return tuple(found)


_DECODER = json.JSONDecoder()
_LONGEST_GAP = 8
"""Between two objects there is the end of a line, and no more."""
_TRIES = 20
"""Lines that may look like the beginning of JSON and are none."""


def _is_plain(character: str) -> bool:
    """Neither a control nor a format character (which could turn the direction of writing), nor a line separator."""
    return (character.isascii() and character.isprintable()) or unicodedata.category(character) not in _INVISIBLE


_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
