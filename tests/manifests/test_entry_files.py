"""An entry's documents to items: what is folded later, every problem at its place, and the same from the store."""

import json

import pytest

from core import digest, items, problems
from manifests import entry_files

FUNCTIONS = b"""\
defaults:
  environment:
    LOG_LEVEL: ${LOG_LEVEL}
    STAGE: "010"
  scaling:
    min_capacity: 0
  region: eu
functions:
  hello:
    image: registry:5010/hello:1
    environment:
      TOKEN: very-secret
  STAGE:
    image: registry:5010/stage:1
"""
ROUTING = b"""\
routes:
  - path: /hello
    method: post
    function: hello
  - function: STAGE
  - path: /x
    function: STAGE
"""
RESOURCES = b"""\
resources:
  s3:
    - BucketName: logs
  dynamodb:
    - TableName: orders
"""
D = items.Document
GOOD = {D.FUNCTIONS: FUNCTIONS, D.ROUTING: ROUTING, D.RESOURCES: RESOURCES}


def test_documents_become_items_with_text_line_and_digest() -> None:
    content, found = entry_files.read(GOOD, folder="svc/config")
    assert found == ()
    assert content is not None
    rows = [(str(item.key.kind), item.key.name, item.line, item.target) for item in content.items]
    assert rows == [
        ("default-environment", "LOG_LEVEL", 3, ""),
        ("default-environment", "STAGE", 4, ""),
        ("default-scaling", "min_capacity", 6, ""),
        ("default", "region", 7, ""),
        ("function", "hello", 9, ""),
        ("function", "STAGE", 13, ""),
        ("route", "/hello:post", 2, "hello"),
        ("route", "/x:GET", 6, "STAGE"),
        ("table", "orders", 5, ""),
        ("bucket", "logs", 3, ""),
    ]
    by_name = {item.key: item for item in content.items}
    stage = by_name[items.ItemKey(items.Kind.FUNCTION, "STAGE")]
    assert stage.text.replace('"', "") == "STAGE:\n  image: registry:5010/stage:1\n"
    assert stage.digest == digest.of_value({"image": "registry:5010/stage:1"})
    assert by_name[items.ItemKey(items.Kind.DEFAULT_ENVIRONMENT, "STAGE")].text == 'STAGE: "010"\n'
    assert by_name[items.ItemKey(items.Kind.BUCKET, "logs")].text == "- BucketName: logs\n"


def test_nothing_is_a_valid_routing_and_resources() -> None:
    content, found = entry_files.read(
        {D.FUNCTIONS: b"functions: {}\n", D.ROUTING: b"routes: null\n", D.RESOURCES: b"# nothing\n"}, folder="c"
    )
    assert found == ()
    assert content is not None
    assert content.items == ()


def test_every_problem_of_every_document_is_reported() -> None:
    bad = {
        D.FUNCTIONS: FUNCTIONS.replace(b"TOKEN: very-secret", b"TOKEN: 12345678").replace(
            b"image: registry:5010/s", b"imag: s"
        ),
        D.ROUTING: ROUTING.replace(b"/hello", b"/hello(").replace(b"path: /x", b"path: x"),
        D.RESOURCES: b"resources: [",
    }
    content, found = entry_files.read(bad, folder="svc/config")
    assert content is None
    errors = [(each.file, each.line) for each in found if each.severity is problems.Severity.ERROR]
    assert ("svc/config/functions.yml", 12) in errors  # deeper than the positions of the first parse
    assert ("svc/config/functions.yml", 13) in errors
    assert ("svc/config/routing.yml", 2) in errors
    assert ("svc/config/routing.yml", 6) in errors
    assert [file for file, _ in errors].count("svc/config/resources.yml") == 1
    assert "12345678" not in repr(found)
    assert "very-secret" not in repr(found)


def test_g1_a_strangers_file_is_never_shown() -> None:
    shadow = b"root:$6$topsecrethash:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n"  # its lines are keys in YAML
    content, found = entry_files.read({D.FUNCTIONS: shadow, D.ROUTING: shadow, D.RESOURCES: shadow}, folder="c")
    assert content is None
    assert {each.file for each in found} == {"c/functions.yml", "c/routing.yml", "c/resources.yml"}
    assert "topsecret" not in repr(found)


@pytest.mark.parametrize("content", [b"", b"{}", b"# only a comment\n", b"functions: null\n", b"functions: []\n"])
def test_f1_a_functions_document_without_functions_is_refused(content: bytes) -> None:
    reading = entry_files.read({**GOOD, D.FUNCTIONS: content}, folder="c")
    assert reading.content is None
    assert reading.problems[0].file == "c/functions.yml"


def test_f5_names_on_the_allow_list_can_be_added() -> None:
    asking = {**GOOD, D.FUNCTIONS: FUNCTIONS.replace(b"LOG_LEVEL}", b"MY_NAME}")}
    assert entry_files.read(asking, folder="c").content is None
    assert entry_files.read(asking, folder="c", allowed_names=frozenset({"MY_NAME"})).content is not None


@pytest.mark.parametrize(
    "documents",
    [
        GOOD,
        {**GOOD, D.FUNCTIONS: FUNCTIONS + b"globals: {}\n"},
        {**GOOD, D.FUNCTIONS: b"functions: ["},
        {D.FUNCTIONS: b"functions: {}\n", D.ROUTING: b""},
    ],
    ids=["good", "warning", "bad", "empty"],
)
def test_the_store_gives_back_the_same(documents: dict[items.Document, bytes]) -> None:
    reading = entry_files.read(documents, folder="svc/config")
    stored = json.loads(json.dumps(entry_files.pack(reading)))
    assert entry_files.unpack(stored, folder="svc/config") == reading
    elsewhere = entry_files.unpack(stored, folder="moved")
    assert elsewhere == entry_files.read(documents, folder="moved")
