"""Pinned images: nothing but the image changes, and what comes out is what reading the changed document gives."""

from collections.abc import Mapping
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from core import assembly, desired, digest, items, runtime_config
from manifests import config_items, entry_files, pinning, rendering

FUNCTIONS = b"""\
defaults:
  environment: {LOG_LEVEL: debug}
  image: not-a-function
functions:
  first:
    timeout: 30          # before the image
    image: "registry:5010/first:1"
    environment:
      TOKEN: "010"
      EMPTY: ""
    extra: [1, 1.0, true, null, {image: inner}]
  "010":
    image: registry:5010/octal
  image:
    image: 'registry:5010/image:v1'
"""
ROUTING = b"routes:\n  - {path: /first, function: first}\n"
RESOURCES = b"resources: {s3: [{BucketName: logs}]}\n"
PIN = "registry:5010/first:1@sha256:" + "a" * 64


def wanted_of(functions: bytes = FUNCTIONS) -> desired.Desired:
    documents = dict(zip(items.Document, (functions, ROUTING, RESOURCES), strict=True))
    content = entry_files.read(documents, folder="config").content
    assert content is not None
    entry = desired.Entry("entry-1", "config", content, ("first",))
    return runtime_config.fold([entry], revision="r", required_secrets=("S",))


def key(name: str) -> items.ItemKey:
    return items.ItemKey(items.Kind.FUNCTION, name)


def test_an_image_is_read_from_its_item() -> None:
    wanted = wanted_of()
    assert [pinning.image_of(wanted.items[key(name)]) for name in ("first", "010", "image")] == [
        "registry:5010/first:1",
        "registry:5010/octal",
        "registry:5010/image:v1",
    ]


@pytest.mark.parametrize("text", ["fn: {}\n", "fn: 7\n", "fn:\n  image: 7\n"])
def test_a_live_item_without_an_image_has_none(text: str) -> None:
    """CONFIG_DIR may have been edited by anybody."""
    assert pinning.image_of(items.Item(key("fn"), "sha256:x", text)) == ""


def test_only_the_image_of_the_named_functions_changes() -> None:
    wanted = wanted_of()
    pinned = pinning.pin(wanted, {"first": PIN})
    assert list(pinned.items) == list(wanted.items)
    assert [each for each in wanted.items if pinned.items[each] is not wanted.items[each]] == [key("first")]
    for name in ("revision", "provenance", "builds", "required_secrets", "warnings"):
        assert getattr(pinned, name) is getattr(wanted, name)
    before, after = wanted.items[key("first")], pinned.items[key("first")]
    assert after.text == before.text.replace('image: "registry:5010/first:1"\n', f'image: "{PIN}"\n')
    assert (after.key, after.line, after.target) == (before.key, before.line, before.target)
    assert pinned.digest != wanted.digest
    assert wanted.items[key("first")].text == before.text, "the original is not touched"


def test_what_is_pinned_already_stays_the_same_object() -> None:
    wanted = wanted_of()
    assert pinning.pin(wanted, {}) is wanted
    pinned = pinning.pin(wanted, {"first": PIN})
    assert pinning.pin(pinned, {"first": PIN}) is pinned
    assert pinning.pin(pinned, {"first": "registry:5010/first:1"}) == wanted, "and back again"


def test_a_function_that_is_not_wanted_is_an_error() -> None:
    with pytest.raises(KeyError):
        pinning.pin(wanted_of(), {"gone": PIN})


@pytest.mark.parametrize("text", ["fn: 7\n", "fn: {image: x}\nmore: 1\n", "[", "- 1\n"])
def test_a_text_that_is_no_functions_is_an_error_without_its_content(text: str) -> None:
    wanted = wanted_of()
    odd = desired.Desired("r", {key("fn"): items.Item(key("fn"), "sha256:x", text)}, wanted.provenance)
    with pytest.raises(rendering.RenderingError):
        pinning.pin(odd, {"fn": PIN})


def test_f7_reading_the_published_document_gives_the_pinned_items() -> None:
    """F7: by the strict reader, which a producer's document goes through, and by the reader of CONFIG_DIR."""
    pinned = pinning.pin(wanted_of(), {"first": PIN, "010": "r/octal:1@sha256:" + "b" * 64, "image": "r/image:2"})
    documents = assembly.assemble(pinned.items.values())
    assert digest_and_text(config_items.read(documents).items) == digest_and_text(pinned.items)
    strict = entry_files.read(documents, folder="config").content
    assert strict is not None
    assert digest_and_text({each.key: each for each in strict.items}) == digest_and_text(pinned.items)


def digest_and_text(found: Any) -> list[tuple[items.ItemKey, str, str]]:
    return [(each, item.digest, item.text) for each, item in found.items()]


_SCALARS = strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats(allow_nan=False)
_TEXTS = strategies.text(strategies.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
_VALUES = strategies.recursive(
    _SCALARS | _TEXTS,
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)
_FUNCTIONS = strategies.dictionaries(_TEXTS.filter(lambda name: name != "image"), _VALUES, max_size=4)


@hypothesis.given(body=_FUNCTIONS, after=_FUNCTIONS, image=strategies.sampled_from([PIN, "a", "r:1/b@sha256:x", "010"]))
@hypothesis.settings(max_examples=150, deadline=None)
def test_f7_a_pinned_item_is_what_cutting_the_changed_value_gives(body: Any, after: Any, image: str) -> None:
    value = {**body, "image": "registry:5010/x:1", **{name: each for name, each in after.items() if name not in body}}
    before, expected = (_item({**value, "image": each}) for each in ("registry:5010/x:1", image))
    pinned = pinning.pin(desired.Desired("r", {key("f"): before}, {}), {"f": image})
    assert pinned.items == {key("f"): expected}
    assert pinning.image_of(pinned.items[key("f")]) == image


def _item(value: Any) -> items.Item:
    return items.Item(key("f"), digest.of_value(value), rendering.render_mapping({"f": value})[0])


def test_a_thousand_functions_are_rendered_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"f{number}" for number in range(1000)]
    text = "functions:\n" + "".join(f"  {name}: {{image: r/{name}}}\n" for name in names)
    wanted = wanted_of(text.encode())
    runs = []
    write = rendering.render_mapping

    def counting(values: Mapping[str, digest.Value]) -> list[str]:
        runs.append(len(values))
        return write(values)

    monkeypatch.setattr(rendering, "render_mapping", counting)
    pinned = pinning.pin(wanted, {name: f"r/{name}:1@sha256:{'c' * 64}" for name in names})
    assert runs == [1000]
    assert [pinning.image_of(pinned.items[key(name)])[:5] for name in names[:2]] == ["r/f0:", "r/f1:"]
