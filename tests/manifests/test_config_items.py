"""A6, A7, F1: CONFIG_DIR's documents read leniently; each fault is put on an item, a document, or the whole reading."""

import pytest

from core import items, observed
from core.items import Document, ItemKey, Kind
from manifests import config_items

GOOD = {
    Document.FUNCTIONS: b'functions:\n  a: {image: "r/a:1"}\n  b: {image: "r/b:1"}\n',
    Document.ROUTING: b"routes:\n  - {path: /a, function: a}\n  - {path: /b, method: POST, function: b}\n",
    Document.RESOURCES: b"resources:\n  dynamodb:\n    - {TableName: t}\n",
}


def _read(document: Document, content: bytes | None) -> observed.ObservedItems:
    return config_items.read({**GOOD, document: content})


def _names(seen: observed.ObservedItems, kind: Kind) -> list[str]:
    return [key.name for key in seen.items if key.kind is kind]


def test_what_is_in_order_has_no_faults() -> None:
    seen = config_items.read(GOOD)
    assert _names(seen, Kind.FUNCTION) == ["a", "b"]
    assert _names(seen, Kind.ROUTE) == ["/a:GET", "/b:POST"]
    assert _names(seen, Kind.TABLE) == ["t"]
    assert (seen.invalid, seen.damaged, seen.unreadable, seen.problems) == (frozenset(), frozenset(), frozenset(), ())


def test_a_missing_document_has_no_items_and_no_fault() -> None:
    seen = _read(Document.ROUTING, None)
    assert _names(seen, Kind.ROUTE) == []
    assert seen.damaged == frozenset()


@pytest.mark.parametrize(
    ("document", "content"),
    [
        pytest.param(Document.FUNCTIONS, GOOD[Document.FUNCTIONS] + b"functions: {}\n", id="functions-twice"),
        pytest.param(Document.FUNCTIONS, GOOD[Document.FUNCTIONS] + b"defaults: 5\n", id="defaults-no-mapping"),
        pytest.param(Document.FUNCTIONS, GOOD[Document.FUNCTIONS] + b'  5: {image: "r/x:1"}\n', id="a-name-no-text"),
        pytest.param(Document.FUNCTIONS, b"functions:\n", id="functions-null"),
        pytest.param(Document.ROUTING, GOOD[Document.ROUTING] + b"  - null\n", id="a-null-route"),
        pytest.param(
            Document.ROUTING,
            GOOD[Document.ROUTING] + b"  - {path: /x, method: 5, function: a}\n",
            id="a-numeric-method",
        ),
        pytest.param(Document.ROUTING, b"routes: 5\n", id="routes-no-list"),
        pytest.param(
            Document.ROUTING,
            b"routes:\n  - {path: /a, function: evil}\n" + GOOD[Document.ROUTING][8:],
            id="route-twice",
        ),
        pytest.param(Document.RESOURCES, b"resources: {dynamodb: [5]}\n", id="a-resource-no-mapping"),
        pytest.param(Document.RESOURCES, b"[]\n", id="resources-a-list"),
    ],
)
def test_a_fault_around_the_items_damages_the_document(document: Document, content: bytes) -> None:
    seen = _read(document, content)
    assert seen.damaged == {document}
    assert seen.unreadable == frozenset()


@pytest.mark.parametrize(
    "content", [b"{{{", b"functions: {a: 1}\n---\nb: 1\n", b"\xff\xfe", b"functions:\n\t- x\n", b"a: [1, 2\n"]
)
def test_what_cannot_be_read_at_all_is_told_apart(content: bytes) -> None:
    seen = _read(Document.FUNCTIONS, content)
    assert seen.unreadable == {Document.FUNCTIONS}
    assert seen.damaged == {Document.FUNCTIONS}
    assert _names(seen, Kind.ROUTE) == ["/a:GET", "/b:POST"]
    assert seen.problems


