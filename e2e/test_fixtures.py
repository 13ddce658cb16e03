"""The committed fixtures are what their script makes, and the matrix refuses what is legacy. Needs no engine."""

from pathlib import Path

import pytest

from e2e.harness import matrix
from e2e.scripts import make_artifacts

E2E = Path(__file__).parent


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_committed_artifact_is_what_its_script_writes(tmp_path: Path) -> None:
    """contract.md section 11: a separate script regenerates them, the same bytes each time."""
    make_artifacts.write(tmp_path / "main", tmp_path / "environments")
    assert contents(tmp_path / "main") == contents(E2E / "artifacts" / "main")
    committed = contents(E2E / "environments")
    assert committed.pop("test_matrix.yaml")
    assert contents(tmp_path / "environments") == committed


def test_the_matrix_names_three_environments() -> None:
    assert [each.name for each in matrix.load()] == ["docker", "containerd", "firecracker"]


@pytest.mark.parametrize("field", sorted(matrix.LEGACY))
def test_legacy_fields_are_refused_wherever_they_stand(tmp_path: Path, field: str) -> None:
    """contract.md section 9."""
    text = (matrix.FOLDER / "test_matrix.yaml").read_text(encoding="utf-8")
    for changed in (
        f"{field}: x\n{text}",
        text.replace("    required: true\n", f"    {field}: x\n    required: true\n"),
    ):
        (tmp_path / "matrix.yaml").write_text(changed, encoding="utf-8")
        with pytest.raises(matrix.MatrixInvalid, match=f"'{field}' is a legacy field"):
            matrix.load(tmp_path / "matrix.yaml")


def test_firecracker_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never passed silently: contract.md section 11."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("FIRECRACKER_KERNEL", "/nonexistent/vmlinux")
    firecracker = next(each for each in matrix.load() if each.name == "firecracker")
    lacking = "; ".join(matrix.missing(firecracker))
    assert "no firecracker binary on PATH" in lacking
    assert "no guest kernel" in lacking
    assert "devmapper snapshotter" in lacking
