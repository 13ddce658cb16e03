"""Whether a pass may begin, by how those stand that come before it."""

import pytest

from core import turn_order

B = turn_order.Before
CASES = {
    "nobody comes before": ((), "begin", ""),
    "one in order": ((B("a", good=True),), "begin", ""),
    "one under way": ((B("a", busy=True, good=True),), "wait", "a first"),
    "one under way after a failure": ((B("a", busy=True, good=False),), "wait", "a first"),
    "one failed": ((B("a", good=False),), "refuse", "the last pass of a failed"),
    "none ended": ((B("a"),), "refuse", "no pass of a has ended yet"),
    "one of two failed": ((B("a", good=True), B("b", good=False)), "refuse", "the last pass of b failed"),
    "both failed": ((B("a"), B("b", good=False)), "refuse", "no pass of a has ended yet; the last pass of b failed"),
    "one failed, one under way": ((B("a", good=False), B("b", busy=True)), "wait", "b first"),
    "two under way": ((B("a", busy=True), B("b", busy=True)), "wait", "a, b first"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_rule(name: str) -> None:
    before, word, because = CASES[name]
    assert turn_order.verdict(before) == turn_order.Verdict(turn_order.Word(word), because)
