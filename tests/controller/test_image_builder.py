"""Building and pushing several images at a time, against an engine in memory (contract.md 5; faults.md H9, H10, P8)."""

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType

import pytest

from controller import docker, errors, image_builder, image_failures, progress
from core import image_inputs, image_work, problems
from tests.fakes import engine as engines

HOST = "127.0.0.1:5010"
PATIENCE_S = 120
"""A thread that should meet another one waits so long before the test fails."""

REFUSED = "denied: requested access to the resource is denied"
DOWN = 'Get "http://127.0.0.1:5010/v2/": dial tcp 127.0.0.1:5010: connect: connection refused'


def work(name: str, need: image_work.Need = image_work.Need.BUILD, *, engine_image: str = "") -> image_work.Work:
    wanted = image_inputs.ImageInput(
        function=name,
        entry="orders",
        image=f"registry:5010/{name}:1",
        target=f"{HOST}/{name}:1",
        context_digest="sha256:c0",
        dockerfile=f"FROM {HOST}/base:1\nCOPY functions/{name}/ /\n",
        bases=(image_inputs.Base(f"{HOST}/base:1", "sha256:b1"),),
        arguments=(("MODE", "canary-argument"),),
        file=f"orders/functions/{name}/Dockerfile",
    )
    return image_work.Work(wanted, need, image_work.Why.NEW, engine_image=engine_image)


def copy(wanted: image_inputs.ImageInput, destination: Path) -> None:
    folder = destination / "functions" / wanted.function
    folder.mkdir(parents=True)
    (folder / "app.py").write_text(f"print({wanted.function!r})\n")


@pytest.fixture
def engine() -> engines.Engine:
    return engines.Engine()


@pytest.fixture
def builder(engine: engines.Engine, tmp_path: Path) -> image_builder.Builder:
    return image_builder.Builder(
        engine,
        parallel=2,
        copy_context=copy,
        revision="sha256:rev",
        rebuild=False,
        scratch=tmp_path / "scratch",
        in_registry={f"{HOST}/base:1"},
        end_children=lambda: None,
        sleep=lambda _: None,
    )


def refusal(act: Callable[[], None]) -> errors.ControllerError:
    with pytest.raises(errors.ControllerError) as raised:
        act()
    return raised.value


def test_h9_a_build_gets_context_dockerfile_labels_and_pinned_bases(
    builder: image_builder.Builder, engine: engines.Engine
) -> None:
    one = work("a")
    builder.build([one])
    built = engine.built[0]
    assert built.files == {"functions/a/app.py": b"print('a')\n"}
    seal = f"LABEL {image_inputs.LABEL_INPUT}={one.wanted.digest}\nONBUILD LABEL {image_inputs.LABEL_INPUT}=\n"
    assert built.dockerfile == f"{one.wanted.dockerfile}\n{seal}"
    assert built.wanted.context not in built.wanted.dockerfile.parents, "COPY . must not see it"
    assert replace(built.wanted, context=Path("c"), dockerfile=Path("d")) == docker.BuildRequest(
        context=Path("c"),
        dockerfile=Path("d"),
        tags=(f"{HOST}/a:1",),
        labels={
            image_inputs.LABEL_INPUT: one.wanted.digest,
            image_inputs.LABEL_REVISION: "sha256:rev",
            image_inputs.LABEL_ENTRY: "orders",
            image_inputs.LABEL_FUNCTION: "a",
        },
        arguments={"MODE": "canary-argument"},
        platform="",
        contexts={f"{HOST}/base:1": f"docker-image://{HOST}/base@sha256:b1"},
        cache=True,
        created_s=image_inputs.created_s(one.wanted.digest),
    )


def test_h9_a_platform_is_named_only_when_it_was_asked_for(
    builder: image_builder.Builder, engine: engines.Engine
) -> None:
    """H9: the engine's own is in the input, without its variant: a build that names it could be for another one."""
    one = work("a")
    builder.build([replace(one, wanted=replace(one.wanted, platform="linux/amd64"))])
    replace(builder, platform="linux/arm64").build([work("b")])
    assert [each.wanted.platform for each in engine.built] == ["", "linux/arm64"]