@pytest.mark.parametrize(
    "route", [b"{path: /x(, function: a}", b"{path: /x, method: G5, function: a}", b"{path: x, function: a}"]
)
def test_gw8_a_bad_route_spoils_others_so_it_is_harmful(route: bytes) -> None:
    seen = _read(Document.ROUTING, GOOD[Document.ROUTING] + b"  - " + route + b"\n")
    assert [key.kind for key in seen.invalid] == [Kind.ROUTE]
    assert not any(key.name in ("/a:GET", "/b:POST") for key in seen.invalid)


@pytest.mark.parametrize(
    "function",
    [
        b'{image: "r/l:1", enabled: yes}',
        b'{image: "r/l:1", memory_size: 0128}',
        b'{image: "r/l:1", environment: {PORT: 8080}}',
        b'{image: "r/l:1", timeout: 30.5}',
        b'{image: ""}',
    ],
)
def test_a_foreign_function_that_we_would_refuse_is_its_owners_affair(function: bytes) -> None:
    seen = _read(Document.FUNCTIONS, GOOD[Document.FUNCTIONS] + b"  legacy: " + function + b"\n")
    assert "legacy" in _names(seen, Kind.FUNCTION)
    assert seen.invalid == frozenset()
    assert seen.damaged == frozenset()


def test_a_function_that_is_no_mapping_is_harmful() -> None:
    seen = _read(Document.FUNCTIONS, GOOD[Document.FUNCTIONS] + b"  legacy: 5\n")
    assert seen.invalid == {ItemKey(Kind.FUNCTION, "legacy")}


def test_values_are_read_as_the_consumer_reads_them() -> None:
    block = "functions:\n  a:\n    image: r/a\n    on_: {}\n    octal: {}\n    sixty: {}\n    big: {}\n    text: {}\n"
    content = block.format("yes", "010", "1:30", "1_000", "1e3").encode()
    expected = block.format("true", "8", "90", "1000", '"1e3"').encode()
    key = ItemKey(Kind.FUNCTION, "a")
    assert _read(Document.FUNCTIONS, content).items[key].digest == _read(Document.FUNCTIONS, expected).items[key].digest


def test_a_fault_of_a_name_with_a_dot_is_not_its_neighbours() -> None:
    content = b"routes:\n  - {path: /a, function: a}\n  - {path: /a/b(, function: a}\n"
    seen = _read(Document.ROUTING, content)
    assert seen.invalid == {ItemKey(Kind.ROUTE, "/a/b(:GET")}
    dotted = b'functions:\n  a: {image: "x"}\n  a.b: 5\n'
    assert _read(Document.FUNCTIONS, dotted).invalid == {ItemKey(Kind.FUNCTION, "a.b")}


def test_the_key_of_a_place_is_told_without_values() -> None:
    seen = _read(Document.FUNCTIONS, b'functions:\n  a: {image: "", environment: {TOKEN: 5}}\n')
    told = " ".join(map(str, seen.problems))
    assert "functions.a.environment.TOKEN" in told
    assert items.Kind.FUNCTION in {key.kind for key in seen.items}


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"~\n"])
@pytest.mark.parametrize("document", list(Document))
def test_gw5_an_emptied_document_says_nothing_about_what_was_in_it(document: Document, content: bytes) -> None:
    seen = _read(document, content)
    assert seen.unreadable == {document}
    assert seen.damaged == ({document} if document is Document.FUNCTIONS else frozenset())
    assert seen.problems == ()


@pytest.mark.parametrize(
    "added", [b'  a: {image: "r/evil:1"}\n', b'  c: {image: !evil "r/c:1"}\n', b'  c: {image: "x", 5: y}\n']
)
def test_a_fault_of_the_text_inside_an_item_is_damage_too(added: bytes) -> None:
    """The consumer takes the last of two equal keys, and may not get past a tag at all."""
    assert _read(Document.FUNCTIONS, GOOD[Document.FUNCTIONS] + added).damaged == {Document.FUNCTIONS}


def test_of_two_equal_keys_the_last_counts_as_for_the_consumer() -> None:
    content = b'functions:\n  a: {image: "r/old"}\n  a: {image: "r/new"}\n'
    assert "r/new" in _read(Document.FUNCTIONS, content).items[ItemKey(Kind.FUNCTION, "a")].text
