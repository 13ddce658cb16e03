"""The allow-lists of names, and the small rules of text that the contract is written in.

Owns every pattern that an identifier of the artifact has to match (faults.md F5), each with the sentence that explains
it, and the rules of route paths and of `${NAME}`. `core.models` and `core.documents` say where they apply. Patterns
are written so that Python, JSON Schema and pydantic's engine read them alike; none of them backtracks.
"""

import functools
import re
from collections.abc import Iterator

ENTRY_ID = r"^[a-z0-9-]+-[0-9a-f]{8}$"
FUNCTION_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$"
LABEL = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"
"""Names of projects and environments, and image tags."""
SECRET_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
ENVIRONMENT_KEY = r"^[^=\x00-\x1f\x7f]+$"
ENVIRONMENT_VALUE = r"^[^\x00]*$"
HTTP_METHOD = r"^[A-Za-z]*$"
SHA256 = r"^[0-9a-f]{64}$"
SCHEMA_VERSION = r"^1(?:\.[0-9]{1,6})?$"
API_VERSION = r"^[0-9]{1,6}(?:\.[0-9]{1,6})?$"

SENTENCES = {
    ENTRY_ID: "must be a slug of a-z, 0-9 and '-', then '-' and 8 hex digits",
    FUNCTION_NAME: "a function's name must be 1 to 64 of A-Z, a-z, 0-9, '_', '.', '-', not beginning with '.' or '-'",
    LABEL: "must be 1 to 128 of A-Z, a-z, 0-9, '_', '.', '-', not beginning with '.' or '-'",
    SECRET_NAME: "must be a variable's name: 1 to 128 of A-Z, a-z, 0-9, '_', not beginning with a digit",
    ENVIRONMENT_KEY: "must be a variable's name: not empty, without '=' and control characters",
    ENVIRONMENT_VALUE: "must not contain a NUL character: no process can be given one",
    HTTP_METHOD: "must be letters only, or empty for GET",
    SHA256: "must be 64 lowercase hex digits",
    SCHEMA_VERSION: 'must be "1": no other major version is supported',
    API_VERSION: 'must be "major.minor" or "major", in digits',
}
"""What each pattern asks for, to be read after the name of a key."""

DEFAULT_NAMES = frozenset(
    {"GATEWAY_INTERNAL_URL", "LOG_LEVEL", "RUSTFS_ACCESS_KEY", "RUSTFS_SECRET_KEY", "*_ENDPOINT_HOST"}
)
"""consumers.md GW11. A leading `*` stands for one or more characters of a name. ``DEFAULT_NAMES | {"X"}`` adds one."""

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(r"\$\{(?:(" + _NAME + r")\})?")
_PARAMETER = re.compile(r"\{(" + _NAME + r")\}")
_METACHARACTERS = re.compile(r"[.^$*+?{}\[\]\\|()]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SHOWN_CHARACTERS = 80


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text matches one of the patterns above (a newline at the end counts)."""
    return re.fullmatch(pattern, text) is not None


def has_control(text: str) -> bool:
    """Whether the text has a control character or a line separator of any kind."""
    return _CONTROL.search(text) is not None


def shown(text: str) -> str:
    """An identifier as a message may show it: quoted, at most 80 characters, and only when all can be printed."""
    if not text.isprintable():
        return "(a text that cannot be printed)"
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")


def text_problem(text: str) -> str | None:
    """Why a free text that names something (a path, a resource) cannot be taken; None when it can."""
    if not text.strip():
        return "must not be empty"
    return "must not contain control characters" if has_control(text) else None


def path_problem(path: str) -> str | None:
    """Why a route's path cannot be taken; None when it can.

    The gateway makes a regular expression of the path without escaping it, with a named group for each `{name}`, and
    one bad path breaks every route after it (consumers.md GW8 and GW9).
    """
    if not path.startswith("/"):
        return "must start with '/'"
    if has_control(path):
        return "must not contain control characters"
    names = _PARAMETER.findall(path)
    found = _METACHARACTERS.search(_PARAMETER.sub("", path))
    if found:
        return f"must not contain {found.group()!r}: only '{{name}}' is allowed of what means something in a pattern"
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        return f"must not name the parameter {{{repeated[0]}}} twice"
    return None


def reference_problems(text: str, allowed: frozenset[str]) -> Iterator[str]:
    """One sentence for each `${NAME}` in the text that the gateway may not be asked to replace (consumers.md GW11).

    Whatever follows `${` and is not a plain name is refused too, and not shown: it may hold a default value.
    """
    for found in _REFERENCE.finditer(text):
        name = found.group(1)
        if name is None:
            yield "'${' must be followed by a plain name and '}'"
        elif not _allowed(allowed).fullmatch(name):
            yield (
                f"${{{name[:_SHOWN_CHARACTERS]}}} is not on the allow-list of names that the gateway replaces "
                "from its own environment"
            )


@functools.lru_cache(maxsize=8)
def _allowed(names: frozenset[str]) -> re.Pattern[str]:
    exact = (re.escape(name) for name in names if not name.startswith("*"))
    ending = ("[A-Za-z0-9_]+" + re.escape(name[1:]) for name in names if name.startswith("*"))
    return re.compile("|".join((*exact, *ending)) or r"(?!)")
