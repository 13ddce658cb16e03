"""The fold: `artifacts[]` entries, from empty, in order, into the one desired set of items (contract.md section 4).

Stands between reading (`manifests.checkout`) and planning (`core.plan`). Looks at nothing but the entries: what is on
disk already is the diff's business.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from core import desired, items, problems


def fold(
    entries: Sequence[desired.Entry],
    *,
    revision: str,
    required_secrets: tuple[str, ...] = (),
    warnings: tuple[problems.Problem, ...] = (),
) -> desired.Desired:
    """Fold entries in `artifacts[]` order. `warnings` are those of the manifest; the entries' own are added.

    The result is a function of the ordered entries alone: same entries, same items in the same order.
    """
    winners: dict[items.ItemKey, tuple[items.Item, desired.Entry]] = {}
    losers: dict[items.ItemKey, list[str]] = {}
    for entry in entries:
        for item in entry.content.items:
            _fold_item(winners, losers, item, entry)
    ordered = sorted(winners, key=lambda key: items.KIND_ORDER[key.kind])
    wanted = {key: winners[key][0] for key in ordered}
    provenance = {
        key: desired.Provenance(
            entry=winners[key][1].id,
            file=f"{winners[key][1].config_dir}/{key.kind.document}",
            line=winners[key][0].line,
            overrides=tuple(losers.get(key, ())),
        )
        for key in ordered
    }
    return desired.Desired(
        revision=revision,
        items=wanted,
        provenance=provenance,
        builds=tuple(_builds(entries, provenance)),
        required_secrets=required_secrets,
        warnings=(
            *warnings,
            *(warning for entry in entries for warning in entry.content.warnings),
            *_overrides(provenance),
            *_routes_to_nowhere(wanted, provenance),
        ),
    )


def _builds(
    entries: Sequence[desired.Entry], provenance: Mapping[items.ItemKey, desired.Provenance]
) -> Iterator[tuple[str, str]]:
    """Dockerfiles of functions that are declared, and of the entry whose declaration won (contract.md section 5)."""
    for entry in entries:
        for function in entry.builds:
            origin = provenance.get(items.ItemKey(items.Kind.FUNCTION, function))
            if origin is not None and origin.entry == entry.id:
                yield entry.id, function


def _fold_item(
    winners: dict[items.ItemKey, tuple[items.Item, desired.Entry]],
    losers: dict[items.ItemKey, list[str]],
    item: items.Item,
    entry: desired.Entry,
) -> None:
    standing = winners.get(item.key)
    if standing is None:
        winners[item.key] = (item, entry)
        return
    first_wins = item.key.kind in items.DEFAULT_KINDS
    loser = entry if first_wins else standing[1]
    winner = standing[1] if first_wins else entry
    if loser.id != winner.id:
        losers.setdefault(item.key, []).append(loser.id)
    if not first_wins:
        winners[item.key] = (item, entry)


def _overrides(provenance: Mapping[items.ItemKey, desired.Provenance]) -> Iterable[problems.Problem]:
    """Two entries that name the same function, route or resource: deterministic, but worth saying (faults.md C7).

    Defaults are not reported: every entry brings them, and "the first wins" is their everyday case.
    """
    for key, origin in provenance.items():
        if origin.overrides and key.kind not in items.DEFAULT_KINDS:
            yield _warning(key, origin, f"entry {origin.entry} replaces the one of {', '.join(origin.overrides)}")


def _routes_to_nowhere(
    wanted: Mapping[items.ItemKey, items.Item], provenance: Mapping[items.ItemKey, desired.Provenance]
) -> Iterable[problems.Problem]:
    """Contract.md, Document validity: a route to a function that no entry defines is a warning."""
    for key, item in wanted.items():
        target = items.ItemKey(items.Kind.FUNCTION, item.target)
        if key.kind is items.Kind.ROUTE and target not in wanted:
            message = f"no entry defines the function {item.target!r} that this route calls"
            yield _warning(key, provenance[key], message)


def _warning(key: items.ItemKey, origin: desired.Provenance, message: str) -> problems.Problem:
    column = 1 if origin.line else 0
    name = f"{key.kind} {key.name}"
    return problems.Problem(origin.file, origin.line, column, name, message, problems.Severity.WARNING)
