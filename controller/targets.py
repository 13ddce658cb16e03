"""Several targets in one `controller.yml`: the settings of each, and the order between them.

``targets: {NAME: {…}}`` lays the settings of each target over the rest of the document, which all of them share. Owns
what may stand where, and that no two targets claim one place (faults.md B8); what a single setting may be is the
affair of `controller.settings`.
"""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any

from controller import errors, settings, settings_document, settings_environment, settings_overlay, settings_values
from core import problems, target_order

_CLONES = "source"
"""Below a state directory that all targets share, beside the folders of each: what one has fetched, others need not."""

_ONE_PLACE = (("config_dir",), ("state_dir",))

Flags = Mapping[tuple[str, ...], Any]


def load(file: Path | None, flags: Flags, chosen: tuple[str, ...] = ()) -> tuple[settings.Settings, ...]:
    """The settings of every target, or of the `chosen` ones by name, each behind those that it is `after`.

    A file without `targets` describes one. `after` then names only targets that are in the result. Raises
    `ControllerError`: "SettingsInvalid" with every place that is wrong, "Usage" for a choice that cannot be.
    """
    settings.require_variables()
    document = settings_document.read(file)
    if "targets" not in document.value:
        alone = settings.build(document, flags)
        selected((alone.name,), chosen)
        return (alone,)
    every = _names(document)
    taken = selected(every, chosen)
    _refuse_one_place(flags, taken)
    found = _each(document, every, dict.fromkeys(taken, flags), flags)
    kept = {one.name: one for one in found if one.name in taken}
    order = target_order.ordered({name: one.after for name, one in kept.items()})
    return tuple(
        kept[name].model_copy(update={"after": tuple(one for one in kept[name].after if one in kept)}) for name in order
    )


def shared(file: Path | None, flags: Flags = MappingProxyType({})) -> settings.Settings:
    """What all targets of a file share, or the settings of its only one; for what is about no target."""
    settings.require_variables()
    document = settings_document.read(file)
    rest = {key: value for key, value in document.value.items() if key != "targets"}
    return settings.build(dataclasses.replace(document, value=rest), flags)


def selected(existing: tuple[str, ...], chosen: tuple[str, ...]) -> tuple[str, ...]:
    """The names that were chosen, all of them when none was. Raises `ControllerError("Usage")` for one that is none."""
    for name in chosen:
        if name not in existing:
            hint = settings_environment.nearest(name, existing) or f"; there is {', '.join(existing)}"
            raise errors.ControllerError("Usage", f"no target {name!r}{hint}")
    return tuple(name for name in existing if name in chosen) if chosen else existing


def _names(document: settings_document.Document) -> tuple[str, ...]:
    """The keys of `targets`, and nothing beside or below them that has no place there."""
    targets = document.value["targets"]
    if not isinstance(targets, dict) or not targets:
        raise settings_document.invalid(document.problem(("targets",), "must be a mapping of names to settings"))
    beside = {"name": "give each target its name as its key in `targets`", "after": "is only in one of `targets`"}
    found = [document.problem((key,), text) for key, text in beside.items() if key in document.value]
    for name, section in targets.items():
        path = ("targets", name)
        if not isinstance(section, dict):
            found.append(document.problem(path, "must be a mapping of settings"))
            continue
        found += [document.problem((*path, key), _misplaced(key)) for key in section if key in _NOT_BELOW]
    variable = settings_environment.setting(settings.variables(), ("name",))
    if variable:
        found.append(problems.Problem("environment", 0, 0, variable, "the names are the keys of `targets`"))
    if found:
        raise settings_document.invalid(*found)
    return tuple(targets)


_NOT_BELOW = (*settings.OF_PROCESS, "targets")


def _misplaced(key: str) -> str:
    if key == "name":
        return "the name of a target is its key in `targets`"
    return f"is a setting of the whole controller: write it beside `targets`{'' if key != 'targets' else ', once'}"


def _refuse_one_place(flags: Flags, taken: tuple[str, ...]) -> None:
    """One place cannot be that of several targets. A variable for `state_dir` is the common one, as in the file."""
    if len(taken) < 2:
        return
    way_out = f"names one place for {len(taken)} targets ({', '.join(taken)}): choose one of them with --target"
    for path in _ONE_PLACE:
        if flags.get(path) is not None:
            raise errors.ControllerError("Usage", f"--{path[0].replace('_', '-')} {way_out}")
    variable = _variable_of(("config_dir",))
    if variable:
        raise settings_document.invalid(problems.Problem("environment", 0, 0, variable, f"{way_out}, or unset it"))


def _variable_of(path: tuple[str, ...]) -> str | None:
    """The variable that gives this setting, ours or the contract's own."""
    contract = (name for name, wanted in settings_environment.CONTRACT_NAMES.items() if wanted == path)
    given = settings_environment.setting(settings.variables(), path)
    return given or next((name for name in contract if os.environ.get(name)), None)


