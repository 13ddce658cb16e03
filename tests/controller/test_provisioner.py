"""The provisioner against an engine that plays its part: one container a name, results counted once, nothing left."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, cast

import hypothesis
import pytest
from hypothesis import strategies

from controller import clock, docker, errors, provisioner, settings_sections
from core import provisioning

NAME = "demo-artifact-provisioner"
WANTED, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
RUN = "run-1"
DEADLINE_S = 600.0
CONFLICT = f'Error response from daemon: Conflict. The container name "/{NAME}" is already in use by container "77".'


@dataclasses.dataclass(frozen=True)
class Hours(clock.Clock):
    """A clock that only waiting puts forward. `meanwhile` is what others do in the first wait."""

    moments: list[float] = dataclasses.field(default_factory=lambda: [1000.0])
    meanwhile: list[Callable[[], object]] = dataclasses.field(default_factory=list)

    @property
    def now(self) -> float:
        return self.moments[-1]

    def monotonic_s(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.moments.append(self.now + seconds)
        if self.meanwhile:
            self.meanwhile.pop()()


@dataclasses.dataclass
class Living:
    """A container of the engine that is played. `lasts_s` is how long it goes on from now, `code` how it ends then."""

    id: str
    labels: Mapping[str, str]
    state: str = "running"
    code: int | None = None
    ends_at: float = 0.0
    stubborn: int = 0
    """How often its removal is refused, because the engine is at it."""
    lines: tuple[str, ...] = ("its last line",)
    auto_remove: bool = True


@dataclasses.dataclass
class Engine:
    """The part of `docker.Engine` that the provisioner uses. `service` plays what `docker compose run` brings about."""

    machine: Hours
    service: Callable[["Engine", docker.ServiceRun], docker.RunOutcome] = lambda engine, wanted: outcome(0)
    there: Living | None = None
    remote: bool = False
    address: str = "unix:///run/docker.sock"
    calls: list[str] = dataclasses.field(default_factory=list)
    ran: list[docker.ServiceRun] = dataclasses.field(default_factory=list)
    most: int = 0

    def preflight(self, pieces: Collection[docker.Piece]) -> None:
        self.calls.append("preflight " + " ".join(sorted(pieces)))

    def containers(self, labels: Mapping[str, str] = {}, *, name: str = "") -> tuple[docker.Container, ...]:
        assert name == NAME
        self._live()
        neighbour = docker.Container(
            id="n", name=f"x-{NAME}", image="bb", image_id="", labels={}, state="running", health="", exit_code=None,
            environment={},
        )  # fmt: skip
        return (neighbour, *([_container(self.there)] if self.there else []))

    def run_service(self, wanted: docker.ServiceRun) -> docker.RunOutcome:
        self._live()
        if self.there is not None:
            self.calls.append("refused")
            return outcome(1, CONFLICT)
        self.calls.append("run")
        self.ran.append(wanted)
        return self.service(self, wanted)

    def wait(self, container_id: str, *, seconds: float) -> int:
        living = self._named(container_id)
        if living.ends_at > self.machine.now + seconds:
            self.machine.sleep(seconds)
            raise docker.DeadlinePassed(seconds, ())
        self.machine.sleep(max(0.0, living.ends_at - self.machine.now))
        assert living.code is not None
        living.state = "exited"
        if living.auto_remove:
            self.there = None
        return living.code

    def logs(self, container_id: str, *, lines: int) -> tuple[str, ...]:
        return self._named(container_id).lines[-lines:]

    def stop(self, container_id: str, *, grace_s: int = 10) -> None:
        self.calls.append(f"stop {grace_s}")
        living = self._named(container_id)
        living.state, living.code, living.ends_at = "exited", 137, self.machine.now

    def remove(self, container_id: str) -> None:
        self.calls.append(f"remove {container_id}")
        if self.there is None or self.there.id != container_id:
            return
        if self.there.stubborn:
            self.there.stubborn -= 1
            raise docker.CommandFailed(1, ("removal of container is already in progress",))
        self.there = None

    def _named(self, container_id: str) -> Living:
        self._live()
        if self.there is None or self.there.id != container_id:
            raise docker.CommandFailed(1, (f"No such container: {container_id}",))
        return self.there

    def _live(self) -> None:
        """A container whose time is over ends, and with AutoRemove it is gone."""
        living = self.there
        if living and living.state == "running" and living.ends_at <= self.machine.now:
            living.state = "exited"
            self.there = None if living.auto_remove else living


def _container(living: Living) -> docker.Container:
    return docker.Container(
        id=living.id,
        name=NAME,
        image="provisioner:1",
        image_id="sha256:1",
        labels=living.labels,
        state=living.state,
        health="",
        exit_code=living.code if living.state == "exited" else None,
        environment={},
    )


def outcome(code: int, *lines: str) -> docker.RunOutcome:
    return docker.RunOutcome(code, lines)


def labels(resources: str = WANTED, run: str = "run-0", target: str = "demo") -> dict[str, str]:
    return {
        provisioning.LABEL_RUN: run,
        provisioning.LABEL_RESOURCES: resources,
        provisioning.LABEL_TARGET: target,
    }


def ending_with(*codes: int) -> Callable[[Engine, docker.ServiceRun], docker.RunOutcome]:
    """A service that ends with these codes, one a run."""
    left = list(codes)
    return lambda engine, wanted: outcome(left.pop(0), "the last line")


def scene(**played: Any) -> Engine:
    return Engine(Hours(), **played)


def running(engine: Engine, *, lasts_s: float, code: int, resources: str = WANTED, **more: Any) -> Engine:
    """Somebody's provisioner runs already."""
    engine.there = Living("old", labels(resources), ends_at=engine.machine.now + lasts_s, code=code, **more)
    return engine


