"""Where a live function comes from: image, input, entry, place in the artifact, revision, pass.

Behind `controller trace`; owns the shape `trace/v1` of docs/json.md. Reads the record alone: no engine, no source and
no registry is asked, so that it says the same while all of them are away. Changes nothing.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from controller import errors, history, settings_environment
from core import digest, image_inputs, items, record, references
from manifests import pinning

if TYPE_CHECKING:
    from controller import target


def payload(opened: "target.Target", function: str) -> dict[str, Any]:
    """The way of one function of the live set. Raises `ControllerError("Usage")` for one that is not in it."""
    known = opened.remember(with_items=True)
    part = _part(known, function)
    applied = known.applied
    assert applied is not None  # noqa: S101 - tells the type checker that `_part` found something in it
    rows = opened.memory.passes(history.HISTORY_ROWS)
    reference = pinning.image_of(part.item)
    built = next((one for one in opened.images_shown(known) if one.function == function), None)
    row = _row(applied, rows)
    hold = next((one for one in known.holds if one.revision == applied.revision), None)
    return {
        "function": function,
        "foreign": part.entry is None,
        "image": {"reference": reference, "digest": references.split(reference).digest, **_built(built)},
        "entry": part.entry,
        "artifact": {"file": part.file, "line": part.item.line} if part.file else None,
        "revision": applied.revision,
        "git": _git(applied, rows, known),
        "applied": {
            "at": applied.applied_at,
            "generation": applied.generation or None,
            "outcome": row.reason if row else None,
            "message": row.message if row else "",
        },
        "changed": _changed(opened, function),
        "held": {"reason": hold.reason, "since": hold.since} if hold else None,
    }


def _part(known: record.Record, function: str) -> record.AppliedItem:
    live = known.applied.items if known.applied else ()
    functions = {part.item.key.name: part for part in live if part.item.key.kind is items.Kind.FUNCTION}
    if function not in functions:
        where = "in the live set" if known.applied else "here: nothing was applied yet"
        hint = settings_environment.nearest(function, functions)
        raise errors.ControllerError("Usage", f"no function {function!r} {where}{hint}")
    return functions[function]


def _built(built: image_inputs.ImageRecord | None) -> dict[str, Any]:
    """What it was made from; of an image that is not made here, nothing."""
    if built is None:
        return {"built": False, "input_digest": None, "bases": []}
    bases = [{"reference": base.reference, "digest": base.digest} for base in built.bases]
    return {"built": True, "input_digest": built.input_digest or None, "bases": bases}


def _row(applied: record.AppliedSet, rows: Sequence[history.HistoryRow]) -> history.HistoryRow | None:
    """The pass that made the set live; None when it is too long ago to be listed."""
    wanted = (history.APPLIED, applied.revision, applied.applied_at)
    return next((row for row in rows if (row.result, row.revision, row.last_at) == wanted), None)


def _git(applied: record.AppliedSet, rows: Sequence[history.HistoryRow], known: record.Record) -> dict[str, str] | None:
    """Ref and commit that the revision was read from. A rollback reads none: then they are those of the pass before."""
    of_revision = (row for row in rows if row.result == history.APPLIED and row.revision == applied.revision)
    row = next((row for row in of_revision if row.commit), None)
    if row is not None:
        return {"ref": row.ref, "commit": row.commit}
    last = next((row for row in rows if row.result == history.APPLIED), None)
    if known.commit and last is None:
        return {"ref": known.ref, "commit": known.commit}
    return None


def _changed(opened: "target.Target", function: str) -> dict[str, str] | None:
    """What last happened to this function alone; None when it is too long ago to be listed."""
    events = opened.memory.events(history.EVENT_ROWS)
    row = next((one for one in events if one.subject == f"function {function}"), None)
    if row is None:
        return None
    return {"at": row.at, "reason": row.reason, "message": row.message, "revision": row.revision}


def lines(shown: dict[str, Any]) -> Iterator[str]:
    """The same for people, from the running image back to the pass."""
    yield f"function    {shown['function']}"
    yield from _image_lines(shown["image"])
    if shown["foreign"]:
        yield "entry       none: it is not ours. It was in CONFIG_DIR before, and is kept"
    else:
        place = shown["artifact"]
        yield f"entry       {shown['entry']}"
        yield (
            f"artifact    {place['file']}:{place['line']}"
            if place
            else "artifact    not recorded (applied by an older controller)"
        )
    git = shown["git"]
    yield f"revision    {digest.short(shown['revision'])}" + (
        f", commit {git['commit']} of {git['ref']}" if git else ""
    )
    yield from _pass_lines(shown)


def _image_lines(image: dict[str, Any]) -> Iterator[str]:
    yield f"image       {image['reference'] or 'none'}"
    if image["built"]:
        made = digest.short(image["input_digest"]) if image["input_digest"] else "no longer known"
        yield f"input       {made}"
        for base in image["bases"]:
            yield f"base        {base['reference']}" + (f" ({digest.short(base['digest'])})" if base["digest"] else "")
    else:
        yield "input       none: the image is not built here"


def _pass_lines(shown: dict[str, Any]) -> Iterator[str]:
    applied, changed, held = shown["applied"], shown["changed"], shown["held"]
    where = "as plain files" if applied["generation"] is None else f"as generation {applied['generation']}"
    yield f"applied     {applied['at']} {where}, {applied['outcome'] or 'by a pass that is no longer listed'}"
    if changed:
        revision = digest.short(changed["revision"])
        yield f"changed     {changed['at']} {changed['reason']}: {changed['message']} (revision {revision})"
    if held:
        yield f"held        since {held['since']}: {held['reason']}"
