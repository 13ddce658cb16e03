"""A run of the provisioner that is begun from inside a container of the same engine (faults.md H11, H12).

Stands between `controller.provisioner` and the definition of the compose project. Owns what compose is told of
CONFIG_DIR there, and every way in which a run from in here could go wrong that can be known before: a path that only
this container has, a provisioner that would see another CONFIG_DIR, a run that would stop the controller itself.
Starts and changes nothing.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controller import docker, errors, own_container, settings_sections
from core import compose_definition
from core import own_container as containers

_SAME_PATH = "mount the folder here at its own path ({0}:{0}), or set stack.project_directory to {0}"


@dataclass(frozen=True, slots=True)
class Inside:
    """What is known of a run from in here. `own` is the container of this process; `config_dir` is CONFIG_DIR as it is
    seen here, None where it is compose's own affair."""

    engine: docker.Engine
    configured: settings_sections.Stack
    own: docker.Container
    config_dir: Path | None

    def environment(self, wanted: docker.ServiceRun) -> Mapping[str, str]:
        """What compose is told of CONFIG_DIR: what is set, else what is found out. Raises ``HostPathUnknown`` when
        nothing that could be told is it, ``SettingsInvalid`` when a path that is set is not."""
        place, told = self._place(), self.configured.config_dir_on_host
        if place is None:
            return {"CONFIG_DIR": told} if told else {}
        if told is None:
            return {"CONFIG_DIR": place.path or self._volume(place, wanted)}
        if told.startswith("/") and told.rstrip("/") not in place.names:
            text = f"stack.config_dir_on_host is {told}, and CONFIG_DIR {self.config_dir} is {place}"
            raise errors.ControllerError("SettingsInvalid", f"{text}: correct one of them, or leave the setting out")
        return {"CONFIG_DIR": told}

    def require(self, defined: compose_definition.Definition, wanted: docker.ServiceRun) -> None:
        """Raise ``SettingsInvalid`` when such a run would stop this controller, mount what the engine's host does not
        have, or work on another CONFIG_DIR than the one that is published."""
        self._require_another(defined, wanted)
        self._require_same_paths(defined, wanted)
        place = self._place()
        if place is not None and not any(one.shows(place) for one in defined.mounts):
            there = "; ".join(map(str, defined.mounts)) or "nothing at all"
            text = f"stack: service {wanted.service} of project {wanted.project} would not see CONFIG_DIR"
            told = self.configured.config_dir_on_host
            text += f" {self.config_dir}, which is {place}: it mounts {there}"
            raise _invalid(text + (f" (stack.config_dir_on_host is {told})" if told else ""))

    def others(self, services: tuple[str, ...], project: str) -> tuple[str, ...]:
        """The services of a project without that of this very controller."""
        return tuple(one for one in services if (project, one) != self._name)

    @property
    def _name(self) -> tuple[str, str]:
        """The compose project and service of this container; both "" without compose."""
        labels = self.own.labels
        return labels.get(own_container.LABEL_PROJECT, ""), labels.get(own_container.LABEL_SERVICE, "")

    def _place(self) -> containers.Place | None:
        """What CONFIG_DIR is outside of here; None where it is compose's own affair."""
        if self.config_dir is None:
            return None
        path = os.path.realpath(self.config_dir)
        place = containers.place_of(path, self.own.mounts)
        if place is None or containers.is_nameless(place.mount):
            where = "only in this container" if place is None else "on a volume without a name"
            text = f"CONFIG_DIR {path} is {where}, where no other container sees it: mount a volume or a folder there"
            raise errors.ControllerError("HostPathUnknown", text)
        return place

    def _volume(self, place: containers.Place, wanted: docker.ServiceRun) -> str:
        """The name that the compose files have for the volume. One that they do not define is tried by its own."""
        if place.rest:
            text = f"CONFIG_DIR {self.config_dir} is {place}: compose can be told of a volume, but of no folder in it; "
            text += f"mount the volume at {self.config_dir}, or set stack.config_dir_on_host"
            raise errors.ControllerError("HostPathUnknown", text)
        try:
            volumes = self.engine.definition(wanted, profile="*", interpolate=False).volumes
        except docker.CommandFailed:  # `${CONFIG_DIR:-config}:/config:ro` cannot be read as it is written
            volumes = {place.mount.source.removeprefix(f"{wanted.project}_"): place.mount.source}  # as compose names it
        return next((key for key, name in volumes.items() if name == place.mount.source), place.mount.source)

    def _require_another(self, defined: compose_definition.Definition, wanted: docker.ServiceRun) -> None:
        """H11: nothing that compose starts for the run may be this container: it would be made again under our feet."""
        project, own = self._name
        if project != wanted.project:
            return
        words = f"service {own} of project {project} is this very controller"
        if own == wanted.service:
            raise _invalid(f"stack.provisioner: {words}")
        if wanted.with_deps and own in compose_definition.started_with(wanted.service, defined.needs):
            raise _invalid(
                f"stack.with_deps: {words}, and {wanted.service} depends on it: compose would make it again, and end "
                "it, in the middle of a pass; leave with_deps off, or take it out of depends_on"
            )

    def _require_same_paths(self, defined: compose_definition.Definition, wanted: docker.ServiceRun) -> None:
        """Compose makes relative paths absolute where it runs, which is here; the engine looks for them on its host."""
        folder = _project_folder(wanted)
        for one in defined.mounts:
            if one.kind != containers.BIND or containers.below(one.source, folder) is None:
                continue
            place = containers.place_of(one.source, self.own.mounts)
            if place is None and (folder == "/" or not os.path.isdir(folder)):
                continue  # a path of the host, which is not here at all
            if place is not None and one.source.rstrip("/") in place.names:
                continue
            what = f"stack: service {wanted.service} of project {wanted.project} mounts {one}"
            if place is None:
                raise _invalid(f"{what}, a path below {folder}, which only this container has: mount that folder here")
            way = _SAME_PATH.format(containers.joined(place.mount.kept_at, ""))
            raise _invalid(f"{what}, a path of this container, which is {place} outside: {way}")


def _project_folder(wanted: docker.ServiceRun) -> str:
    """Where compose's relative paths begin."""
    given = wanted.project_directory or (wanted.files[0].parent if wanted.files else Path())
    return str(given.absolute())


def _invalid(text: str) -> errors.ControllerError:
    return errors.ControllerError("SettingsInvalid", text)
