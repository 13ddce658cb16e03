"""The rows of the state database: from values to bytes and back, each with a checksum.

Owns the schema and the formats. A row that does not match its checksum, or does not read back, is `Damaged`; nothing
here decides what to do about that, and nothing opens a file.
"""

import hashlib
import json
import sqlite3
import zlib
from dataclasses import asdict
from typing import Any

from controller import database, history, remembered
from core import compatibility, image_inputs, items, record

VERSION = 5
"""The schema version. Raise it with every change that an older controller would misread (faults.md L6)."""

OLDEST = 1
"""The oldest version that is read; the next write brings it up to date. Version 1 knew no images and no provisioner,
version 2 no commits, no repairs, and of the stack nothing that a manifest said; version 3 no refs, and no commits in
the history; version 4 neither a claim nor the file that an item stood in."""

SCHEMA = (
    f"PRAGMA user_version={VERSION}",
    "CREATE TABLE record (id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB NOT NULL, checksum BLOB NOT NULL)",
    "CREATE TABLE item_sets (digest TEXT PRIMARY KEY, content BLOB NOT NULL)",
    *history.SCHEMA,
)

_KINDS = {str(kind): kind for kind in items.Kind}


def read(connection: sqlite3.Connection) -> remembered.Stored:
    """What is stored. Raises `Damaged`."""
    rows = connection.execute("SELECT body, checksum FROM record").fetchall()
    if len(rows) != 1:
        raise database.Damaged("its record is missing")
    body, checksum = rows[0]
    if not isinstance(body, bytes) or history.seal(body) != checksum:
        raise database.Damaged("its record does not match its checksum")
    try:
        return _decoded(json.loads(body))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise database.Damaged("its record has an unknown shape") from error


def write(connection: sqlite3.Connection, stored: remembered.Stored) -> None:
    """Replace what is stored, and drop the items of sets that are not kept any more."""
    body = json.dumps(_encoded(stored)).encode()
    connection.execute(
        "INSERT OR REPLACE INTO record (id, body, checksum) VALUES (1, ?, ?)", (body, history.seal(body))
    )
    connection.execute(f"PRAGMA user_version={VERSION}")
    kept = {known.items_digest for known in stored.sets}
    marks = ",".join("?" * len(kept))
    connection.execute(f"DELETE FROM item_sets WHERE digest NOT IN ({marks})", sorted(kept))


def add_items(connection: sqlite3.Connection, content: bytes) -> str:
    """Store what `packed` made under its digest, once, and return the digest. A damaged copy is replaced."""
    digest = hashlib.sha256(content).hexdigest()
    connection.execute(
        "INSERT INTO item_sets (digest, content) VALUES (?, ?) ON CONFLICT DO UPDATE SET content = excluded.content "
        "WHERE content IS NOT excluded.content",
        (digest, content),
    )
    return digest


def read_items(connection: sqlite3.Connection, digest: str) -> tuple[record.AppliedItem, ...]:
    """The items stored under a digest. Raises `Damaged`."""
    rows = connection.execute("SELECT content FROM item_sets WHERE digest = ?", (digest,)).fetchall()
    if not rows:
        raise database.Damaged("the documents of an applied set are missing")
    content = rows[0][0]
    if not isinstance(content, bytes) or hashlib.sha256(content).hexdigest() != digest:
        raise database.Damaged("the documents of an applied set do not match their checksum")
    try:
        return unpacked(content)
    except (ValueError, TypeError, KeyError, zlib.error) as error:
        raise database.Damaged("the documents of an applied set have an unknown shape") from error


def packed(applied: tuple[record.AppliedItem, ...]) -> bytes:
    """Items by column, as compressed JSON: columns compress better than rows, and read back in a third of the time."""
    parts = [part.item for part in applied]
    files = list(dict.fromkeys(part.file for part in applied))
    position = {file: number for number, file in enumerate(files)}
    columns: tuple[list[Any], ...] = (
        [part.key.kind for part in parts],
        [part.key.name for part in parts],
        [part.digest for part in parts],
        [part.text for part in parts],
        [part.line for part in parts],
        [part.target for part in parts],
        [part.entry for part in applied],
        files,
        [position[part.file] for part in applied],
    )
    return zlib.compress(json.dumps(columns, separators=(",", ":")).encode(), level=1)