def by(
    engine: Engine, *, in_container: bool = False, config_dir: Path | None = Path("/srv/config"), **stack: Any
) -> Any:
    """The provisioner of the project `demo` on that engine."""
    return provisioner.Provisioner(
        cast(docker.Engine, engine),
        settings_sections.Stack(compose_files=(Path("compose.yml"),), **stack),
        project="demo",
        config_dir=config_dir,
        in_container=in_container,
        deadline_s=DEADLINE_S,
        machine=engine.machine,
    )


def run(engine: Engine, *, resources: str = WANTED, **more: Any) -> provisioner.Ran:
    ran = by(engine, **more).run(resources, RUN)
    assert isinstance(ran, provisioner.Ran)
    return ran


def failure(engine: Engine, **more: Any) -> errors.ControllerError:
    with pytest.raises(errors.ControllerError) as caught:
        run(engine, **more)
    return caught.value


# what is asked of compose


def test_h6_the_service_is_run_by_name_with_labels_and_without_its_neighbours() -> None:
    """P7, H6: the fixed name, the labels, the profile; dependencies only when the setting says so."""
    engine = scene()
    assert run(engine) == provisioner.Ran()
    assert engine.ran == [
        docker.ServiceRun(
            service="provisioner",
            name=NAME,
            labels=labels(run=RUN),
            project="demo",
            files=(Path("compose.yml"),),
            env_file=None,
            project_directory=None,
            profile="deploy",
            environment={"CONFIG_DIR": "/srv/config"},
            with_deps=False,
        )
    ]
    assert engine.calls[0] == "preflight compose engine"


def test_the_settings_reach_compose() -> None:
    engine = scene()
    run(
        engine, with_deps=True, profile=None, provisioner="tables", env_file="stack.env", project_directory="/srv/stack"
    )  # fmt: skip
    (wanted,) = engine.ran
    assert (wanted.with_deps, wanted.profile, wanted.service) == (True, None, "tables")
    assert (wanted.env_file, wanted.project_directory) == (Path("stack.env"), Path("/srv/stack"))


# CONFIG_DIR as the engine's host sees it


def test_h12_the_container_s_own_path_is_never_given_to_the_engine() -> None:
    engine = scene()
    error = failure(engine, in_container=True)
    assert error.reason == "HostPathUnknown"
    assert "stack.config_dir_on_host" in error.message
    assert engine.calls == []


def test_h12_nor_is_this_host_s_path_given_to_another_host() -> None:
    engine = scene(remote=True, address="ssh://build.example")
    error = failure(engine)
    assert error.reason == "HostPathUnknown"
    assert "ssh://build.example" in error.message
    assert engine.calls == []


@pytest.mark.parametrize("given", ["/srv/esb/config", "esb_config"])
@pytest.mark.parametrize("remote", [False, True])
def test_h12_a_path_or_a_volume_that_is_named_is_given_as_it_is(given: str, remote: bool) -> None:
    engine = scene(remote=remote)
    run(engine, in_container=True, config_dir_on_host=given)
    assert engine.ran[0].environment == {"CONFIG_DIR": given}


def test_a_relative_config_dir_is_made_absolute() -> None:
    """Compose would begin at its project directory, and not where this command runs."""
    engine = scene()
    run(engine, config_dir=Path("config"))
    assert engine.ran[0].environment == {"CONFIG_DIR": str(Path.cwd() / "config")}


