"""docs/reasons.md describes every code that a plan can carry, and no other."""

import re
from pathlib import Path

from core import compatibility, diff, image_work, outcomes, provisioning

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "reasons.md"


def test_every_code_is_described_and_nothing_else() -> None:
    described = re.findall(r"^\| ([\w-]+) \|", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    codes = [*outcomes.Outcome, *diff.Reason, *diff.Effect, *image_work.Why, *provisioning.Reason, *compatibility.Code]
    assert sorted(set(described) - {"code", "---"}) == sorted(map(str, codes))
