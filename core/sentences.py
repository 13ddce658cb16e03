"""pydantic's errors, said in this project's words.

The one place that knows pydantic's error types: models say rules, this module says what was broken, where, and what
to do. No sentence shows a value of the document, because that value may be a secret (faults.md P13); at most it names
the value's type.
"""

from collections.abc import Iterator

import pydantic
import pydantic_core

from core import grammar, problems

RULE = "rule"
"""The error type of a rule of our own: `broken` makes one."""

_KEY = "[key]"
_SAID_BY_STRUCTURE = frozenset({"string_unicode", "invalid_key"})
_SENTENCES = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "dict_type": "must be a mapping",
    "mapping_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_too_short": "must not be empty",
    "too_short": "must have at least one entry",
    "literal_error": "must be {expected}",
}


def broken(sentence: str) -> pydantic_core.PydanticCustomError:
    """The error that a validator of ours raises; `sentence` is what is said, and shows no value."""
    return pydantic_core.PydanticCustomError(RULE, "{sentence}", {"sentence": sentence})


def findings(error: pydantic.ValidationError, document: object) -> Iterator[problems.Finding]:
    """Every error as a finding. `document` is the value that was validated.

    What `core.structure` reports about any document (keys that are not text, lone surrogates) is not said twice.
    """
    for detail in error.errors(include_url=False):
        place = detail["loc"]
        about_key = bool(place) and place[-1] == _KEY and not _exists(document, place)
        if detail["type"] in _SAID_BY_STRUCTURE or (about_key and detail["type"] == "string_type"):
            continue
        if detail["type"] == "too_short" and detail["input"]:
            continue  # pydantic counts the valid members only; the others have their own findings
        if detail["type"] == "missing":
            yield problems.Finding(place[:-1], f"'{place[-1]}' is missing")
        else:
            yield problems.Finding(place[:-1] if about_key else place, _sentence(detail), at_key=about_key)


def _sentence(detail: pydantic_core.ErrorDetails) -> str:
    context = detail.get("ctx", {})
    if detail["type"] == RULE:
        return str(context["sentence"])
    if detail["type"] == "string_pattern_mismatch":
        return grammar.SENTENCES.get(str(context["pattern"]), "has characters that are not allowed here")
    sentence = _SENTENCES.get(detail["type"], "is not valid here").format_map(context)
    return sentence + _way_out(detail["type"], detail["input"])


def _way_out(type_: str, value: object) -> str:
    """What is there instead of the wanted type, and how to put it right. Only the type is looked at."""
    if not type_.endswith("_type"):
        return ""
    if type_ == "string_type" and isinstance(value, int | float):
        return ", not a boolean: quote it" if isinstance(value, bool) else ", not a number: quote it"
    for kind, word in ((bool, "a boolean"), (str, "text"), (dict, "a mapping"), (list, "a list")):
        if isinstance(value, kind):
            return f", not {word}"
    return ", not null" if value is None else ""


def _exists(document: object, path: problems.KeyPath) -> bool:
    for part in path:
        present = isinstance(document, dict) and part in document
        if not present and not (isinstance(document, list) and isinstance(part, int) and part < len(document)):
            return False
        document = document[part]  # type: ignore[index]  # the line above has just made sure
    return True