def test_without_config_dir_nothing_is_set() -> None:
    engine = scene()
    run(engine, config_dir=None, in_container=True)
    assert engine.ran[0].environment == {}


# exit codes


@pytest.mark.parametrize("code", [1, 3, 137, 143])
def test_h3_a_failure_is_tried_again_and_a_success_then_is_told(code: int) -> None:
    engine = scene(service=ending_with(code, 0))
    ran = run(engine)
    assert ran.notes == (f"the provisioner succeeded on retry: attempt 1 of 2 exited with {code}",)
    assert engine.machine.now > 1000.0, "it waits a little"


def test_h3_the_exit_code_is_the_truth_whatever_was_printed() -> None:
    engine = scene(service=lambda engine, wanted: outcome(0, "WARNING: skipped everything", "error: no such table"))
    ran = run(engine)
    assert (ran.notes, ran.tail) == ((), ("WARNING: skipped everything", "error: no such table"))


def test_h3_a_failure_has_its_code_and_its_last_lines() -> None:
    engine = scene(service=ending_with(3, 4))
    error = failure(engine)
    assert (error.reason, error.meaning.exit_code) == ("ProvisionerFailed", 81)
    assert error.message == "provisioner of project demo exited with 4 (attempt 1: 3)"
    assert [problem.message for problem in error.problems] == ["the last line"]
    assert len(engine.ran) == 2


def test_h3_only_the_last_lines_are_kept() -> None:
    lines = [f"line {number}" for number in range(1000)]
    error = failure(scene(service=lambda engine, wanted: outcome(2, *lines)), provision_attempts=1)
    assert [problem.message for problem in error.problems] == lines[-provisioner.LAST_LINES :]


@pytest.mark.parametrize("code", [125, 126, 127])
def test_h3_what_cannot_start_is_not_tried_again(code: int) -> None:
    engine = scene(service=ending_with(code, 0))
    assert f"exited with {code}" in failure(engine).message
    assert len(engine.ran) == 1


def test_h3_what_compose_refuses_is_not_tried_again() -> None:
    def service(engine: Engine, wanted: docker.ServiceRun) -> docker.RunOutcome:
        raise docker.CommandFailed(15, ("services.provisioner.image must be a string",))

    engine = scene(service=service)
    error = failure(engine)
    assert "could not be started (exit code 15)" in error.message
    assert [problem.message for problem in error.problems] == ["services.provisioner.image must be a string"]
    assert len(engine.ran) == 1


def test_the_attempts_are_a_setting() -> None:
    engine = scene(service=ending_with(1, 2, 3))
    assert "exited with 3 (attempt 1: 1, attempt 2: 2)" in failure(engine, provision_attempts=3).message


# a container that is there already


@pytest.mark.parametrize("auto_remove", [True, False])
@pytest.mark.parametrize("lasts_s", [3.0, 59.0])
def test_h1_a_run_that_makes_the_same_true_is_waited_for_and_counts(auto_remove: bool, lasts_s: float) -> None:
    """H1, P7: the orphan of a killed controller; the engine removes it at its end, or we do."""
    engine = running(scene(), lasts_s=lasts_s, code=0, auto_remove=auto_remove)
    assert run(engine).notes == ()
    assert engine.machine.now == 1000.0 + lasts_s
    assert (engine.ran, engine.there) == ([], None)


def test_h1_the_failure_of_an_orphan_counts_as_an_attempt() -> None:
    engine = running(scene(), lasts_s=30.0, code=3)
    assert run(engine).notes == ("the provisioner succeeded on retry: attempt 1 of 2 exited with 3",)
    assert len(engine.ran) == 1


def test_h1_the_last_failed_attempt_may_be_an_orphan_s_and_its_lines_are_kept() -> None:
    """They vanish with a container that the engine removes: they were read before."""
    engine = running(scene(), lasts_s=30.0, code=3)
    error = failure(engine, provision_attempts=1)
    assert [problem.message for problem in error.problems] == ["its last line"]
    assert engine.ran == []


def test_h1_a_run_for_other_resources_is_waited_for_and_then_our_own_is_made() -> None:
    engine = running(scene(), lasts_s=30.0, code=3, resources=OTHER)
    assert run(engine).notes == ()
    assert engine.machine.now == 1030.0
    assert len(engine.ran) == 1


