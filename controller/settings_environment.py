"""The environment variables that are settings: their names, their values, and what is wrong with the others.

Knows the settings only as the mapping from variables to paths that is handed in. `controller.settings` says what
counts more than what.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from controller import errors
from core import problems

Known = Mapping[str, tuple[str, ...]]
"""Every variable that sets something, with the path of its setting."""

ENV_PREFIX = "CONTROLLER_"
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
