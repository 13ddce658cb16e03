"""Whose a CONFIG_DIR is: the rule by which a second controller is refused (faults.md B8). Pure.

Every CONFIG_DIR names its owner in a file, and the record of a target names the id under which it owns one. Both are
compared before anything is planned; `controller.owners` reads and writes them. Owns the rule and the content of the
file. Decides nothing about what is published.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from core import record

NAME = ".controller-owner"
"""The file in CONFIG_DIR."""

UNNAMED = "default"
"""The name of a target that nobody named: it tells nothing apart."""

_VERSION = 1


class Manner(StrEnum):
    """What somebody is about to do with a CONFIG_DIR."""

    FOLLOWS = "follows"
    """Keep it converged with a source: this claims it."""
    ONCE = "once"
    """Apply one artifact. Claims nothing, so that anybody may follow; where somebody keeps it, it would be undone."""
    STEERS = "steers"
    """Suspend, hold, roll back: needs no source."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source by its identity, without credentials and ref: a kind, a word for people, and a short digest."""

    kind: str
    word: str
    digest: str

    def __str__(self) -> str:
        return f"{self.kind} {self.word} ({self.digest})"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who keeps a CONFIG_DIR, as its file says. `project` is the manifest's, "" while unknown. Without `sources` one
    artifact was put there for good. `since` is an ISO time."""

    id: str
    name: str = ""
    project: str = ""
    sources: tuple[Source, ...] = ()
    since: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command is about to do: `project` is that of the artifact that it read, "" for none."""

    manner: Manner
    project: str = ""
    take_over: bool = False


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who asks: `name` is "" for a target that nobody named."""

    asked: Asked
    name: str = ""
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What CONFIG_DIR says. `damaged` is why its file cannot be read as one, "" for none. `same_folder` says that this
    is the folder that the record's claim was made for, `elsewhere` names another one that still shows that claim."""

    owner: Owner | None = None
    damaged: str = ""
    same_folder: bool = False
    elsewhere: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refusal` says in words why this one may not, "" when it may. `claim` is what to write before anything else is
    done (an `id` or a `since` of "" is to be made up), None for nothing. `foreign_record` says that the record is the
    owner's and not that of the one refused, who must not write there either."""

    refusal: str = ""
    claim: Owner | None = None
    foreign_record: bool = False


OURS = Verdict()
"""Nothing in the way, and nothing to write."""


def judge(asks: Claimant, found: Found, claimed: record.Claim | None) -> Verdict:
    """Whether CONFIG_DIR is theirs, and what to write down. `claimed` is the record's side."""
    refusal = _refusal(asks, found, claimed)
    wanted = Owner("", asks.name, asks.asked.project, asks.sources)
    if refusal and not asks.asked.take_over:
        theirs = claimed is not None and found.owner is not None and found.owner.id == claimed.id
        return Verdict(refusal, foreign_record=theirs or bool(found.elsewhere))
    if refusal:
        once = asks.asked.manner is Manner.ONCE
        return Verdict(claim=Owner("", project=wanted.project) if once else wanted)
    if asks.asked.manner is not Manner.FOLLOWS:
        return Verdict()
    owner = found.owner
    if owner is None:
        kept = claimed.id if claimed is not None and found.same_folder else ""
        return Verdict(claim=Owner(kept, wanted.name, wanted.project, wanted.sources))
    now = Owner(owner.id, asks.name or owner.name, asks.asked.project or owner.project, asks.sources, owner.since)
    known = claimed is not None and claimed.id == owner.id
    return Verdict() if known and now == owner else Verdict(claim=now)


def _refusal(asks: Claimant, found: Found, claimed: record.Claim | None) -> str:
    """Why this one may not, in words; "" when it may."""
    if found.elsewhere:
        return f"the record in the state directory is that of another CONFIG_DIR, {found.elsewhere}"
    if found.damaged:
        return _of_damage(asks.asked.manner, found, claimed)
    owner = found.owner
    if owner is None:
        return ""
    why = _why(asks, owner) or _of_ids(asks, owner, found, claimed)
    return f"CONFIG_DIR is kept by {words(owner)}; {why}" if why else ""


def _of_damage(manner: Manner, found: Found, claimed: record.Claim | None) -> str:
    """A file that was torn heals where the record says whose it was; else nobody can know."""
    healing = manner is Manner.FOLLOWS and claimed is not None and found.same_folder
    if healing or manner is Manner.STEERS:
        return ""
    return f"{NAME} in CONFIG_DIR does not say any more who keeps it: {found.damaged}"


def _why(asks: Claimant, owner: Owner) -> str:
    """What tells the settings of the one who asks from the owner's."""
    shared = set(asks.sources) & set(owner.sources)
    if asks.asked.manner is Manner.ONCE:
        same = shared and (not asks.asked.project or asks.asked.project == owner.project)
        return "" if same or not owner.sources else "what is put there once, it would undo"
    if asks.name and owner.name and asks.name != owner.name:
        return f"this is target {asks.name}"
    if asks.asked.manner is Manner.FOLLOWS and not shared:
        return f"this one follows {_listed(asks.sources)}"
    return ""


def _of_ids(asks: Claimant, owner: Owner, found: Found, claimed: record.Claim | None) -> str:
    """What tells the record of the one who asks from the owner's. The id before the present one counts where a claim
    was cut short between record and file."""
    if asks.asked.manner is Manner.ONCE:
        return ""
    if claimed is not None:
        known = owner.id == claimed.id or (owner.id == claimed.previous and found.same_folder)
        return "" if known else "this one has a record of another owner: it was taken over, or claimed anew"
    project = asks.asked.project
    if project and owner.project and project != owner.project:
        return f"this one has no record, and its artifact is of project {project}"
    return ""


def words(owner: Owner) -> str:
    """An owner for people: ``target shop (project esb-dev), which follows git shop (1f0c…), since …``."""
    named = f"target {owner.name}" if owner.name else "a target without a name"
    of_project = f" (project {owner.project})" if owner.project else ""
    follows = f", which follows {_listed(owner.sources)}" if owner.sources else ", put there once by `deploy`"
    return f"{named}{of_project}{follows}, since {owner.since}"


def _listed(sources: tuple[Source, ...]) -> str:
    return ", ".join(map(str, sources)) or "no source"


def encoded(owner: Owner) -> bytes:
    """The content of the file."""
    body = {
        "version": _VERSION,
        "id": owner.id,
        "name": owner.name,
        "project": owner.project,
        "sources": [{"kind": one.kind, "name": one.word, "digest": one.digest} for one in owner.sources],
        "since": owner.since,
    }
    return json.dumps(body).encode() + b"\n"


def decoded(content: bytes) -> Owner | str:
    """The owner that a file names; in words, what is wrong with it. What a newer version added is left unread."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return "it is not JSON"
    if not isinstance(body, dict) or body.get("version") != _VERSION:
        return f"it is not of version {_VERSION}"
    try:
        sources = tuple(_source(one) for one in body["sources"])
        owner = Owner(_text(body, "id"), _text(body, "name"), _text(body, "project"), sources, _text(body, "since"))
    except (KeyError, TypeError):
        return "a part of it is missing"
    return owner if owner.id else "it has no id"


def _source(row: Mapping[str, Any]) -> Source:
    return Source(_text(row, "kind"), _text(row, "name"), _text(row, "digest"))


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row[key]
    if not isinstance(value, str):
        raise TypeError(key)
    return value
