"""The compose stack of a target: which engine it runs on, what it shows, and its provisioner.

Part of `controller.target`; composes `controller.docker`, `controller.probes.stack` and `controller.provisioner`, and
decides only what settings say. Nothing of Docker is loaded before it is asked for.
"""

import functools
import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from controller import errors, settings
from core import actions, image_inputs, provisioning, serving, stack

if TYPE_CHECKING:
    from controller import docker, provisioner
    from core import own_container as containers

_WITHOUT_PROJECT = "neither a manifest nor the record names the compose project; set stack.project"
_CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))


class ComposeStack:
    """One target's stack. `config_dir` is CONFIG_DIR as this process sees it."""

    def __init__(self, configured: settings.Settings, config_dir: Path) -> None:
        self._configured = configured
        self._settings = configured.stack
        self._config_dir = config_dir

    @functools.cached_property
    def engine(self) -> "docker.Engine":
        """The engine that settings, DOCKER_HOST or the docker command's own context name."""
        from controller import docker

        given, deadlines = self._configured.docker, self._configured.deadlines
        return docker.Engine(
            host=given.host,
            context=given.context,
            owner=self._configured.name,
            deadlines=docker.Deadlines(
                probe_s=deadlines.probe,
                build_s=deadlines.build,
                push_s=deadlines.push,
                provision_s=deadlines.provision,
            ),
        )

    @property
    def configured(self) -> bool:
        """Whether settings name a stack: then an engine that does not answer is a failure, and not "unknown"."""
        return self.provisions or self._settings.project is not None

    @property
    def provisions(self) -> bool:
        """Whether the stack has a provisioner that can be run from here."""
        return bool(self._settings.compose_files or self._settings.project_directory)

    def where(self, of_manifest: str) -> str:
        """Which stack the provisioner would run in, in words: two with the same words are taken for the same one. ""
        without a provisioner. The engine is named and not asked: that would cost every pass a call."""
        return f"project {self.project(of_manifest)}, {self.engine.address}" if self.provisions else ""

    def project(self, of_manifest: str) -> str:
        """The compose project: contract.md section 2, unless a setting says otherwise."""
        return self._settings.project or of_manifest

    def probe(self, of_manifest: str, *, needed: bool) -> stack.Stack:
        """One look at the project. With `needed`, or when a stack is configured, an engine that does not answer raises
        `ControllerError("DockerUnavailable")`; else it only shows nothing."""
        from controller.probes import stack as probe

        project = self.project(of_manifest)
        if not project:
            return stack.Stack(project, unknown=f"no compose project is named: {_WITHOUT_PROJECT}")
        if not (needed or self.configured) and shutil.which("docker") is None:
            return stack.Stack(project, unknown="there is no docker command here")
        try:
            return probe.observe(self.engine, project, provisioner=self._settings.provisioner, here=traces())
        except errors.ControllerError as error:
            if error.reason != "DockerUnavailable" or needed or self.configured:
                raise
            return stack.Stack(project, unknown=error.message)

    def serving(self, applied: Iterable[image_inputs.ImageRecord]) -> serving.Serving:
        """Which functions serve with the applied image, as far as running containers show it (consumers.md GW14).
        Raises `ControllerError("DockerUnavailable")`."""
        running = [each for each in self.engine.containers() if each.state == "running"]
        known = self.engine.images({each.image_id for each in running}) if running else {}
        workers = (
            serving.Worker(each.image, known[each.image_id].repo_digests if each.image_id in known else ())
            for each in running
        )
        return serving.judge(applied, workers)

    def provision(self, action: actions.Provision, of_manifest: str) -> tuple[str, ...]:
        """Run the provisioner and wait for it; what it has to say besides success. Raises `ControllerError`."""
        return self._provisioner(of_manifest).run(action.resources_digest, uuid.uuid4().hex).notes

    def require_service(self, of_manifest: str) -> tuple[str, ...]:
        """The services of the project. Raises what keeps the provisioner from ever starting (H5, H12)."""
        return self._provisioner(of_manifest).require_service()

    def require_provisioner(self, of_manifest: str, seen: stack.Stack) -> None:
        """Raise what would keep a provisioner that is due from starting, or have it work on nothing, while nothing is
        built or published yet. `seen` is the last look at the stack. Raises `ControllerError`."""
        defined, service = self.require_service(of_manifest), self._settings.provisioner
        if self._settings.with_deps or not provisioning.works_on_nothing(seen, defined, service=service):
            return
        place = f"compose project {self.project(of_manifest)} on {self.engine.address}"
        text = f"the provisioner is due, and what it works on is not there: no service of {place} runs"
        raise errors.ControllerError("StackNotRunning", text)

    def _provisioner(self, of_manifest: str) -> "provisioner.Provisioner":
        from controller import provisioner

        self._require_files()
        project = self.project(of_manifest)
        if not project:
            raise errors.ControllerError("SettingsInvalid", f"stack.project is not set: {_WITHOUT_PROJECT}")
        return provisioner.Provisioner(
            self.engine,
            self._settings,
            project=project,
            config_dir=self._config_dir,
            in_container=in_container(),
            here=traces(),
            deadline_s=self._configured.deadlines.provision,
        )

    def _require_files(self) -> None:
        """A name that is not there is a typing error, and compose would tell it after resources were published."""
        given = self._settings
        named = [*(("compose_files", file) for file in given.compose_files)]
        named += [(key, path) for key in ("env_file", "project_directory") if (path := getattr(given, key)) is not None]
        for key, path in named:
            if not path.exists() and not (key == "project_directory" and in_container()):  # it may be the host's
                text = f"stack.{key}: {path}: no such file or directory"
                raise errors.ControllerError("SettingsInvalid", text)


def traces() -> "containers.Traces":
    """What is known here of our own container: nothing outside of one."""
    from controller import own_container
    from core import own_container as containers

    return own_container.traces() if in_container() else containers.NOWHERE


def in_container() -> bool:
    """Whether this process runs in a container, where its own paths say nothing to the engine (faults.md H12)."""
    return any(os.path.exists(mark) for mark in _CONTAINER_MARKS)