@pytest.mark.parametrize("resources", [WANTED, OTHER, ""])
def test_h1_a_run_that_is_asked_for_by_itself_is_never_somebody_else_s(resources: str) -> None:
    """`controller provision`, which has no resources to compare, always runs."""
    engine = running(scene(), lasts_s=30.0, code=0, resources=resources)
    run(engine, resources="")
    assert len(engine.ran) == 1


@pytest.mark.parametrize("resources", [WANTED, OTHER])
def test_p8_an_orphan_that_never_ends_is_stopped_at_the_deadline(resources: str) -> None:
    engine = running(scene(), lasts_s=10**9, code=0, resources=resources)
    error = failure(engine)
    assert (error.reason, engine.machine.now) == ("ProvisionerFailed", 1000.0 + DEADLINE_S)
    assert "did not end within 600 s" in error.message
    assert engine.calls[1:] == ["stop 10", "remove old"]
    assert (engine.ran, engine.there) == ([], None)


@pytest.mark.parametrize(
    ("code", "resources", "runs", "notes"),
    [
        (0, WANTED, 0, 0),
        (3, WANTED, 1, 1),
        (0, OTHER, 1, 0),
        (3, OTHER, 1, 0),
    ],
)
def test_h1_one_that_is_over_counts_by_its_resources_and_is_removed(
    code: int, resources: str, runs: int, notes: int
) -> None:
    engine = scene(there=Living("old", labels(resources), "exited", code, auto_remove=False))
    assert len(run(engine).notes) == notes
    assert (len(engine.ran), engine.there) == (runs, None)
    assert "remove old" in engine.calls


def test_h1_one_that_was_never_started_is_removed_after_a_while() -> None:
    """The command was killed between making and starting it."""
    engine = scene(there=Living("old", labels(), "created"))
    run(engine)
    assert (len(engine.ran), engine.there) == (1, None)
    assert engine.machine.now >= 1010.0


def test_h1_one_that_is_about_to_start_is_not_removed() -> None:
    """P7: it may be another controller's, this very moment."""
    engine = scene(there=Living("old", labels(), "created"))
    engine.machine.meanwhile.append(lambda: running(engine, lasts_s=19.0, code=0))
    run(engine)
    assert (engine.ran, engine.machine.now) == ([], 1020.0)


@pytest.mark.parametrize("state", ["running", "exited", "created"])
@pytest.mark.parametrize("others", [{}, labels(target="another")], ids=["no-label", "another-target"])
def test_a_container_that_is_not_ours_is_never_touched(state: str, others: dict[str, str]) -> None:
    stranger = Living("old", others, state, 0, ends_at=10**9, auto_remove=False)
    engine = scene(there=stranger)
    error = failure(engine)
    assert error.reason == "ProvisionerFailed"
    assert f"a container named {NAME}" in error.message
    assert "remove or rename it" in error.message
    assert (engine.there, engine.calls) == (stranger, ["preflight compose engine"])


def test_h1_a_removal_that_is_in_progress_is_waited_for() -> None:
    """The engine removes at the end what was run with --rm, and refuses ours meanwhile."""
    engine = scene(there=Living("old", labels(), "exited", 0, stubborn=2, auto_remove=False))
    run(engine)
    assert (engine.calls.count("remove old"), engine.there) == (3, None)


def test_h1_one_that_cannot_be_removed_is_named() -> None:
    engine = scene(there=Living("old", labels(), "exited", 0, stubborn=100, auto_remove=False))
    error = failure(engine)
    assert (error.reason, engine.ran) == ("ProvisionerFailed", [])
    assert "cannot be removed" in error.message


# somebody else at the same moment


def test_p7_another_controller_that_was_faster_is_waited_for() -> None:
    """The name was free when we looked, and taken when we ran: no failed attempt, no second container."""
    engine = scene()
    engine.run_service = _after(engine, lambda: running(engine, lasts_s=20.0, code=0))  # type: ignore[method-assign]  # it comes between
    assert run(engine).notes == ()
    assert (engine.ran, engine.calls.count("refused"), engine.machine.now) == ([], 1, 1020.0)


def test_p7_another_controller_that_is_gone_again_is_no_failed_attempt() -> None:
    refusals = [outcome(1, CONFLICT), outcome(0)]
    engine = scene(service=lambda engine, wanted: refusals.pop(0))
    assert run(engine, provision_attempts=1).notes == ()


def test_p7_a_name_that_is_always_taken_ends() -> None:
    engine = scene(service=lambda engine, wanted: outcome(1, CONFLICT))
    assert "others keep taking the name" in failure(engine).message


