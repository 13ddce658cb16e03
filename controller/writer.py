"""Writing CONFIG_DIR: the actions of a plan, under the contract's lock.

Chooses numbers and times by the rules of `core.publishing` and calls the publish protocol of `manifests`; records
nothing. The caller holds the kernel lock on the directory.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from controller import clock, errors, failpoints, translate, world
from core import actions, assembly, digest, items, policy, publishing
from manifests import config_dir, generation, merge_lock, plain_files
from manifests import errors as manifests_errors

Written = actions.Sweep | actions.Publish | actions.PublishResources | actions.Confirm
"""The actions that write CONFIG_DIR."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Performs actions at one CONFIG_DIR. `lock_wait_s` is how long an older applier is waited for."""

    config_dir: Path
    machine: clock.Clock
    lock_wait_s: float

    def act(self, action: Written, *, newest_mtime_s: int, last_generation: int) -> world.Acted | world.Told:
        """Perform one action; the numbers are those of `publish`."""
        match action:
            case actions.Publish():
                return self.publish(action, newest_mtime_s=newest_mtime_s, last_generation=last_generation)
            case actions.PublishResources():
                return self.publish_resources(action, newest_mtime_s=newest_mtime_s, last_generation=last_generation)
            case actions.Confirm():
                return self.confirm()
            case actions.Sweep():
                self.sweep(action)
                return world.Told()
            case _:
                assert_never(action)

    def publish(self, action: actions.Publish, *, newest_mtime_s: int, last_generation: int) -> world.Acted:
        """Make the documents visible. `newest_mtime_s` is the newest time that any consumer may have seen, and
        `last_generation` the last number that was recorded: numbers never come back (0: none)."""
        mtime_s = publishing.next_mtime_s(self.machine.now_s(), newest_mtime_s)
        self.machine.sleep(publishing.wait_s(self.machine.now_s(), mtime_s))
        number: int | None = None
        with self._locked():
            if action.mode is policy.PublishMode.GENERATION:
                look = config_dir.observe(self.config_dir)
                number = generation.publish(
                    self.config_dir,
                    action.documents,
                    number=publishing.next_number(look.generations, last_generation),
                    mtime_s=mtime_s,
                    on_step=failpoints.reach,
                )
            else:
                plain_files.publish(self.config_dir, action.documents, mtime_s=mtime_s, on_step=failpoints.reach)
        return world.Acted(number, mtime_s, digests(action.documents))

    def publish_resources(
        self, action: actions.PublishResources, *, newest_mtime_s: int, last_generation: int
    ) -> world.Acted:
        """Make the resources visible beside the functions and routes that are visible now; none yet is none then."""
        with translate.failures():
            shown = config_dir.read_documents(self.config_dir)
        documents = {
            **assembly.assemble(()),
            **{document: content for document, content in shown.items() if content is not None},
            items.Document.RESOURCES: action.document,
        }
        publish = actions.Publish(documents, (), action.mode)
        return self.publish(publish, newest_mtime_s=newest_mtime_s, last_generation=last_generation)

    def confirm(self) -> world.Acted:
        """Make durable what is visible already, and tell what it is."""
        with self._locked():
            generation.make_durable(self.config_dir, failpoints.reach)
            look = config_dir.observe(self.config_dir)
        shown = {document: found for document, found in look.digests.items() if found is not None}
        return world.Acted(look.generation, look.newest_mtime_s, shown)

    def sweep(self, action: actions.Sweep) -> None:
        """Remove leftovers of interrupted publishes."""
        with self._locked():
            generation.sweep(self.config_dir, action.names)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The contract's lock around one action; a failed step becomes a failure of the pass."""
        try:
            with (
                translate.failures(),
                merge_lock.merge_lock(self.config_dir, wait_s=self.lock_wait_s, clock=self.machine),
            ):
                yield
        except manifests_errors.PublishError as error:
            raise errors.PublishFailed(str(error), error.doubtful) from None
        except failpoints.FailpointReached as error:
            raise errors.PublishFailed(str(error), None) from None


def digests(documents: Mapping[items.Document, bytes]) -> Mapping[items.Document, str]:
    """The digest of each document's bytes, as the record keeps them."""
    return {document: digest.of_bytes(content) for document, content in documents.items()}
