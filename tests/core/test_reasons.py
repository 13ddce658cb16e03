"""docs/reasons.md describes every code that a plan can carry, and no other."""

import re
from pathlib import Path

from core import compatibility, diff, image_work, outcomes, provisioning

CORE = Path(__file__).parent.parent.parent / "core"
DOCUMENT = CORE.parent / "docs" / "reasons.md"


def test_every_code_is_described_and_nothing_else() -> None:
    described = re.findall(r"^\| ([\w-]+) \|", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    told = [
        code for file in CORE.glob("*.py") for code in re.findall(r"notices\.Notice\(\s*\"(\w+)\"", file.read_text())
    ]
    codes = [
        *dict.fromkeys(told),
        *outcomes.Outcome,
        *diff.Reason,
        *diff.Effect,
        *image_work.Why,
        *provisioning.Reason,
        *compatibility.Code,
    ]
    assert sorted(set(described) - {"code", "---"}) == sorted(map(str, codes))
