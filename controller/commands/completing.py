"""What a shell is offered for values that only this host knows: names of targets and of live functions.

Asked at each press of a key, so settings are not checked and pydantic is not loaded: the few keys that say where things
are get read as they stand. Whatever is wrong gives no offers, and never a word on the terminal.
"""

import datetime
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

_Place = tuple[Path, Path]
"""CONFIG_DIR and the state directory."""

_MOST = 500
"""So many offers are of some use."""

_Completer = Callable[[click.Context, click.Parameter, str], list[str]]
_Offers = TypeVar("_Offers", bound=_Completer)


def _quiet(offers: _Offers) -> _Completer:
    """Nothing is offered where looking fails."""

    def offered(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        try:
            return [name for name in offers(ctx, param, incomplete) if name.startswith(incomplete)][:_MOST]
        except Exception:  # noqa: BLE001 - a traceback in the middle of a command line helps nobody
            return []

    return offered


@_quiet
def targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The names of the targets in controller.yml."""
    del param, incomplete
    return list(_document(ctx).get("targets") or {})


@_quiet
def functions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The functions of the live set, as the record has them."""
    del param, incomplete
    from controller import state
    from core import items

    names: dict[str, None] = {}
    for _, state_dir in _places(ctx, _document(ctx)):
        store = state.State(state_dir, now=lambda: datetime.datetime.now(datetime.UTC))
        applied = store.load(with_items=True).applied
        for part in applied.items if applied else ():
            if part.item.key.kind is items.Kind.FUNCTION:
                names[part.item.key.name] = None
        store.close()
    return list(names)


def _document(ctx: click.Context) -> dict[str, Any]:
    file = ctx.params.get("config")
    if file is None:
        return {}
    from manifests import yaml_text

    value = yaml_text.parse(file.read_bytes(), file=str(file)).value
    return value if isinstance(value, dict) else {}


def _places(ctx: click.Context, document: dict[str, Any]) -> Iterator[_Place]:
    """Where the target is, or each of several, by flags, variables and file."""
    several, chosen = document.get("targets") or {}, ctx.params.get("target") or ()
    folder = ctx.params["config"].parent if ctx.params.get("config") else Path()
    common_dir = _flag(ctx, "config_dir") or _variable("CONTROLLER_CONFIG_DIR", "CONFIG_DIR")
    own_state, common_state = _flag(ctx, "state_dir"), _variable("CONTROLLER_STATE_DIR")
    for name, section in several.items() or [("", {})]:
        if chosen and name not in chosen:
            continue
        config_dir = common_dir or section.get("config_dir") or document.get("config_dir")
        state_dir = own_state or (section.get("state_dir") if not common_state else None)
        if state_dir is None and (common_state or document.get("state_dir")):
            state_dir = Path(common_state or document["state_dir"]) / name
        if config_dir:
            place = folder / config_dir
            yield place, folder / state_dir if state_dir else place / ".controller"


def _flag(ctx: click.Context, key: str) -> str | None:
    """It counts first, and begins where the command runs."""
    found = ctx.params.get(key)
    return os.path.abspath(found) if found else None


def _variable(*names: str) -> str | None:
    """It counts before the file, and begins where the command runs too."""
    found = next((os.environ[name] for name in names if os.environ.get(name)), None)
    return os.path.abspath(found) if found else None
