"""CONFIG_DIR's documents as items, leniently: what is there may have been edited by anybody.

The counterpart of `manifests.entry_files`, which refuses; here a bad part is named and set aside, so that one foreign
route that no consumer could take does not hide everything else. Opens nothing: the bytes are an argument.
"""

from collections.abc import Mapping

from core import documents as rules
from core import grammar, items, observed, problems
from manifests import entry_files, rendering, yaml_builder, yaml_text

LIMITS = yaml_builder.Limits(max_bytes=64 << 20, max_values=8_000_000)
"""A published document holds all entries, so it may be larger than any of them."""


def read(
    documents: Mapping[items.Document, bytes | None], *, allowed_names: frozenset[str] = grammar.DEFAULT_NAMES
) -> observed.ObservedItems:
    """All items of the documents, in their order. A document that is missing or that cannot be read has none, and one
    problem says so; an item with an error is in `invalid`. Never raises for content."""
    found: dict[items.ItemKey, items.Item] = {}
    invalid: set[items.ItemKey] = set()
    wrong: list[problems.Problem] = []
    for document in items.Document:
        content = documents.get(document)
        if content is None:
            continue
        parsed = yaml_text.parse(content, file=str(document), limits=LIMITS, positions_depth=2)
        checked = _check(document, parsed.value, allowed_names) if parsed.value is not None else rules.Checked()
        errors = [_located(document, finding, parsed) for finding in checked.errors]
        wrong += [*parsed.problems, *errors]
        try:
            cut = entry_files.cut(checked.parts, parsed.positions)
        except rendering.RenderingError as error:
            wrong.append(problems.Problem(str(document), 0, 0, "", f"cannot be carried over: {error}"))
            continue
        found.update((item.key, item) for item in cut)
        invalid |= checked.invalid | _touched(checked.parts, parsed.problems)
    return observed.ObservedItems(found, frozenset(invalid), tuple(wrong))


def _check(document: items.Document, value: object, allowed_names: frozenset[str]) -> rules.Checked:
    match document:
        case items.Document.FUNCTIONS:
            return rules.check_functions(value, allowed_names=allowed_names)
        case items.Document.ROUTING:
            return rules.check_routing(value)
        case items.Document.RESOURCES:
            return rules.check_resources(value)


def _located(document: items.Document, finding: problems.Finding, parsed: yaml_text.Parsed) -> problems.Problem:
    """The nearest place that is known: that of the item, which is what a person looks for."""
    places = (parsed.positions.get(finding.path[:length]) for length in range(len(finding.path), -1, -1))
    line, column = next((place for place in places if place is not None), (0, 0))
    return problems.Problem(
        str(document), line, column, problems.format_path(finding.path), finding.message, finding.severity
    )


def _touched(parts: tuple[rules.Part, ...], wrong: tuple[problems.Problem, ...]) -> frozenset[items.ItemKey]:
    """The items that problems of the text itself (a key twice, an ambiguous value) stand in or below."""
    keys = [problem.key for problem in wrong]
    return frozenset(
        part.key
        for part in parts
        if keys and any(key == path or key.startswith((f"{path}.", f"{path}[")) for key in keys
                        for path in (problems.format_path(part.path),))
    )