def test_h9_rebuild_uses_no_cache(builder: image_builder.Builder, engine: engines.Engine) -> None:
    replace(builder, rebuild=True).build([work("a")])
    assert not engine.built[0].wanted.cache


def test_h9_what_needs_no_build_is_not_built(builder: image_builder.Builder, engine: engines.Engine) -> None:
    builder.build([work("a", image_work.Need.NOTHING), work("b", image_work.Need.PUSH)])
    assert engine.calls == []
    assert not builder.scratch.exists(), "nothing to build leaves no trace on the disk"


def test_builds_run_at_the_same_time_and_no_more_than_allowed(
    builder: image_builder.Builder, engine: engines.Engine
) -> None:
    meeting = threading.Barrier(2)
    engine.during("build", lambda _: meeting.wait(PATIENCE_S))
    builder.build([work(name) for name in "abcd"])
    assert (engine.count("build"), engine.high_water["build"]) == (4, 2)


def test_one_at_a_time_keeps_the_order_and_says_where_it_is(
    builder: image_builder.Builder, engine: engines.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "UNTOLD_S", 0.0)
    told: list[str] = []
    with progress.plain(told.extend):
        replace(builder, parallel=1).build([work(name) for name in "abc"])
    assert told[::2] == ["building 1 of 3: a", "building 2 of 3: b", "building 3 of 3: c"]
    assert engine.calls == [("build", f"{HOST}/{name}:1") for name in "abc"]


def test_parallel_is_by_default_one_a_core(builder: image_builder.Builder, engine: engines.Engine) -> None:
    cores = os.cpu_count() or 1
    meeting = threading.Barrier(cores)
    engine.during("build", lambda _: meeting.wait(PATIENCE_S))
    replace(builder, parallel=None).build([work(f"f{number}") for number in range(2 * cores)])
    assert engine.high_water["build"] == cores


def test_h9_one_failed_function_hides_neither_the_errors_nor_the_images_of_others(
    builder: image_builder.Builder, engine: engines.Engine
) -> None:
    log = ("#7 0.1 compiling", "Dockerfile:4", "-" * 20, "   4 | >>> RUN make", "-" * 20, "ERROR: failed to solve")
    engine.fail("build", f"{HOST}/a:1", engines.failed(*log))
    engine.fail("build", f"{HOST}/c:1", docker.DeadlinePassed(900.0, ("#9 12.0 still here",)))
    error = refusal(lambda: builder.build([work(name) for name in "abc"]))
    assert (error.reason, error.message) == (
        "ImageBuildFailed",
        "2 of 3 images could not be built: build of a failed with exit code 1; build of c ended after 15m",
    )
    assert error.problems == (
        problems.Problem(
            "orders/functions/a/Dockerfile",
            4,
            1,
            "",
            "build of a failed with exit code 1\n    #7 0.1 compiling\n    ERROR: failed to solve",
        ),
        problems.Problem(
            "orders/functions/c/Dockerfile", 0, 0, "", "build of c ended after 15m\n    #9 12.0 still here"
        ),
    )
    assert [one.tags for one in engine.labelled_images(image_inputs.LABEL_INPUT)] == [(f"{HOST}/b:1",)]


def test_h9_of_a_long_log_the_last_lines_are_told(builder: image_builder.Builder, engine: engines.Engine) -> None:
    engine.fail("build", "", engines.failed(*(f"line {number}" for number in range(100))))
    (found,) = refusal(lambda: builder.build([work("a")])).problems
    assert found.message.splitlines()[1:] == [f"    line {number}" for number in range(85, 100)]


# What BuildKit 0.12 printed for a step that failed.
LOG = """\
#6 [2/3] COPY functions/a/ /app/
#6 CACHED

#7 [3/3] RUN make all
#7 0.111 line 1
#7 0.111 line 2
#7 ERROR: process "/bin/sh -c make all" did not complete successfully: exit code: 2
------
 > [3/3] RUN make all:
0.111 line 1
0.111 line 2
------
Dockerfile:3
--------------------
   2 |     COPY functions/a/ /app/
   3 | >>> RUN make \\
   4 | >>>   all
   5 |
--------------------
ERROR: failed to solve: process "/bin/sh -c make all" did not complete successfully: exit code: 2
"""