def _after(engine: Engine, before: Callable[[], object]) -> Callable[..., docker.RunOutcome]:
    """`run_service`, with something that happens just before its first call."""
    real, pending = engine.run_service, [before]

    def run_service(wanted: docker.ServiceRun) -> docker.RunOutcome:
        if pending:
            pending.pop()()
        return real(wanted)

    return run_service


# the command dies, the container does not


def leaving(lasts_s: float, code: int, end: docker.RunOutcome | Exception) -> Callable[..., docker.RunOutcome]:
    """A service whose command ends like that, while its container goes on."""

    def service(engine: Engine, wanted: docker.ServiceRun) -> docker.RunOutcome:
        engine.there = Living("own", wanted.labels, ends_at=engine.machine.now + lasts_s, code=code)
        if isinstance(end, Exception):
            raise end
        return end

    return service


@pytest.mark.parametrize("resources", [WANTED, ""])
@pytest.mark.parametrize("died", [137, 130, 255])
def test_h1_a_command_that_was_killed_is_not_its_container_s_result(died: int, resources: str) -> None:
    """Never two: what goes on is waited for, and its exit code counts."""
    engine = scene(service=leaving(25.0, 0, outcome(died)))
    assert run(engine, resources=resources).notes == ()
    assert (len(engine.ran), engine.machine.now, engine.there) == (1, 1025.0, None)


def test_p8_at_the_deadline_the_container_is_stopped_too() -> None:
    engine = scene(service=leaving(10**9, 0, docker.DeadlinePassed(600.0, ("half way",))))
    error = failure(engine)
    assert error.message == "provisioner of project demo did not end within 600 s; it was stopped and removed"
    assert [problem.message for problem in error.problems] == ["half way"]
    assert engine.calls[-2:] == ["stop 10", "remove own"]
    assert (len(engine.ran), engine.there) == (1, None)


def test_p8_at_the_deadline_only_our_own_container_is_stopped() -> None:
    """Ours never started; another's has the name by now."""

    def service(engine: Engine, wanted: docker.ServiceRun) -> docker.RunOutcome:
        running(engine, lasts_s=5.0, code=0)
        raise docker.DeadlinePassed(600.0, ())

    engine = scene(service=service)
    failure(engine)
    assert [call for call in engine.calls if call.startswith(("stop", "remove"))] == []


def test_an_engine_that_does_not_answer_is_told_as_such() -> None:
    """DK5: a missing compose plugin is named before anything runs."""
    engine = scene()

    def preflight(pieces: Collection[docker.Piece]) -> None:
        raise errors.ControllerError("DockerUnavailable", "the compose plugin is missing")

    engine.preflight = preflight  # type: ignore[method-assign]  # this machine lacks it
    assert failure(engine).reason == "DockerUnavailable"
    assert engine.ran == []


endings = strategies.sampled_from([0, 1, 3, 127, 137])


@hypothesis.given(
    there=strategies.none()
    | strategies.builds(
        Living,
        id=strategies.just("old"),
        labels=strategies.builds(labels, strategies.sampled_from([WANTED, OTHER])),
        state=strategies.sampled_from(["running", "exited", "created", "dead", "paused"]),
        code=endings,
        ends_at=strategies.sampled_from([1001.0, 1500.0, 10.0**9]),
        stubborn=strategies.integers(0, 2),
        auto_remove=strategies.booleans(),
    ),
    codes=strategies.lists(endings, min_size=3, max_size=3),
    attempts=strategies.integers(1, 3),
)
@hypothesis.settings(max_examples=150)
def test_property_h1_whatever_is_found_nothing_is_left_and_the_attempts_are_bounded(
    there: Living | None, codes: list[int], attempts: int
) -> None:
    """H1, P7, P8: it comes back, no container of ours stays, and at most `attempts` are made."""
    before = dataclasses.replace(there) if there else None
    engine = scene(service=ending_with(*codes), there=before)
    try:
        ran = run(engine, provision_attempts=attempts)
        assert len(ran.notes) == (1 if len(engine.ran) > 1 or (engine.ran and _failed_before(there)) else 0)
    except errors.ControllerError as error:
        assert error.reason == "ProvisionerFailed"
    assert engine.there is None
    assert len(engine.ran) <= attempts
    assert engine.machine.now <= 1000.0 + DEADLINE_S + 60.0


def _failed_before(there: Living | None) -> bool:
    """Whether the container that was found gave this run a failed attempt."""
    if there is None or there.labels[provisioning.LABEL_RESOURCES] != WANTED or not there.code:
        return False
    return there.state in ("running", "exited", "paused")
