"""Building and pushing the images of functions, several at a time (contract.md section 5; faults.md H9, H10, P9).

Stands between the plan, which says what is needed, and the first publish: everything is built and pushed before
anything is published. Owns the order of one build (copy, write the Dockerfile, pin the bases, build) and its traces on
the disk. Decides neither whether an image is needed (`core.image_work`) nor what it is made from (`core.image_inputs`).
"""

import itertools
import os
import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Protocol

from controller import docker, image_failures, progress, retry, scratch, side_by_side
from core import dockerfile_seal, image_inputs, image_work, references

PUSH_ATTEMPTS = 3
PUSH_WAIT_S = 1.0
"""The first wait between two attempts. The engine itself has tried every layer five times by then."""


class Engine(Protocol):
    """What is asked of `docker.Engine`."""

    def build(self, wanted: docker.BuildRequest) -> str:
        """Build; the image's id."""

    def tag(self, image_id: str, reference: str) -> None:
        """Give an image a name."""

    def push(self, reference: str) -> None:
        """Push a name."""


@dataclass(frozen=True, slots=True)
class Builder:
    """Everything that one pass needs for its images.

    `parallel` is the number of builds, or pushes, at a time; None for one a core. `copy_context` fills an empty folder
    with a function's context, and raises when that is not what the input's digest covers: the label would lie for
    ever. `rebuild` uses no cache. `scratch` is the target's own folder (`controller.scratch`). `in_registry` are the
    base references whose digest is one of the registry. `platform` is the one that the settings ask for; "" leaves it
    to the engine, as anybody's build does. `check` is asked again and again in the calling thread, and raises when all
    of it should end. `end_children` and `sleep` stand for the machine in tests. `target` is for whom all this is.
    """

    engine: Engine
    _: KW_ONLY
    copy_context: Callable[[image_inputs.ImageInput, Path], None]
    revision: str
    scratch: Path
    parallel: int | None = None
    rebuild: bool = False
    in_registry: Collection[str] = ()
    platform: str = ""
    target: str = ""
    end_children: Callable[[], None] = docker.terminate_children
    sleep: Callable[[float], None] = retry.sleep
    check: Callable[[], None] = side_by_side.go_on

    def build(self, works: Sequence[image_work.Work]) -> None:
        """Build all that need it; each is tagged as its target and labelled, so that no later pass builds it again.

        Raises one `ControllerError` (ImageBuildFailed) that names every function that failed, with the last lines of
        its log, after all of them have ended. A signal ends them at once.
        """
        wanted = tuple(work for work in works if work.need is image_work.Need.BUILD)
        if wanted:
            scratch.clear(self.scratch)
            failed = self._each(wanted, "building", self._build)
            if failed:
                raise image_failures.of_builds(failed, out_of=len(wanted))

    def push(self, works: Sequence[image_work.Work]) -> None:
        """Push all that need it: what was just built, and what the engine had already (tagged as its target first).

        A registry that is down or busy is asked again, `PUSH_ATTEMPTS` times in all: pushing twice is pushing once.
        Raises one `ControllerError` (ImagePushFailed), as `build` does.
        """
        wanted = tuple(work for work in works if work.need is not image_work.Need.NOTHING)
        failed = self._each(wanted, "pushing", self._push)
        if failed:
            raise image_failures.of_pushes(failed, out_of=len(wanted))

    def _each(
        self, works: Sequence[image_work.Work], doing: str, act: Callable[[image_work.Work, threading.Event], None]
    ) -> list[image_failures.Failed]:
        numbers = itertools.count(1)

        def task_of(work: image_work.Work) -> side_by_side.Task:
            def task(ending: threading.Event) -> None:
                words = f"{doing} {next(numbers)} of {len(works)}: {work.wanted.function}"
                with progress.step(words, target=self.target):
                    act(work, ending)

            return task

        at_once = self.parallel or os.cpu_count() or 1
        tasks = [task_of(work) for work in works]
        ended = side_by_side.run(tasks, at_once=at_once, end_children=self.end_children, check=self.check)
        return [image_failures.Failed(work, error) for work, error in zip(works, ended, strict=True) if error]

    def _build(self, work: image_work.Work, ending: threading.Event) -> None:
        with scratch.room(self.scratch) as room:
            context, dockerfile = room / "context", room / "dockerfile" / "Dockerfile"
            context.mkdir()
            self.copy_context(work.wanted, context)
            # In a folder of its own: BuildKit reads what lies beside it, a Dockerfile.dockerignore for example (G4).
            dockerfile.parent.mkdir()
            dockerfile.write_bytes(dockerfile_seal.sealed(work.wanted.dockerfile, work.wanted.digest).encode())
            if not ending.is_set():
                self.engine.build(self._request(work.wanted, context, dockerfile))

    def _request(self, wanted: image_inputs.ImageInput, context: Path, dockerfile: Path) -> docker.BuildRequest:
        return docker.BuildRequest(
            context=context,
            dockerfile=dockerfile,
            tags=(wanted.target,),
            labels={
                image_inputs.LABEL_INPUT: wanted.digest,
                image_inputs.LABEL_REVISION: self.revision,
                image_inputs.LABEL_ENTRY: wanted.entry,
                image_inputs.LABEL_FUNCTION: wanted.function,
            },
            arguments=dict(wanted.arguments),
            platform=self.platform,
            contexts=pinned_bases(wanted, self.in_registry),
            cache=not self.rebuild,
            created_s=image_inputs.created_s(wanted.digest),
        )

    def _push(self, work: image_work.Work, ending: threading.Event) -> None:
        def once() -> None:
            if not ending.is_set():
                self.engine.push(work.wanted.target)

        if work.need is image_work.Need.PUSH:
            self.engine.tag(work.engine_image, work.wanted.target)
        retry.call(
            once,
            attempts=PUSH_ATTEMPTS,
            wait_s=PUSH_WAIT_S,
            transient=image_failures.may_pass,
            sleep=self.sleep,
        )


def pinned_bases(wanted: image_inputs.ImageInput, in_registry: Collection[str]) -> Mapping[str, str]:
    """Named contexts that stand for bases: what was hashed is what is built on, even if the tag moves meanwhile.

    BuildKit looks a reference up in its full form, so ``name`` and ``name:latest`` are the same, and does so for FROM,
    for COPY --from and for mounts. Left as they are: bases that only the engine has (no digest of theirs can be
    pulled), those that name their digest already, and a short name that is a stage's name too: the context would
    replace the whole stage.
    """
    return {
        base.reference: f"docker-image://{references.split(base.reference).name}@{base.digest}"
        for base in wanted.bases
        if base.reference in in_registry and "@" not in base.reference and not _is_stage(base.reference, wanted)
    }


def _is_stage(reference: str, wanted: image_inputs.ImageInput) -> bool:
    """Whether the Dockerfile may have a stage of this name. Too often is safe: then the tag itself decides."""
    name = re.escape(reference.removeprefix("docker.io/library/").removesuffix(":latest"))
    return re.search(rf"\bAS[\s\\`]+{name}\s*$", wanted.dockerfile, re.IGNORECASE | re.MULTILINE) is not None