def test_h9_of_a_buildkit_log_the_failed_step_is_told_once(
    builder: image_builder.Builder, engine: engines.Engine
) -> None:
    engine.fail("build", "", engines.failed(*LOG.splitlines()))
    (found,) = refusal(lambda: builder.build([work("a")])).problems
    assert str(found).splitlines() == [
        "orders/functions/a/Dockerfile:3:1: build of a failed with exit code 1",
        "     > [3/3] RUN make all:",
        "    0.111 line 1",
        "    0.111 line 2",
        '    ERROR: failed to solve: process "/bin/sh -c make all" did not complete successfully: exit code: 2',
    ]


def test_h9_a_sentence_does_not_name_a_thousand_functions(
    builder: image_builder.Builder, engine: engines.Engine
) -> None:
    engine.fail("build", "", engines.failed("no"), times=13)
    error = refusal(lambda: builder.build([work(f"f{number:02}") for number in range(13)]))
    assert error.message.endswith("build of f09 failed with exit code 1; and 3 more")
    assert len(error.problems) == 13


def test_k1_build_arguments_are_in_no_message(builder: image_builder.Builder, engine: engines.Engine) -> None:
    engine.fail("build", "", engines.failed("ERROR: failed to solve"))
    error = refusal(lambda: builder.build([work("a")]))
    assert "canary" not in f"{error.message} {error.problems}"


def test_b6_of_each_failed_function_the_record_gets_one_line_that_is_not_long(
    builder: image_builder.Builder, engine: engines.Engine
) -> None:
    engine.fail("build", f"{HOST}/a:1", engines.failed(*(f"{n} {'x' * 300}" for n in range(9)), "the end"))
    engine.fail("build", f"{HOST}/b:1", docker.DeadlinePassed(3.0, ()))
    a, b = refusal(lambda: builder.build([work("a"), work("b")])).functions
    assert (a.function, a.message) == ("a", "build of a failed with exit code 1")
    assert (a.log[0], a.log.rpartition(" | ")[2], len(a.log)) == ("…", "the end", 501)
    assert (b.function, b.message, b.log) == ("b", "build of b ended after 3s", "")


def test_h12_what_is_true_of_all_is_told_of_no_single_function(
    builder: image_builder.Builder, engine: engines.Engine
) -> None:
    engine.fail("build", "", errors.ControllerError("DockerUnavailable", "no engine answers"), times=2)
    assert refusal(lambda: builder.build([work("a"), work("b")])).functions == ()


def test_h12_an_engine_that_is_gone_is_no_fault_of_the_functions(
    builder: image_builder.Builder, engine: engines.Engine
) -> None:
    engine.fail("build", "", errors.ControllerError("DockerUnavailable", "no engine answers"), times=2)
    error = refusal(lambda: builder.build([work("a"), work("b")]))
    assert error.reason == "DockerUnavailable"
    assert "build of a: no engine answers" in error.message


def test_h9_other_faults_beside_an_unavailable_engine_are_not_hidden(
    builder: image_builder.Builder, engine: engines.Engine
) -> None:
    engine.fail("build", f"{HOST}/a:1", errors.ControllerError("DockerUnavailable", "no engine answers"))
    engine.fail("build", f"{HOST}/b:1", engines.failed("ERROR"))
    error = refusal(lambda: builder.build([work("a"), work("b")]))
    assert error.reason == "ImageBuildFailed"
    assert "no engine answers" in error.message
    assert "build of b failed" in error.message


def test_g4_problems_of_a_refused_context_are_kept(builder: image_builder.Builder) -> None:
    link = problems.Problem("orders/functions/a/x", 0, 0, "", "is a link out of the artifact")

    def refuse(wanted: image_inputs.ImageInput, destination: Path) -> None:
        raise errors.ControllerError("ArtifactInvalid", "the build context is refused", (link,))

    error = refusal(lambda: replace(builder, copy_context=refuse).build([work("a")]))
    assert error.reason == "ArtifactInvalid"
    assert link in error.problems