def unpacked(content: bytes) -> tuple[record.AppliedItem, ...]:
    """The items that `packed` was given."""
    kinds, names, digests, texts, lines, targets, entries, *since_5 = json.loads(zlib.decompress(content))
    keys = map(items.ItemKey, map(_KINDS.__getitem__, kinds), names)
    made = map(items.Item, keys, digests, texts, lines, targets)
    if not since_5:
        return tuple(map(record.AppliedItem, made, entries))
    files, positions = since_5
    return tuple(map(record.AppliedItem, made, entries, map(files.__getitem__, positions)))


def _encoded(stored: remembered.Stored) -> dict[str, Any]:
    facts = stored.facts
    return {
        "attempted_revision": facts.attempted_revision,
        "intended": [(each.key.kind, each.key.name, each.entry, each.digest) for each in facts.intended],
        "pass_digest": facts.pass_digest,
        "notes": list(facts.notes),
        "newest_mtime_s": facts.newest_mtime_s,
        "doubtful_generation": facts.doubtful_generation,
        "holds": [asdict(hold) for hold in facts.holds],
        "suspension": asdict(facts.suspension) if facts.suspension else None,
        "conditions": [asdict(condition) for condition in facts.conditions.values()],
        "images": [asdict(image) for image in facts.images],
        "provisioned_digest": facts.provisioned_digest,
        "base_tag": facts.base_tag,
        "commit": facts.commit,
        "ref": facts.ref,
        "project": facts.project,
        "repairs": asdict(facts.repairs) if facts.repairs else None,
        "unconverged": [(one.key.kind, one.key.name, one.made, one.digest, one.revision) for one in facts.unconverged],
        "claim": asdict(facts.claim) if facts.claim else None,
        "rebuilt": facts.rebuilt,
        "sets": [_encoded_set(known) for known in stored.sets],
    }


def _encoded_set(known: remembered.StoredSet) -> dict[str, Any]:
    applied = known.applied
    return {
        "id": applied.id,
        "revision": applied.revision,
        "generation": applied.generation,
        "desired_digest": applied.desired_digest,
        "document_digests": {str(document): digest for document, digest in applied.document_digests.items()},
        "applied_at": applied.applied_at,
        "project": applied.project,
        "requirement": asdict(applied.requirement) if applied.requirement else None,
        "items": known.items_digest,
    }


def _decoded(body: dict[str, Any]) -> remembered.Stored:
    conditions = [record.Condition(**row) for row in body["conditions"]]
    facts = record.Record(
        attempted_revision=body["attempted_revision"],
        intended=tuple(
            record.Intended(items.ItemKey(_KINDS[kind], name), entry, digest)
            for kind, name, entry, digest in body.get("intended", ())
        ),
        pass_digest=body["pass_digest"],
        notes=tuple(body["notes"]),
        newest_mtime_s=body["newest_mtime_s"],
        doubtful_generation=body["doubtful_generation"],
        holds=tuple(record.Hold(**row) for row in body["holds"]),
        suspension=record.Suspension(**body["suspension"]) if body["suspension"] else None,
        conditions={condition.type: condition for condition in conditions},
        images=tuple(_decoded_image(row) for row in body.get("images", ())),
        provisioned_digest=body.get("provisioned_digest", ""),
        base_tag=body.get("base_tag", ""),
        commit=body.get("commit", ""),
        ref=body.get("ref", ""),
        project=body.get("project", ""),
        repairs=record.Repairs(**body["repairs"]) if body.get("repairs") else None,
        unconverged=tuple(
            record.Unconverged(items.ItemKey(_KINDS[kind], name), *rest)
            for kind, name, *rest in body.get("unconverged", ())
        ),
        claim=record.Claim(**body["claim"]) if body.get("claim") else None,
        rebuilt=body["rebuilt"],
    )
    return remembered.Stored(facts, tuple(_decoded_set(row) for row in body["sets"]))


def _decoded_image(row: dict[str, Any]) -> image_inputs.ImageRecord:
    bases = tuple(image_inputs.Base(**base) for base in row["bases"])
    return image_inputs.ImageRecord(**{**row, "bases": bases})


def _decoded_set(row: dict[str, Any]) -> remembered.StoredSet:
    documents = {items.Document(name): digest for name, digest in row["document_digests"].items()}
    applied = record.AppliedSet(
        id=row["id"],
        revision=row["revision"],
        generation=row["generation"],
        desired_digest=row["desired_digest"],
        document_digests=documents,
        applied_at=row["applied_at"],
        project=row.get("project", ""),
        requirement=compatibility.Requirement(**row["requirement"]) if row.get("requirement") else None,
    )
    return remembered.StoredSet(applied, row["items"])
