"""The environment variables that are settings: their names, their values, and what is wrong with the others.

Knows the settings only as the mapping from variables to paths that is handed in. `controller.settings` says what
counts more than what.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from controller import errors
from core import problems

Known = Mapping[str, tuple[str, ...]]
"""Every variable that sets something, with the path of its setting."""

Document = dict[str, Any]
"""Settings as a tree of keys, as a file has them."""

ENV_PREFIX = "CONTROLLER_"
_CREDENTIALS = frozenset({"username", "password", "password_file"})
CONTRACT_NAMES = {
    "CONFIG_DIR": ("config_dir",),
    "CONTAINER_REGISTRY": ("registry", "runtime"),
    "HOST_REGISTRY_ADDR": ("registry", "host"),
    "ESB_TAG": ("registry", "base_tag"),
}
"""The contract's own variable names, read with less weight than `CONTROLLER_…` (design.md section 9)."""


def from_contract_names() -> dict[tuple[str, ...], str]:
    """What the contract's own variables set, by the path of the setting; an empty one sets nothing."""
    return {path: value for name, path in CONTRACT_NAMES.items() if (value := os.environ.get(name))}


def from_files(known: Known) -> dict[tuple[str, ...], str]:
    """``CONTROLLER_X_FILE`` gives the value of X from a file, for values that should not stand in an environment."""
    given: dict[tuple[str, ...], str] = {}
    for variable, path in known.items():
        name = os.environ.get(f"{variable}_FILE")
        if name and f"{variable}_FILE" not in known:
            try:
                given[path] = Path(name).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                raise errors.ControllerError("SettingsInvalid", f"{variable}_FILE: cannot read {name}") from None
    return given


def with_credentials(document: Document, environment: Document) -> tuple[Document, Document]:
    """The same two, the credentials of a repository moved from the variables to the only repository of a list of
    sources: on their own they name no source, and would replace the list by half of one. Of several repositories none
    is chosen: a password is for one host."""
    given, listed = environment.get("source", {}), document.get("source")
    credentials = given.get("git") if isinstance(given, dict) and set(given) == {"git"} else None
    if not isinstance(credentials, dict) or not _CREDENTIALS.issuperset(credentials) or not isinstance(listed, list):
        return document, environment
    gits = [one["git"] for one in listed if isinstance(one, dict) and isinstance(one.get("git"), dict)]
    if len(gits) != 1:
        return document, environment
    whole = {**gits[0], **credentials}
    placed = [{**one, "git": whole} if isinstance(one, dict) and one.get("git") is gits[0] else one for one in listed]
    return {**document, "source": placed}, {key: value for key, value in environment.items() if key != "source"}


def unknown(known: Known) -> tuple[problems.Problem, ...]:
    """Every variable with our prefix that sets nothing, with the nearest one that does."""
    return tuple(
        problems.Problem("environment", 0, 0, name, _unknown_variable(name, known))
        for name in sorted(os.environ)
        if name.startswith(ENV_PREFIX) and name not in known and name.removesuffix("_FILE") not in known
    )


def setting(known: Known, path: problems.KeyPath) -> str | None:
    """The variable that is set and gives the setting at this path its value."""
    for variable, wanted in known.items():
        if path[: len(wanted)] == wanted:
            return next((name for name in (variable, f"{variable}_FILE") if os.environ.get(name)), None)
    return None


def opening(known: Known, section: problems.KeyPath) -> str | None:
    """A variable that is set, and gives a section that needs more than it says."""
    inside = (variable for variable, path in known.items() if section and path[: len(section)] == section)
    return next((name for name in inside if os.environ.get(name)), None)


def _unknown_variable(name: str, known: Iterable[str]) -> str:
    below = [variable for variable in known if variable.startswith(f"{name}__")]
    if below:
        return f"is a section: set one of {', '.join(below)}"
    return "no such setting" + nearest(name, known)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that does not exist: the one that was probably meant."""
    import difflib  # in a sentence about an error only

    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
