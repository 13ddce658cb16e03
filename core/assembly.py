"""Items back to documents: the last step before a publish, and pure text.

Each item brings its own block text at column 0 (`manifests.rendering`); here it is indented and put under the headings
of contract.md section 4. Items never hold a scalar of several lines, so indenting is putting spaces before each line.
Knows no YAML beyond these headings.
"""

from collections.abc import Iterable, Mapping

from core import items

_Texts = dict[items.Kind, list[str]]


def assemble(wanted: Iterable[items.Item]) -> Mapping[items.Document, bytes]:
    """The bytes of all three documents, always (consumers.md GW12), from items in publishing order.

    Items are grouped by kind and keep their order within it; empty sections are left out, and an empty document says
    so (``functions: {}``).
    """
    texts: _Texts = {kind: [] for kind in items.Kind}
    for item in wanted:
        texts[item.key.kind].append(item.text)
    documents = {
        items.Document.FUNCTIONS: _functions(texts),
        items.Document.ROUTING: _block("routes", texts[items.Kind.ROUTE], "[]"),
        items.Document.RESOURCES: _resources(texts),
    }
    return {document: text.encode() for document, text in documents.items()}


def _functions(texts: _Texts) -> str:
    defaults = (
        _section("environment", texts[items.Kind.DEFAULT_ENVIRONMENT]),
        _section("scaling", texts[items.Kind.DEFAULT_SCALING]),
        *texts[items.Kind.DEFAULT],
    )
    return _section("defaults", defaults) + _block("functions", texts[items.Kind.FUNCTION], "{}")


def _resources(texts: _Texts) -> str:
    sections = (
        _section("dynamodb", texts[items.Kind.TABLE]),
        _section("s3", texts[items.Kind.BUCKET]),
        _section("layers", texts[items.Kind.LAYER]),
    )
    return _block("resources", sections, "{}")


def _block(heading: str, texts: Iterable[str], empty: str) -> str:
    """A heading that is always there."""
    return _section(heading, texts) or f"{heading}: {empty}\n"


def _section(heading: str, texts: Iterable[str]) -> str:
    """The texts, indented by two, under a heading; nothing at all without texts."""
    body = "".join(texts)
    if not body:
        return ""
    indented = body.removesuffix("\n").replace("\n", "\n  ")
    return f"{heading}:\n  {indented}\n"
