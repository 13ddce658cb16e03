"""How an unquoted (plain) YAML scalar is read, and whether everybody reads it the same.

Owns the tables of two dialects: YAML 1.1 as the consumers' reader resolves it (PyYAML's safe loader, consumers.md
GW15: the yaml.org/type repository, except that `y` and `n` are text and that a float needs a point and a signed
exponent) and YAML 1.2's core schema (yaml.org/spec/1.2.2, section 10.3.2). `manifests.yaml_builder` asks it about
every plain scalar it reads, `manifests.rendering` about every text it writes. Knows nothing of documents.
"""

import re
from enum import Enum
from functools import lru_cache

Scalar = None | bool | int | float | str
"""What a scalar of this contract may be."""

MAX_NUMBER_LENGTH = 64
"""Longest number that is read, in characters (faults.md F2: turning digits into an integer costs their square)."""


class Unclear(Enum):
    """Why a plain scalar has no value that everybody would read."""

    DISAGREEMENT = "a YAML 1.1 reader and a YAML 1.2 reader read this unquoted value differently: quote it"
    TOO_LONG = f"a number of more than {MAX_NUMBER_LENGTH} characters"


_WORDS: dict[str, Scalar | Unclear] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    # Booleans of YAML 1.1 only.
    **dict.fromkeys(("yes", "Yes", "YES", "on", "On", "ON"), Unclear.DISAGREEMENT),
    **dict.fromkeys(("no", "No", "NO", "off", "Off", "OFF"), Unclear.DISAGREEMENT),
    # The merge and the default key of YAML 1.1; text in 1.2. A merge *key* never gets here.
    **dict.fromkeys(("<<", "="), Unclear.DISAGREEMENT),
}

_NUMBER_START = frozenset("+-.0123456789")

_NUMBER_1_1 = re.compile(
    r"[-+]?0b[01_]+"
    r"|[-+]?0[0-7_]+"  # octal
    r"|[-+]?(?:0|[1-9][0-9_]*)"
    r"|[-+]?0x[0-9A-Fa-f_]+"
    r"|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])++"  # base 60
    r"|[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?"
    r"|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])++\.[0-9_]*"
    r"|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN)"
)

_NUMBER_1_2 = re.compile(
    r"[-+]?[0-9]+"
    r"|0o[0-7]+"
    r"|0x[0-9A-Fa-f]+"
    r"|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN)"
)

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")

_OTHER_BOOLEANS = frozenset("yYnN")
"""Booleans of the YAML 1.1 specification that PyYAML reads as text and other 1.1 readers do not."""


def resolve(text: str) -> Scalar | Unclear:
    """The value of the plain scalar `text`, or why it has none.

    A YAML 1.1 timestamp (``2026-02-20``) stays the text that was written: the one documented coercion (faults.md F3).
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_START:
        return text
    if len(text) > MAX_NUMBER_LENGTH:
        return Unclear.TOO_LONG if _NUMBER_1_1.fullmatch(text) or _NUMBER_1_2.fullmatch(text) else text
    return _resolve_number(text)


def is_plain_safe(text: str) -> bool:
    """May `text` be written without quotes? True only when readers of both dialects certainly read this very text
    (consumers.md GW15); an allow-list, so quotes are common and harmless."""
    return _PLAIN.fullmatch(text) is not None and text not in _WORDS and text not in _OTHER_BOOLEANS


@lru_cache(maxsize=8192)
def _resolve_number(text: str) -> int | float | str | Unclear:
    old = _NUMBER_1_1.fullmatch(text) is not None
    new = _NUMBER_1_2.fullmatch(text) is not None
    if old and new:
        return _number(text)
    return Unclear.DISAGREEMENT if old or new else text


def _number(text: str) -> int | float | Unclear:
    """The value of a number that both dialects call a number. Both then agree on whole or broken: in 1.1 only what
    has a point is broken, and what has a point is never whole in 1.2."""
    if "." in text:
        return float(text.replace(".", "", 1)) if text[-1] in "fFnN" else float(text)
    if text.startswith("0x"):
        return int(text, 16)
    value = int(text)
    digits = text.lstrip("+-")
    if digits.startswith("0") and value != 0 and len(digits.lstrip("0")) > 1:
        # 1.1 reads base 8 here and 1.2 base 10; one digit below 8 is the same in both, 8 and 9 never get here.
        return Unclear.DISAGREEMENT
    return value


def resolve_as_consumer(text: str) -> Scalar | Unclear:
    """The value that the consumers' own reader gives the plain scalar `text`, whatever other readers say.

    For CONFIG_DIR, where a foreign part means what the consumer has always read; never for a source.
    """
    value = resolve(text)
    if value is not Unclear.DISAGREEMENT:
        return value
    if text.lower() in ("yes", "on"):
        return True
    if text.lower() in ("no", "off"):
        return False
    return _number_1_1(text.replace("_", "")) if _NUMBER_1_1.fullmatch(text) else text


def _number_1_1(text: str) -> int | float | str:
    """The value of a YAML 1.1 number without its underscores, as PyYAML computes it."""
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if ":" in digits:
        total: int | float = 0
        for part in digits.split(":"):
            total = total * 60 + (float(part) if "." in part else int(part))
        return sign * total
    try:
        if digits.startswith(("0b", "0x")):
            return sign * int(digits, 0)
        if "." in digits:
            return sign * float(digits)
        return sign * int(digits, 8 if digits.startswith("0") else 10)
    except ValueError:
        return text  # "0b" or "0x" and nothing but underscores: its reader fails on it, too
