"""The fold of entries beside its result: provenance, warnings and what needs a build (faults.md C7)."""

from core import desired, digest, items, problems, runtime_config


def _item(kind: items.Kind, name: str, value: str = "1", *, line: int = 7, target: str = "") -> items.Item:
    return items.Item(items.ItemKey(kind, name), digest.of_value(value), f"{name}: {value}\n", line, target)


def _entry(id_: str, *parts: items.Item, builds: tuple[str, ...] = ()) -> desired.Entry:
    return desired.Entry(id_, f"{id_}/config", desired.EntryContent(parts), builds)


def _messages(folded: desired.Desired) -> list[str]:
    return [str(warning) for warning in folded.warnings]


def test_c7_the_winner_the_place_and_the_overridden_are_told() -> None:
    folded = runtime_config.fold(
        [
            _entry("one", _item(items.Kind.FUNCTION, "a", "old")),
            _entry("two", _item(items.Kind.FUNCTION, "a", "new", line=9)),
        ],
        revision="r",
    )
    key = items.ItemKey(items.Kind.FUNCTION, "a")
    assert folded.provenance[key] == desired.Provenance("two", "two/config/functions.yml", 9, ("one",))
    assert folded.items[key].text == "a: new\n"
    assert _messages(folded) == ["two/config/functions.yml:9:1: function a: entry two replaces the one of one"]


def test_c7_of_defaults_the_first_wins_and_that_is_no_warning() -> None:
    folded = runtime_config.fold(
        [
            _entry("one", _item(items.Kind.DEFAULT_ENVIRONMENT, "A", "first")),
            _entry("two", _item(items.Kind.DEFAULT_ENVIRONMENT, "A", "second")),
        ],
        revision="r",
    )
    key = items.ItemKey(items.Kind.DEFAULT_ENVIRONMENT, "A")
    assert folded.items[key].text == "A: first\n"
    assert folded.provenance[key].overrides == ("two",)
    assert folded.warnings == ()


def test_an_item_named_twice_in_one_entry_overrides_nobody() -> None:
    folded = runtime_config.fold(
        [_entry("one", _item(items.Kind.ROUTE, "/a:GET", "1", target="f"), _item(items.Kind.FUNCTION, "f"),
                _item(items.Kind.ROUTE, "/a:GET", "2", target="f"))],
        revision="r",
    )  # fmt: skip
    key = items.ItemKey(items.Kind.ROUTE, "/a:GET")
    assert folded.items[key].text == "/a:GET: 2\n"
    assert folded.provenance[key].overrides == ()
    assert folded.warnings == ()


def test_a_route_to_a_function_that_no_entry_defines_is_a_warning() -> None:
    folded = runtime_config.fold([_entry("one", _item(items.Kind.ROUTE, "/a:GET", target="nobody"))], revision="r")
    assert [warning.severity for warning in folded.warnings] == [problems.Severity.WARNING]
    assert "no entry defines the function 'nobody'" in _messages(folded)[0]


def test_a_route_to_a_function_of_another_entry_is_none() -> None:
    folded = runtime_config.fold(
        [_entry("one", _item(items.Kind.ROUTE, "/a:GET", target="f")), _entry("two", _item(items.Kind.FUNCTION, "f"))],
        revision="r",
    )
    assert folded.warnings == ()


def test_only_the_entry_that_won_builds_and_only_what_is_declared() -> None:
    folded = runtime_config.fold(
        [
            _entry("one", _item(items.Kind.FUNCTION, "a", "old"), builds=("a", "undeclared")),
            _entry("two", _item(items.Kind.FUNCTION, "a", "new"), builds=("a",)),
        ],
        revision="r",
    )
    assert folded.builds == (("two", "a"),)


def test_the_digest_covers_the_items_in_order_and_nothing_else() -> None:
    one, two = _item(items.Kind.ROUTE, "/a:GET"), _item(items.Kind.ROUTE, "/b:GET")
    first = runtime_config.fold([_entry("x", one, two)], revision="r1")
    again = runtime_config.fold([_entry("y", one, two)], revision="r2")
    swapped = runtime_config.fold([_entry("x", two, one)], revision="r1")
    assert first.digest == again.digest
    assert first.digest != swapped.digest
