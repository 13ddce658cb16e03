"""What every document has to be before its own rules are asked: plain values, text keys, a bounded depth.

Owns the one walk over a whole document. It is total: any value at all gives findings, never an exception, so that
the rules after it (and digests, and rendering) may rely on the plain shape. The rules of single keys are in
`core.documents` and `core.models`.
"""

from collections.abc import Iterator

from core import grammar, problems

DEEPEST = 64
"""contract.md section 4, Document validity: nesting."""

_WIDEST_INTEGER = 2**63
_SCALARS = (bool, float, type(None))


def findings(value: object, *, allowed_names: frozenset[str] | None = None) -> list[problems.Finding]:
    """Everything in the value that no consumer's parser could take, in document order.

    With `allowed_names`, also every `${NAME}` that is not on the list, in values and keys (consumers.md GW11).
    """
    walk = _Walk(allowed_names)
    walk.visit((), value)
    return walk.found


class _Walk:
    """One pass over one value; collects into `found`."""

    def __init__(self, allowed_names: frozenset[str] | None) -> None:
        self.found: list[problems.Finding] = []
        self._allowed_names = allowed_names

    def visit(self, path: problems.KeyPath, value: object) -> None:
        """Look at the value at `path` and at everything below."""
        if isinstance(value, str):
            self._visit_text(path, value, at_key=False)
        elif isinstance(value, dict | list) and len(path) >= DEEPEST:
            self._add(path, f"is nested deeper than {DEEPEST} levels")
        elif isinstance(value, dict):
            self._visit_mapping(path, value)
        elif isinstance(value, list):
            for position, child in enumerate(value):
                self.visit((*path, position), child)
        elif not isinstance(value, _SCALARS):
            self._visit_rare(path, value)

    def _visit_mapping(self, path: problems.KeyPath, value: dict[object, object]) -> None:
        for key, child in value.items():
            if not isinstance(key, str):
                self._add(path, "has a key that is not text: quote it")
                continue
            if "${" in key or not key.isascii():
                self._visit_text((*path, key), key, at_key=True)
            # The two commonest kinds are looked at here: one call and one path less for most values of a document.
            if type(child) is str:
                if "${" in child or not child.isascii():
                    self._visit_text((*path, key), child, at_key=False)
            elif type(child) is not int or abs(child) >= _WIDEST_INTEGER:
                self.visit((*path, key), child)

    def _visit_text(self, path: problems.KeyPath, text: str, *, at_key: bool) -> None:
        for sentence in _text_problems(text, self._allowed_names):
            self._add(path, sentence, at_key=at_key)

    def _visit_rare(self, path: problems.KeyPath, value: object) -> None:
        if not isinstance(value, int):
            self._add(path, "is not a plain value (a date, for example): quote it")
        elif abs(value) >= _WIDEST_INTEGER:
            self._add(path, "is a whole number of more than 64 bits: quote it if it is meant as text")

    def _add(self, path: problems.KeyPath, sentence: str, *, at_key: bool = False) -> None:
        self.found.append(problems.Finding(path, sentence, at_key=at_key))


def _text_problems(text: str, allowed_names: frozenset[str] | None) -> Iterator[str]:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        yield "must be valid Unicode: it has a lone surrogate"
    if allowed_names is not None and "${" in text:
        yield from grammar.reference_problems(text, allowed_names)
