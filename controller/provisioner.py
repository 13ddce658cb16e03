"""Running the provisioner: one container at a time, its exit code, and nothing left behind (contract.md section 8).

Stands behind the action `Provision` and the command `provision`. The container has a fixed name, which is the lock
between controllers: the engine refuses a second (faults.md P7, H1). Never starts what the provisioner depends on unless
told to (consumers.md DK2), never touches a container that is not ours by name *and* label, never decides when to run:
`core.provisioning` does.

What `docker compose run --rm` does about ends (tried with compose 2.26 on engine 26):

- `--rm` sets AutoRemove: the *engine* removes the container at its end, whether the command still lives or not, and log
  and exit code go with it. Whoever waits at that moment still gets the exit code.
- SIGKILL of the command leaves the container running. SIGTERM, SIGINT and SIGHUP are passed on to it; a program that
  does not heed them (a shell without a trap, as the container's first one) runs on, and the command returns all the
  same. So a run that was cut short is found here while it lasts; once it is over it left nothing, and is made again.
- An exited container is therefore rare: the engine was stopped at the wrong moment.
- A name that is taken is exit code 1, as is any refusal of the engine; the sentence tells them apart.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from controller import clock, docker, errors, inside, own_container, settings_sections
from core import own_container as containers
from core import problems, provisioning

LAST_LINES = 20
"""How much of its output a failure shows."""

_PAUSE_S = 2.0
_GLANCE_S = 10.0
"""How old the last lines of a container that is waited for may be: they vanish with it."""
_START_S = 10.0
"""How long a container may stand unstarted: its owner makes and starts it within a second."""
_GRACE_S = 10
_RACES = 5
"""How often others may be faster before we give up."""


@dataclass(frozen=True, slots=True)
class Ran:
    """The provisioner ended with 0. `notes` are warnings; `tail` its last lines, redacted."""

    notes: tuple[str, ...] = ()
    tail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Provisioner:
    """The provisioner of one target. Nothing runs before `run`.

    `config_dir` is CONFIG_DIR as it is seen here; None leaves CONFIG_DIR to the environment and the env file of
    compose. `here` are the traces of the container that this process runs in. `deadline_s` bounds the wait for a
    container that is there already; our own is bounded by the engine's.
    """

    engine: docker.Engine
    configured: settings_sections.Stack
    _: KW_ONLY
    project: str
    config_dir: Path | None
    in_container: bool
    deadline_s: float
    here: containers.Traces = containers.NOWHERE
    machine: clock.Clock = clock.Clock()

    def run(self, resources_digest: str, run_id: str) -> Ran:
        """Run it once, or wait for the run that is under way and makes the same resources true.

        `resources_digest` is remembered on the container; "" is equal to none, so that nobody else's result counts.
        Raises `ControllerError`: ``HostPathUnknown`` before anything runs, ``DockerUnavailable``, ``ProvisionerFailed``
        with the last lines. Nothing of ours runs any more after a failure; after `errors.Interrupted` it may, and the
        next run waits for it (faults.md P8, H1).
        """
        labels = {
            provisioning.LABEL_RUN: run_id,
            provisioning.LABEL_RESOURCES: resources_digest,
            provisioning.LABEL_TARGET: self.project,
        }
        return _Run(self, self._ready(labels)[0]).ended()

    def require_service(self) -> tuple[str, ...]:
        """The services of the project, with that of the provisioner among them and without that of this very
        controller. Asked before anything is built or published for a run. Raises what would keep one from starting, or
        let it do harm: ``HostPathUnknown``, ``DockerUnavailable``, and ``SettingsInvalid`` when compose cannot read its
        files, they have no such service, or a run from in here would go wrong (`controller.inside`)."""
        wanted, within = self._ready({})
        try:
            found = self.engine.services(wanted, profile=wanted.profile)
            every = wanted.profile
            if wanted.service not in found:  # to be named is enough for a service of any profile
                every = "*"
                found = self.engine.services(wanted, profile=every)
            defined = self.engine.definition(wanted, profile=every) if within and wanted.service in found else None
        except docker.CommandFailed as refused:
            said = refused.tail[-1] if refused.tail else f"exit code {refused.exit_code}"
            text = f"stack: compose cannot read project {self.project}: {said}"
            raise errors.ControllerError("SettingsInvalid", text) from None
        if wanted.service not in found:
            there = ", ".join(found) or "none at all"
            text = f"stack.provisioner: project {self.project} has no service {wanted.service}; there are: {there}"
            raise errors.ControllerError("SettingsInvalid", text)
        if within and defined:
            within.require(defined, wanted)
            return within.others(found, self.project)
        return found

    def _ready(self, labels: Mapping[str, str]) -> tuple[docker.ServiceRun, inside.Inside | None]:
        """The run as compose is told of it, and what is known of our own container; the pieces that a run needs are
        there."""
        if not (self.in_container and self.here.ids):
            wanted = self._of_compose(self._environment(), labels)
            self.engine.preflight((docker.Piece.ENGINE, docker.Piece.COMPOSE))
            return wanted, None
        self.engine.preflight((docker.Piece.ENGINE, docker.Piece.COMPOSE))
        own = own_container.found(self.engine, self.here)
        if own is None:
            return self._of_compose(self._environment(), labels), None
        within = inside.Inside(self.engine, self.configured, own, self.config_dir)
        return self._of_compose(within.environment(self._of_compose({}, labels)), labels), within

    def _of_compose(self, environment: Mapping[str, str], labels: Mapping[str, str]) -> docker.ServiceRun:
        return docker.ServiceRun(
            service=self.configured.provisioner,
            name=provisioning.container_name(self.project),
            labels=labels,
            project=self.project,
            files=self.configured.compose_files,
            env_file=self.configured.env_file,
            project_directory=self.configured.project_directory,
            profile=self.configured.profile,
            environment=environment,
            with_deps=self.configured.with_deps,
        )

    def _environment(self) -> Mapping[str, str]:
        """CONFIG_DIR as the engine's host sees it. Never derived from a path that only a container has (H12)."""
        if self.configured.config_dir_on_host:
            return {"CONFIG_DIR": self.configured.config_dir_on_host}
        if self.config_dir is None:
            return {}
        if self.in_container:
            there = f"the engine ({self.engine.address})"
            raise _host_path_unknown(f"the controller runs in a container that {there} does not have")
        if self.engine.remote:
            raise _host_path_unknown(f"the engine ({self.engine.address}) is on another host")
        return {"CONFIG_DIR": str(self.config_dir.absolute())}


