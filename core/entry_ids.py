"""The ids of a manifest's entries: which one each must have, and what is wrong with those that are there.

Works on entries as parsed, valid or not, so that a wrong id is reported together with everything else that is wrong
(`core.models`), and so that ids can be set in a manifest that is not valid yet. How an id is made is in
`core.identity`.
"""

from collections.abc import Iterator
from typing import TypeGuard

from core import grammar, identity, problems


def computed(entry: object, *, require_ids: bool = True) -> str | None:
    """The id that an entry (as parsed) must have, or None when what it is computed from is missing or wrong."""
    if not isinstance(entry, dict):
        return None
    template = entry.get("source_template")
    if template is None:
        root = entry.get("artifact_root")
        return identity.id_of_root(root) if not require_ids and _is_name(root) else None
    if not isinstance(template, dict) or not _is_name(template.get("path")):
        return None
    parameters, sha256 = template.get("parameters") or {}, template.get("sha256") or ""
    if not isinstance(sha256, str) or not isinstance(parameters, dict):
        return None
    if not all(isinstance(text, str) for pair in parameters.items() for text in pair):
        return None
    return identity.entry_id(template["path"], parameters, sha256)


def findings(entries: list[object], *, require_ids: bool) -> Iterator[problems.Finding]:
    """Missing, malformed, mismatching and repeated ids, at key paths of the manifest: contract.md sections 3 and 9."""
    seen: dict[str, int] = {}
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            continue
        path: problems.KeyPath = ("artifacts", position)
        if require_ids and entry.get("source_template") is None:
            yield problems.Finding(path, "'source_template' is missing")
        given = entry.get("id")
        expected = computed(entry, require_ids=require_ids)
        problem = _id_problem(given, expected, require_ids=require_ids)
        if problem:
            yield problems.Finding(path if given in (None, "") else (*path, "id"), problem)
        names = {name for name in (given, expected) if isinstance(name, str) and name}
        earlier = sorted({seen[name] for name in names if name in seen})
        if earlier:
            yield problems.Finding(path, f"has the same id as artifacts[{earlier[0]}]: ids must be unique")
        for name in names:
            seen.setdefault(name, position)


def _id_problem(given: object, expected: str | None, *, require_ids: bool) -> str | None:
    way_out = "'controller manifest sync-ids' sets it"
    if given is None or given == "":
        if not require_ids:
            return None
        return "'id' is missing" + (f": it must be {expected}; {way_out}" if expected else "")
    if not isinstance(given, str):
        return None
    if expected is None:
        return None if identity.ID_PATTERN.fullmatch(given) else grammar.SENTENCES[grammar.ENTRY_ID]
    if given != expected:
        return f"is {grammar.shown(given)}, but must be {expected}; {way_out}"
    return None


def _is_name(text: object) -> TypeGuard[str]:
    return isinstance(text, str) and grammar.text_problem(text) is None
