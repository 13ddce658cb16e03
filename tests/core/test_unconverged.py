"""What is left to a person: tables and buckets that a publish changed or dropped (consumers.md PR1)."""

from core import diff, items, record, unconverged
from tests.fakes.world import function, table

ONE, TWO, THREE = (table("t", value) for value in (1, 2, 3))
KEY = ONE.key


def parts(*these: items.Item) -> tuple[record.AppliedItem, ...]:
    """Published, and ours."""
    return tuple(record.AppliedItem(item, "entry") for item in these)


def change(before: items.Item | None, after: items.Item | None) -> diff.Change:
    """A change that the source brought."""
    either = after or before
    assert either is not None
    operation = diff.Operation.ADD if before is None else diff.Operation.CHANGE if after else diff.Operation.REMOVE
    data = either.key.kind in (items.Kind.TABLE, items.Kind.BUCKET)
    effect = diff.Effect.PROVISION if before is None else diff.Effect.NOT_CONVERGEABLE
    return diff.Change(
        operation,
        either.key,
        diff.Cause.CHANGE,
        diff.Reason.CHANGED_IN_SOURCE,
        effect if data else diff.Effect.RELOAD,
        before,
        after,
        None,
    )


def after(*changes: diff.Change, live: tuple[items.Item, ...], known: tuple[record.Unconverged, ...] = ()) -> object:
    """What is left once these are live, by revision ``r``."""
    return unconverged.after_publishing(diff.Diff(changes, parts(*live)), "r", known)


CHANGED = record.Unconverged(KEY, ONE.digest, TWO.digest, "q")
GONE = record.Unconverged(KEY, ONE.digest, "", "q")


def test_pr1_a_changed_and_a_removed_table_are_left_to_a_person() -> None:
    assert after(change(ONE, TWO), live=(TWO,)) == (record.Unconverged(KEY, ONE.digest, TWO.digest, "r"),)
    assert after(change(ONE, None), live=()) == (record.Unconverged(KEY, ONE.digest, "", "r"),)


def test_pr1_a_new_table_and_a_function_are_not() -> None:
    assert after(change(None, ONE), change(function("a"), function("a", 2)), live=(ONE, function("a", 2))) == ()


def test_pr1_what_is_left_stays_while_other_things_change() -> None:
    other = change(None, table("u"))
    assert after(other, live=(TWO, table("u")), known=(CHANGED,)) == (CHANGED,)
    assert after(change(function("a"), function("a", 2)), live=(function("a", 2),), known=(GONE,)) == (GONE,)


def test_pr1_it_is_the_same_when_an_attempt_is_made_again() -> None:
    """A failed provisioner: the new resources are live, and the next pass finds no change of them."""
    first = unconverged.after_publishing(diff.Diff((change(ONE, TWO),), parts(TWO)), "r", ())
    assert after(change(ONE, TWO), live=(TWO,), known=first) == first
    assert after(live=(TWO,), known=first) == first


def test_pr1_what_is_as_it_was_made_is_over() -> None:
    assert after(change(TWO, ONE), live=(ONE,), known=(CHANGED,)) == ()
    assert after(change(None, ONE), live=(ONE,), known=(GONE,)) == ()
    assert after(live=(ONE,), known=(CHANGED,)) == (), "an attempt that never published it"


def test_pr1_what_changes_again_is_told_against_what_was_made() -> None:
    assert after(change(TWO, THREE), live=(THREE,), known=(CHANGED,)) == (
        record.Unconverged(KEY, ONE.digest, THREE.digest, "r"),
    )
    assert after(change(None, TWO), live=(TWO,), known=(GONE,)) == (
        record.Unconverged(KEY, ONE.digest, TWO.digest, "r"),
    )


def test_pr1_what_is_no_longer_asked_for_is_told_until_the_resources_change_again() -> None:
    assert after(change(None, table("u")), live=(table("u"),), known=(GONE,)) == ()
    assert after(change(TWO, None), live=(), known=(CHANGED,)) == (record.Unconverged(KEY, ONE.digest, "", "r"),)


def test_pr1_the_words_name_the_thing_and_what_to_do() -> None:
    for one in (CHANGED, GONE):
        assert unconverged.words(one).startswith("table t ")
        assert "by hand" in unconverged.words(one)
    assert unconverged.words(CHANGED) != unconverged.words(GONE)