def test_b3_a_full_disk_fails_the_function_and_says_where(builder: image_builder.Builder) -> None:
    def fill(wanted: image_inputs.ImageInput, destination: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "app.py")

    error = refusal(lambda: replace(builder, copy_context=fill).build([work("a")]))
    assert error.reason == "ImageBuildFailed"
    assert "context could not be copied: app.py: No space left on device" in error.message


def test_a_bug_is_not_dressed_as_a_failed_build(builder: image_builder.Builder, engine: engines.Engine) -> None:
    engine.fail("build", f"{HOST}/b:1", ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        builder.build([work("a"), work("b")])


@pytest.mark.parametrize("error", [None, engines.failed("ERROR"), docker.DeadlinePassed(3.0, ())])
def test_p9_contexts_are_removed_whatever_happens(
    builder: image_builder.Builder, engine: engines.Engine, error: Exception | None
) -> None:
    if error is None:
        builder.build([work("a")])
    else:
        engine.fail("build", "", error)
        refusal(lambda: builder.build([work("a")]))
    assert list(builder.scratch.iterdir()) == []


def test_p9_what_a_killed_pass_left_is_removed_before_the_next_build(builder: image_builder.Builder) -> None:
    left = builder.scratch / "build-left"
    (left / "context").mkdir(parents=True)
    builder.build([work("a")])
    assert not left.exists()


# Signals.


class Gone(BaseException):
    """What the signal of these tests raises in the main thread."""


@dataclass
class Ending:
    """What a signal does to threads that wait for their children. `rounds` counts how often children were ended."""

    rounds: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    ended: list[str] = field(default_factory=list)

    def signal(self) -> None:
        os.kill(os.getpid(), signal.SIGUSR2)

    def wait(self, subject: str, *, rounds: int = 1) -> None:
        """A child that ends when it is told to so often; `ended` lists those that were."""
        if all(self.rounds.acquire(timeout=PATIENCE_S) for _ in range(rounds)):
            self.ended.append(subject)
        raise engines.failed("terminated", exit_code=143)


@pytest.fixture
def ending() -> Iterator[Ending]:
    def arrived(signum: int, frame: FrameType | None) -> None:
        raise Gone

    before = signal.signal(signal.SIGUSR2, arrived)
    yield Ending()
    signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize("call", ["build", "push"])
def test_p8_a_signal_ends_what_runs_and_drops_what_waits(
    builder: image_builder.Builder,
    engine: engines.Engine,
    ending: Ending,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    monkeypatch.setattr(progress, "UNTOLD_S", 0.0)
    both_run = threading.Barrier(2)

    def until_ended(subject: str) -> None:
        if both_run.wait(PATIENCE_S) == 0:
            ending.signal()
        ending.wait(subject)

    told: list[str] = []
    engine.during(call, until_ended)
    act = getattr(replace(builder, end_children=ending.rounds.release), call)
    with progress.plain(told.extend), pytest.raises(Gone):
        act([work(name) for name in "abcdef"])
    assert sorted(ending.ended) == [f"{HOST}/a:1", f"{HOST}/b:1"]
    begun = [line for line in told if "after" not in line]
    assert (engine.count(call), len(begun)) == (2, 2), "the four that waited never began"
    assert call == "push" or list(builder.scratch.iterdir()) == []


def test_p8_no_child_is_started_after_a_signal(
    builder: image_builder.Builder, engine: engines.Engine, ending: Ending
) -> None:
    """It comes while a context is being copied: there is no child yet that could be ended."""
    copied: list[bool] = []

    def slow_copy(wanted: image_inputs.ImageInput, destination: Path) -> None:
        ending.signal()
        copied.append(ending.rounds.acquire(timeout=PATIENCE_S))

    interrupted = replace(builder, copy_context=slow_copy, end_children=ending.rounds.release)
    with pytest.raises(Gone):
        interrupted.build([work("a")])
    assert copied == [True]
    assert engine.calls == []


def test_p8_no_push_is_tried_again_after_a_signal(
    builder: image_builder.Builder, engine: engines.Engine, ending: Ending
) -> None:
    waited: list[bool] = []

    def sleep(_: float) -> None:
        ending.signal()
        waited.append(ending.rounds.acquire(timeout=PATIENCE_S))

    engine.hold(f"{HOST}/a:1")
    engine.fail("push", "", engines.failed(DOWN), times=3)
    with pytest.raises(Gone):
        replace(builder, sleep=sleep, end_children=ending.rounds.release).push([work("a")])
    assert waited == [True]
    assert engine.count("push") == 1


def test_p8_children_are_ended_until_none_is_left(
    builder: image_builder.Builder, engine: engines.Engine, ending: Ending
) -> None:
    """One that starts just after the first time is ended by a later one."""

    def deaf_at_first(subject: str) -> None:
        ending.signal()
        ending.wait(subject, rounds=3)

    engine.during("build", deaf_at_first)
    with pytest.raises(Gone):
        replace(builder, end_children=ending.rounds.release).build([work("a")])
    assert ending.ended == [f"{HOST}/a:1"]


# Pushing.


def test_h10_what_was_built_and_what_the_engine_had_is_pushed(
    builder: image_builder.Builder, engine: engines.Engine
) -> None:
    held = engine.hold("earlier:1", {image_inputs.LABEL_INPUT: "sha256:i"})
    works = [work("a"), work("b", image_work.Need.PUSH, engine_image=held.id), work("c", image_work.Need.NOTHING)]
    builder.build(works)
    builder.push(works)
    assert sorted(engine.registry) == [f"{HOST}/a:1", f"{HOST}/b:1"]
    assert engine.registry[f"{HOST}/b:1"].labels == held.labels
    assert engine.count("build") == 1


def test_h10_a_registry_that_comes_back_gets_the_image(builder: image_builder.Builder, engine: engines.Engine) -> None:
    waited: list[float] = []
    builder.build([work("a")])
    engine.fail("push", "", engines.failed(DOWN), times=2)
    replace(builder, sleep=waited.append).push([work("a")])
    assert f"{HOST}/a:1" in engine.registry
    assert len(waited) == 2


def test_h10_a_registry_that_stays_down_is_told_with_every_function(
    builder: image_builder.Builder, engine: engines.Engine
) -> None:
    engine.fail("push", f"{HOST}/a:1", engines.failed(DOWN), times=3)
    engine.fail("push", f"{HOST}/c:1", docker.DeadlinePassed(300.0, ("a5105c5166c3: Waiting",)))
    works = [work(name) for name in "abc"]
    builder.build(works)
    error = refusal(lambda: builder.push(works))
    assert error.reason == "ImagePushFailed"
    assert error.message == (
        f"2 of 3 images could not be pushed: push of a to {HOST}/a:1 failed with exit code 1; "
        f"push of c to {HOST}/c:1 ended after 5m"
    )
    assert [found.message.splitlines()[1:] for found in error.problems] == [
        [f"    {DOWN}"],
        ["    a5105c5166c3: Waiting"],
    ]
    assert engine.calls.count(("push", f"{HOST}/a:1")) == image_builder.PUSH_ATTEMPTS
    assert engine.calls.count(("push", f"{HOST}/c:1")) == 1, "it had its five minutes"
    assert f"{HOST}/b:1" in engine.registry


@pytest.mark.parametrize(
    ("target", "login"),
    [
        (f"{HOST}/a:1", f"log in with docker login {HOST}"),
        ("ghcr.io/team/a:1", "log in with docker login ghcr.io"),
        ("localhost/a:1", "log in with docker login localhost"),
        ("team/a:1", "log in with docker login"),
    ],
)
def test_h10_a_refused_push_names_the_way_in(
    builder: image_builder.Builder, engine: engines.Engine, target: str, login: str
) -> None:
    engine.fail("push", "", engines.failed(REFUSED), times=3)
    one = work("a")
    error = refusal(lambda: builder.push([replace(one, wanted=replace(one.wanted, target=target))]))
    assert error.message.endswith(f"push of a to {target} was refused: {login}")
    assert engine.count("push") == 1, "asking again would only lock an account"


@pytest.mark.parametrize(
    ("line", "passes"),
    [
        (DOWN, True),
        ("received unexpected HTTP status: 500 Internal Server Error", True),
        ("received unexpected HTTP status: 503 Service Unavailable", True),
        ("error parsing HTTP 502 response body: 502 Bad Gateway", True),
        ('Put "http://r/v2/a/blobs": read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer', True),
        ('Get "https://r/v2/": net/http: TLS handshake timeout', True),
        ('Get "https://r/v2/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)', True),
        ('Head "http://r/v2/a": EOF', True),
        ("dial tcp 10.0.0.1:5010: i/o timeout", True),
        ('toomanyrequests: {"errors": []}', True),
        (REFUSED, False),
        ("no basic auth credentials", False),
        ("unauthorized: authentication required", False),
        ("unexpected status code 403 Forbidden: after a timeout", False),
        ("An image does not exist locally with the tag: 127.0.0.1:5010/app-503", False),
        ("dial tcp: lookup registry on 10.0.0.53:53: no such host", False),
        ("name invalid: too long", False),
    ],
)
def test_h10_only_what_may_pass_by_itself_is_pushed_again(line: str, passes: bool) -> None:
    assert image_failures.may_pass(engines.failed("The push refers to repository [r/a]", line)) is passes


@pytest.mark.parametrize("error", [docker.DeadlinePassed(300.0, (DOWN,)), OSError(errno.EIO, DOWN)])
def test_h10_only_a_command_that_said_no_is_tried_again(error: Exception) -> None:
    assert not image_failures.may_pass(error)


# Logs and bases.


@pytest.mark.parametrize(
    ("tail", "line"),
    [
        (("ERROR: failed to solve: dockerfile parse error on line 2: unknown instruction: COPYY",), 2),
        (("------", "Dockerfile:3", "--------------------", "   3 | >>> COPY nosuch /"), 3),
        (("#7 0.1 Dockerfile:99", "Dockerfile:7"), 7),
        (("Dockerfile:1", "Dockerfile:12"), 12),
        (("ERROR: failed to solve: the engine is full",), 0),
        ((), 0),
    ],
)
def test_h9_the_line_that_the_log_blames(
    builder: image_builder.Builder, engine: engines.Engine, tail: tuple[str, ...], line: int
) -> None:
    engine.fail("build", "", engines.failed(*tail))
    (found,) = refusal(lambda: builder.build([work("a")])).problems
    assert (found.line, found.column) == (line, 1 if line else 0)


@pytest.mark.parametrize(
    ("reference", "dockerfile", "pinned"),
    [
        (f"{HOST}/base:1", "FROM x", f"docker-image://{HOST}/base@sha256:b"),
        (f"{HOST}/base", "FROM x", f"docker-image://{HOST}/base@sha256:b"),
        ("python:3.12", "FROM python:3.12 AS python", "docker-image://python@sha256:b"),
        ("python", "FROM python AS builder", "docker-image://python@sha256:b"),
        ("python", "FROM python AS python-slim\nFROM x", "docker-image://python@sha256:b"),
        ("python", "FROM python as Python", None),
        ("python:latest", "FROM python:latest AS \\\n  python\nRUN x", None),
        ("docker.io/library/python", "FROM docker.io/library/python AS python", None),
        (f"{HOST}/base:1@sha256:b", "FROM x", None),
        ("only-in-the-engine:1", "FROM x", None),
    ],
)
def test_bases_of_the_registry_are_pinned(reference: str, dockerfile: str, pinned: str | None) -> None:
    """What was hashed is built on; and a named context never replaces a whole stage of the same name."""
    wanted = replace(work("a").wanted, bases=(image_inputs.Base(reference, "sha256:b"),), dockerfile=dockerfile)
    known = {reference} - {"only-in-the-engine:1"}
    assert image_builder.pinned_bases(wanted, known) == ({reference: pinned} if pinned else {})
