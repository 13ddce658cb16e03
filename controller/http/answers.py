"""Answers as they may leave the machine: JSON without anything that a terminal or a browser would obey.

Owns the headers of every answer and the neutralising of every text in one (faults.md I3, K2, P13). Texts of failures
come from what others wrote, and name folders of this machine: the former are cleaned, the latter get other names.
"""

import json
from collections.abc import Mapping
from typing import Any

from starlette import responses

from controller import docker_output, output

HEADERS: Mapping[str, str] = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Of every answer: nothing here is a page, and nothing may be kept."""

Places = Mapping[str, str]
"""Folders of this machine, and the word that each is shown as."""

_IN_MARKUP = {ord(char): f"\\u{ord(char):04x}" for char in "<>&'"}
"""Characters of JSON texts that would mean something to a browser that takes the answer for a page."""


def reply(
    status: int,
    schema: str,
    payload: Mapping[str, Any],
    *,
    places: Places | None = None,
    headers: Mapping[str, str] | None = None,
) -> responses.Response:
    """One line of JSON, tagged with its versioned schema as in docs/json.md."""
    tagged = {"schema": f"artifact-controller/{schema}/v1", **neutral(payload, places or {})}
    content = json.dumps(tagged, allow_nan=False).translate(_IN_MARKUP) + "\n"
    return responses.Response(content, status, {**HEADERS, **(headers or {})}, "application/json")


def text(content: bytes, media_type: str) -> responses.Response:
    """Something that is no JSON."""
    return responses.Response(content, 200, HEADERS, media_type)


def refusal(status: int, error: str, message: str, headers: Mapping[str, str] | None = None) -> responses.Response:
    """A refusal, in words that are the same for everybody: nothing of the request is in it."""
    return reply(status, "refusal", {"error": error, "message": message}, headers=headers)


def neutral(value: Any, places: Places) -> Any:
    """The value with every text in it, keys included, cleaned and without the names of folders."""
    if isinstance(value, Mapping):
        return {_shown(str(key), places): neutral(one, places) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [neutral(one, places) for one in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _shown(str(value), places)


def _shown(words: str, places: Places) -> str:
    for folder in sorted(places, key=len, reverse=True):
        words = words.replace(folder, places[folder])
    return output.clean(docker_output.redacted(words))
