"""`make demo` tells the truth: the script runs through, and each step ends as it says."""

import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).parent.parent / "e2e" / "scripts" / "demo.py"


def test_the_demo_runs_from_nothing_to_a_rollback() -> None:
    ended = subprocess.run([sys.executable, str(DEMO)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    outcomes = ["FirstPublish", "InSync", "SourceChanged", "Drifted", "RolledBack"]
    places = [ended.stdout.find(f"({outcome})") for outcome in outcomes]
    assert -1 not in places
    assert places == sorted(places)
    assert "failed (Held)" in ended.stderr