@dataclass(slots=True)
class _Run:
    """One run: at most `provision_attempts` results, of containers of our own or of those that were there."""

    by: Provisioner
    wanted: docker.ServiceRun
    until_s: float = 0.0

    def ended(self) -> Ran:
        """Until an attempt succeeds, or none is left."""
        attempts = self.by.configured.provision_attempts
        codes: list[int] = []
        for _ in range(attempts + _RACES):
            if not self.until_s:
                self.until_s = self._now_s() + self.by.deadline_s
            outcome = self._result_found() or self._result_of_our_own()
            if outcome is None:
                continue
            if outcome.exit_code == 0:
                return Ran(provisioning.retry_notes(codes, attempts), outcome.tail)
            codes.append(outcome.exit_code)
            if not provisioning.worth_retry(codes, attempts):
                raise self._failed(f"exited with {_told(codes)}", outcome.tail)
            self.by.machine.sleep(_PAUSE_S)
            self.until_s = 0.0
        raise self._failed(f"could not be started: others keep taking the name {self.wanted.name}")

    # a container that is there already

    def _result_found(self) -> docker.RunOutcome | None:
        """Settle what has our name. Its result, where that counts as this run's; None once the name is free."""
        for _ in range(_RACES):
            found = self._look()
            if found is None:
                return None
            outcome = self._settled(found)
            if outcome is not None and self._counts(found):
                return outcome
        return None

    def _settled(self, found: docker.Container) -> docker.RunOutcome | None:
        """Its result; afterwards it is gone. None when it had none."""
        ours = found.labels.get(provisioning.LABEL_TARGET) == self.by.project
        match provisioning.meaning_of(found.state, ours=ours):
            case provisioning.Found.FOREIGN:
                raise self._failed(
                    f"not started: a container named {found.name} is there that is not ours "
                    f"(id {found.id[:12]}); remove or rename it"
                )
            case provisioning.Found.UNDER_WAY:
                return self._awaited(found)
            case provisioning.Found.UNSTARTED:
                self._await_start(found)
                return None
            case provisioning.Found.ENDED:
                tail = self._lines(found)
                self._remove(found)
                return None if found.exit_code is None else docker.RunOutcome(found.exit_code, tail)

    def _counts(self, found: docker.Container) -> bool:
        """Whether its exit code says something about the resources that are wanted now. It cannot count twice: whatever
        has a result is gone by then."""
        wanted = self.wanted.labels
        same_resources = found.labels.get(provisioning.LABEL_RESOURCES) == wanted[provisioning.LABEL_RESOURCES] != ""
        return same_resources or self._is_this_run(found)

    def _is_this_run(self, found: docker.Container) -> bool:
        return found.labels.get(provisioning.LABEL_RUN) == self.wanted.labels[provisioning.LABEL_RUN]

    def _awaited(self, found: docker.Container) -> docker.RunOutcome | None:
        """Wait for its end; at the deadline it is stopped, removed, and this run has failed (faults.md P8)."""
        tail: tuple[str, ...] = ()
        while (left_s := self.until_s - self._now_s()) > 0:
            tail = self._lines(found) or tail
            try:
                code = self.by.engine.wait(found.id, seconds=min(left_s, _GLANCE_S))
            except docker.DeadlinePassed:
                continue
            except docker.CommandFailed:  # it is gone, and its exit code with it
                return None
            tail = self._lines(found) or tail
            self._remove(found)
            return docker.RunOutcome(code, tail)
        self._stop(found)
        raise self._failed(
            f"of an earlier run did not end within {self.by.deadline_s:g} s; it was stopped and removed", tail
        )

    def _await_start(self, found: docker.Container) -> None:
        """Give its owner the time to start it; remove it when nobody does."""
        until_s = self._now_s() + _START_S
        while self._now_s() < until_s:
            self.by.machine.sleep(1.0)
            now = self._look()
            if now is None or now.id != found.id or now.state != found.state:
                return
        self._remove(found)

    # our own

    def _result_of_our_own(self) -> docker.RunOutcome | None:
        """Run the service. None when another container had the name, or when the command died before its container:
        then that one is looked at."""
        try:
            outcome = self.by.engine.run_service(self.wanted)
        except docker.DeadlinePassed as passed:
            self._stop_our_own()
            raise self._failed(
                f"did not end within {passed.seconds:g} s; it was stopped and removed", passed.tail
            ) from None
        except docker.CommandFailed as refused:
            if self._is_taken(refused.tail):
                return None
            raise self._failed(f"could not be started (exit code {refused.exit_code})", refused.tail) from None
        if outcome.exit_code and (self._is_taken(outcome.tail) or self._look() is not None):
            return None
        return outcome

    def _is_taken(self, tail: tuple[str, ...]) -> bool:
        """Whether the engine refused a second container of the name."""
        return any(f'"/{self.wanted.name}" is already in use' in line for line in tail)

    def _stop_our_own(self) -> None:
        """The command is gone; its container may not be."""
        found = self._look()
        if found is not None and self._is_this_run(found):
            self._stop(found)

    # the engine

    def _look(self) -> docker.Container | None:
        """The container that has the name, running or not."""
        seen = self.by.engine.containers(name=self.wanted.name)
        return next((one for one in seen if one.name == self.wanted.name), None)

    def _lines(self, found: docker.Container) -> tuple[str, ...]:
        try:
            return self.by.engine.logs(found.id, lines=LAST_LINES)
        except (docker.CommandFailed, docker.DeadlinePassed):  # gone with the container, or held up: only words
            return ()

    def _stop(self, found: docker.Container) -> None:
        with contextlib.suppress(docker.CommandFailed, docker.DeadlinePassed):  # it ended by itself, or needs force
            self.by.engine.stop(found.id, grace_s=_GRACE_S)
        self._remove(found)

    def _remove(self, found: docker.Container) -> None:
        """Until it is gone. The engine refuses while its own removal (`--rm`) is in progress."""
        for _ in range(_RACES):
            with contextlib.suppress(docker.CommandFailed):
                self.by.engine.remove(found.id)
                return
            self.by.machine.sleep(1.0)
            now = self._look()
            if now is None or now.id != found.id:
                return
        raise self._failed(f"ended, and its container {found.name} (id {found.id[:12]}) cannot be removed")

    def _now_s(self) -> float:
        return self.by.machine.monotonic_s()

    def _failed(self, what: str, tail: tuple[str, ...] = ()) -> errors.ControllerError:
        service = self.wanted.service
        lines = tuple(problems.Problem(service, 0, 0, "", line) for line in tail[-LAST_LINES:])
        return errors.ControllerError("ProvisionerFailed", f"{service} of project {self.by.project} {what}", lines)


def _told(codes: list[int]) -> str:
    """``3``, or ``3 (attempt 1 of 2: 1)`` where there were attempts before it."""
    before = ", ".join(f"attempt {number}: {code}" for number, code in enumerate(codes[:-1], 1))
    return f"{codes[-1]} ({before})" if before else str(codes[-1])


def _host_path_unknown(why: str) -> errors.ControllerError:
    return errors.ControllerError(
        "HostPathUnknown",
        f"CONFIG_DIR as the engine's host sees it is not known: {why}, and stack.config_dir_on_host is not set",
    )
