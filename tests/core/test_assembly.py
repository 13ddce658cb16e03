"""Items put together to documents: contract.md section 4, consumers.md GW12."""

import yaml

from core import assembly, items

K = items.Kind


def _item(kind: items.Kind, name: str, text: str) -> items.Item:
    return items.Item(items.ItemKey(kind, name), "sha256:0", text)


def test_gw12_nothing_at_all_is_three_documents() -> None:
    assert assembly.assemble(()) == {
        items.Document.FUNCTIONS: b"functions: {}\n",
        items.Document.ROUTING: b"routes: []\n",
        items.Document.RESOURCES: b"resources: {}\n",
    }


def test_layout_of_full_documents() -> None:
    documents = assembly.assemble(
        [
            _item(K.DEFAULT_ENVIRONMENT, "A", 'A: "1"\n'),
            _item(K.DEFAULT_ENVIRONMENT, "B", "B: b\n"),
            _item(K.DEFAULT_SCALING, "max_capacity", "max_capacity: 3\n"),
            _item(K.DEFAULT, "other", "other:\n- x\n- y: 1\n"),
            _item(K.FUNCTION, "f", "f:\n  image: i\n  tags:\n  - t\n"),
            _item(K.FUNCTION, "g", "g:\n  image: i\n"),
            _item(K.ROUTE, "/:GET", "- path: /\n  function: f\n"),
            _item(K.ROUTE, "/b:GET", "- path: /b\n  function: g\n"),
            _item(K.TABLE, "t", "- TableName: t\n  Keys:\n  - k\n"),
            _item(K.BUCKET, "b", "- BucketName: b\n"),
            _item(K.LAYER, "l", "- Name: l\n"),
        ]
    )
    assert documents[items.Document.FUNCTIONS].decode() == (
        'defaults:\n  environment:\n    A: "1"\n    B: b\n  scaling:\n    max_capacity: 3\n  other:\n  - x\n  - y: 1\n'
        "functions:\n  f:\n    image: i\n    tags:\n    - t\n  g:\n    image: i\n"
    )
    assert documents[items.Document.ROUTING].decode() == (
        "routes:\n  - path: /\n    function: f\n  - path: /b\n    function: g\n"
    )
    assert documents[items.Document.RESOURCES].decode() == (
        "resources:\n  dynamodb:\n    - TableName: t\n      Keys:\n      - k\n  s3:\n    - BucketName: b\n"
        "  layers:\n    - Name: l\n"
    )


def test_empty_sections_are_left_out() -> None:
    documents = assembly.assemble([_item(K.DEFAULT_SCALING, "n", "n: 1\n"), _item(K.BUCKET, "b", "- BucketName: b\n")])
    assert documents[items.Document.FUNCTIONS] == b"defaults:\n  scaling:\n    n: 1\nfunctions: {}\n"
    assert documents[items.Document.RESOURCES] == b"resources:\n  s3:\n    - BucketName: b\n"


def test_order_within_a_kind_is_kept_and_kinds_may_be_mixed() -> None:
    mixed = [
        _item(K.ROUTE, "2", "- b\n"),
        _item(K.FUNCTION, "z", "z: {}\n"),
        _item(K.ROUTE, "1", "- a\n"),
        _item(K.FUNCTION, "a", "a: {}\n"),
    ]
    documents = assembly.assemble(mixed)
    assert list(yaml.safe_load(documents[items.Document.FUNCTIONS])["functions"]) == ["z", "a"]
    assert yaml.safe_load(documents[items.Document.ROUTING])["routes"] == ["b", "a"]


def test_text_beyond_ascii_is_utf_8() -> None:
    documents = assembly.assemble([_item(K.FUNCTION, "f", 'f: "é"\n')])
    assert documents[items.Document.FUNCTIONS] == 'functions:\n  f: "é"\n'.encode()
