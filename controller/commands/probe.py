"""`controller probe`: what runs, and whether it can take the artifact."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from controller import compose_stack, errors, output, settings
from controller.commands import options as shared
from controller.commands import steps
from core import compatibility, digest, stack, stack_reading


@click.command(short_help="Show the running stack, and whether it can take the artifact.")
@click.option("--project", metavar="NAME", help="The compose project.  [stack.project, or the manifest's]")
@click.option("--source", type=shared.PATH, metavar="DIR", help="The folder of artifacts, for a verdict.")
@click.option("--manifest", metavar="PATH", help="artifact.yml relative to the source.  [the only one below it]")
@click.option("--env", metavar="NAME", help="Choose the manifest of this environment.")
@click.option("--strict", is_flag=True, default=None, help="Treat compatibility warnings as errors.")
@shared.docker_context
@click.option("--config", type=shared.PATH, metavar="FILE", help="controller.yml  [default: none]")
@shared.of_one_target
@shared.of_output
@click.pass_obj
def command(interruption: Any, /, project: str | None, **options: Any) -> int:
    """Look at a compose project once and print every service. With a source, compare it with what the artifact
    requires, and end with 76 when it cannot be applied. Changes nothing."""
    del interruption
    loaded = shared.only(options, {**shared.flags(options), ("stack", "project"): project})
    printer = shared.printer(options)
    artifact, unread = None, None
    try:
        with steps.shown(printer):
            artifact = _artifact(loaded)
    except errors.ControllerError as error:
        if loaded.stack.project is None or printer.as_json:
            raise
        unread = error  # what runs can be shown all the same
    if artifact is None and loaded.stack.project is None:
        raise click.UsageError("Missing option '--project' (or stack.project in controller.yml, or a source).")
    of_manifest = "" if artifact is None else artifact.project
    seen = compose_stack.ComposeStack(loaded, Path()).probe(of_manifest, needed=True)
    found = _Looked(seen, None if artifact is None else artifact.runtime_stack, strict=loaded.policy.strict)
    printer.diagnostics(f"note: {note}" for note in (() if artifact is None else artifact.notes))
    printer.result("probe", _payload(found), _lines(found))
    if unread is not None:
        raise unread
    blocking = [finding.message for finding in found.findings if finding.blocks]
    if not blocking:
        return errors.OK
    printer.failure(output.failure_lines("StackIncompatible", "; ".join(blocking)))
    return errors.MEANINGS["StackIncompatible"].exit_code


@dataclass(frozen=True, slots=True)
class _Looked:
    """A stack beside what is required of it."""

    seen: stack.Stack
    required: compatibility.Requirement | None
    strict: bool

    @property
    def findings(self) -> tuple[compatibility.Finding, ...]:
        return compatibility.judge(self.required, self.seen, strict=self.strict)

    @property
    def verdict(self) -> compatibility.Verdict | None:
        return None if self.required is None else compatibility.verdict(self.findings)


@dataclass(frozen=True, slots=True)
class _Artifact:
    """What the artifact says of the stack; `notes` are about the sources."""

    project: str
    runtime_stack: compatibility.Requirement | None
    notes: tuple[str, ...] = ()


def _artifact(loaded: settings.Settings) -> _Artifact | None:
    """The artifact of the source, read as a pass reads it; None without a source. A repository, or the first of several
    sources that answers, is read aside."""
    kinds = [one.kind for one in loaded.source.each]
    if not kinds:
        return None
    if kinds == ["directory"]:
        return _of_folder(loaded)
    from controller import aside

    with aside.opened(loaded) as opened:
        fetched = opened.fetch()
    return _Artifact(fetched.project, fetched.requirement, fetched.notes)


def _of_folder(loaded: settings.Settings) -> _Artifact:
    from controller import clock, translate
    from controller.sources import directory
    from manifests import checkout, fingerprint

    with translate.failures():
        located = directory.locate(loaded)
        found = checkout.scan(
            located, fingerprint.MemoryStore(), now_ns=clock.Clock().now_ns, rules=directory.rules(loaded)
        )
    directory.require_asked(found, loaded.manifest)
    return _Artifact(found.project, found.runtime_stack)


def _payload(found: _Looked) -> dict[str, Any]:
    mode, version = stack_reading.mode(found.seen), stack_reading.version(found.seen)
    healthy, required = compatibility.health(found.seen), found.required
    return {
        "project": found.seen.project,
        "source": found.seen.source,
        "unknown": found.seen.unknown,
        "mode": mode.value if mode else "",
        "version": version.value if version else "",
        "services": [
            {
                "service": each.name,
                "image": each.image,
                "tag": each.tag,
                "digest": each.digest,
                "version": each.version,
                "mode": stack_reading.mode_of(each),
                "state": each.state,
                "health": each.health,
                "exit_code": each.exit_code,
                "one_shot": each.one_shot,
            }
            for each in found.seen.services
        ],
        "skew": list(stack_reading.skew(found.seen)),
        "healthy": {"status": healthy.status, "reason": healthy.reason, "message": healthy.message},
        "required": required
        and {"api_version": required.api_version, "mode": required.mode, "esb_version": required.esb_version},
        "verdict": found.verdict,
        "findings": [
            {"code": finding.code, "message": finding.message, "blocks": finding.blocks} for finding in found.findings
        ],
    }


def _lines(found: _Looked) -> Iterator[str]:
    seen, required = found.seen, found.required
    yield f"stack     {seen.source or seen.project}"
    if seen.unknown:
        yield f"services  none: {seen.unknown}"
    else:
        mode, version = stack_reading.mode(seen), stack_reading.version(seen)
        healthy = compatibility.health(seen)
        yield f"mode      {mode.value if mode else 'unknown'}"
        yield f"version   {version.value if version else 'unknown'}"
        yield f"healthy   {healthy.status}: {healthy.message}"
        yield from _table([_row(each) for each in seen.services])
    for sentence in stack_reading.skew(seen):
        yield f"skew      {sentence}"
    if required is not None:
        yield f"required  mode {required.mode}, API {required.api_version}, version {required.esb_version}"
        yield f"verdict   {found.verdict}"
    for finding in found.findings:
        yield f"{'error' if finding.blocks else 'warning'}: {finding.message}"


def _row(each: stack.Service) -> tuple[str, ...]:
    state = f"exited {each.exit_code}" if each.state == "exited" else each.state
    by_digest = f" ({digest.short(each.digest)})" if each.digest and each.digest not in each.image else ""
    return (
        each.name,
        f"{state} ({each.health})" if each.health else state,
        stack_reading.mode_of(each) or "-",
        stack_reading.version_of(each) or "-",
        each.image + by_digest,
    )


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