def _each(
    document: settings_document.Document, names: tuple[str, ...], of_taken: Mapping[str, Flags], flags: Flags
) -> tuple[settings.Settings, ...]:
    """The settings of every target. Those that are not `of_taken` are only looked at, without the flags for one."""
    found: list[problems.Problem] = []
    made: list[settings.Settings] = []
    others = {path: value for path, value in flags.items() if path not in _ONE_PLACE}
    for name in names:
        try:
            made.append(_one(settings_overlay.of_target(document, name), of_taken.get(name, others)))
        except errors.ControllerError as error:
            if not error.problems:
                raise
            found += error.problems
    if found:
        raise settings_document.invalid(*sorted(found))
    found += _wrong_order(document, made)
    if not any(flags.get(path) is not None for path in _ONE_PLACE) and not _variable_of(("config_dir",)):
        found += (*_clashes(document, made), *_exposed_clones(document, made))
    if found:
        raise settings_document.invalid(*found)
    return tuple(made)


def _one(document: settings_document.Document, flags: Flags) -> settings.Settings:
    built = settings.build(document, flags)
    if built.config_dir is None:
        raise settings_document.invalid(document.problem(("config_dir",), "is missing"))
    common = document.written.get(("state_dir",), ("state_dir",)) == ("state_dir",) or _variable_of(("state_dir",))
    if built.state_dir is None or flags.get(("state_dir",)) is not None or not common:
        return built
    clones = built.clones_dir or built.state_dir / _CLONES
    if clones == built.state_dir / built.name:
        raise settings_document.invalid(document.problem(("name",), "is where the clones are: choose another name"))
    return built.model_copy(update={"state_dir": built.state_dir / built.name, "clones_dir": clones})


def _wrong_order(document: settings_document.Document, made: list[settings.Settings]) -> Iterator[problems.Problem]:
    names = [one.name for one in made]
    known = True
    for one in made:
        for index, name in enumerate(one.after):
            if name not in names:
                known = False
                text = f"no target {name!r}{settings_environment.nearest(name, names)}"
                yield document.problem(("targets", one.name, "after", index), text)
    around = target_order.cycle({one.name: one.after for one in made}) if known else ()
    if around:
        yield document.problem(("targets", around[0], "after"), f"goes round in a circle: {' after '.join(around)}")


def _clashes(document: settings_document.Document, made: list[settings.Settings]) -> Iterator[problems.Problem]:
    """Places that two targets claim, or of which one is inside another (faults.md B8)."""
    places = {one.name: _places(one) for one in made}
    for one, other in combinations(places, 2):
        clash = next(
            (
                (label, f"{relation} {theirs} of target {one}")
                for theirs, place in places[one].items()
                for label, own in places[other].items()
                if (relation := _relation(own, place))
            ),
            None,
        )
        if clash is not None:
            yield document.problem(("targets", other, clash[0]), clash[1])


def _exposed_clones(document: settings_document.Document, made: list[settings.Settings]) -> Iterator[problems.Problem]:
    """A clone in the CONFIG_DIR of another target: whoever reads that must not see it (faults.md P13)."""
    shown = {one.name: _places(one)["config_dir"] for one in made}
    for one in made:
        if one.clones_dir is None or not one.source.gits:
            continue
        clones = _place(one.clones_dir)
        for other, config_dir in shown.items():
            relation = _relation(clones, config_dir) if other != one.name else ""
            if relation in (_SAME, _INSIDE):
                yield document.problem(("targets", one.name, "clones_dir"), f"{relation} config_dir of target {other}")


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """A folder by its real path, and by device and inode if it is there: a bind mount has another path."""

    path: Path
    identity: tuple[int, int] | None


def _places(one: settings.Settings) -> dict[str, _Place]:
    """What a target has for itself alone."""
    assert one.config_dir is not None  # noqa: S101 - tells the type checker what `_one` made sure of
    state_dir = one.state_dir or one.config_dir / ".controller"
    return {"config_dir": _place(one.config_dir), "state_dir": _place(state_dir)}


def _place(folder: Path) -> _Place:
    real = Path(os.path.realpath(folder))
    try:
        found = real.stat()
    except OSError:
        return _Place(real, None)
    return _Place(real, (found.st_dev, found.st_ino))


_SAME, _INSIDE = "is also", "is inside"


def _relation(own: _Place, other: _Place) -> str:
    """How two folders stand to each other in the file system; "" when each is outside of the other."""
    if own.path == other.path or (own.identity is not None and own.identity == other.identity):
        return _SAME
    if own.path.is_relative_to(other.path):
        return _INSIDE
    return "holds" if other.path.is_relative_to(own.path) else ""


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `controller.yml`, as published in docs/schema."""
    schema = settings.Settings.model_json_schema()
    properties = dict(schema.pop("properties"))
    of_target = {key: value for key, value in properties.items() if key not in settings.OF_PROCESS}
    after = properties.pop("after")
    of_target["after"] = after
    properties["targets"] = {
        "title": "Targets",
        "description": "several targets by name; each is laid over the rest of the document",
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": settings_values.NAME},
        "additionalProperties": {"$ref": "#/$defs/Target"},
    }
    target = {
        "title": "Target",
        "description": "One of several targets.",
        "type": "object",
        "additionalProperties": False,
        "properties": of_target,
    }
    definitions = {**schema.pop("$defs"), "Target": target}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": definitions,
        **schema,
        "properties": properties,
    }
