"""Files and a process that is killed: what it published and could not record is ours (contract.md section 4)."""

from pathlib import Path

import pytest

from controller import settings, target
from tests.fakes import command, docker_stub


@pytest.mark.process
@pytest.mark.parametrize("step", ["published", "acted"])
def test_a2_what_a_killed_publish_added_is_pruned_once_the_source_drops_it(tmp_path: Path, step: str) -> None:
    shop = command.Shop(tmp_path)
    shop.published()
    before = shop.documents()
    files = {name: shop.document("catalog", name) for name in ("functions.yml", "routing.yml", "resources.yml")}
    kept = {name: file.read_bytes() for name, file in files.items()}
    more = {
        "functions.yml": '\n  "catalog-more":\n    image: "example/more:v1"\n    environment: {B: "2", A: "1"}\n',
        "routing.yml": '\n  - path: "/more"\n    function: "catalog-more"\n',
        "resources.yml": "\n    - {BucketName: catalog-more}\n",
    }
    for name, text in more.items():
        files[name].write_bytes(kept[name].rstrip() + text.encode())
    killed = command.child("reconcile", "--once", *shop.target, environment={"FAILPOINT": f"{step}:kill"})
    assert killed.code == -9, killed.text
    assert all(b"more" in (content or b"") for content in shop.documents().values())
    for name, content in kept.items():
        files[name].write_bytes(content)
    ended = shop.reconcile()
    assert (ended.code, "Foreign:" in ended.text) == (0, False), ended.text
    assert shop.documents() == before
    assert shop.reconcile().out.startswith("nothing to do (InSync)")


def test_the_stack_of_the_provisioner_is_told_by_project_and_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a provisioner there is nothing to tell, and nobody is asked in either case."""
    stub = docker_stub.DockerStub(tmp_path / "stub").first_on(monkeypatch)
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    shop = command.Shop(tmp_path / "shop")
    compose: dict[tuple[str, ...], object] = {("stack", "compose_files"): [str(tmp_path / "compose.yml")]}

    def where(provisioner: bool = True, **words: str) -> str:
        named: dict[tuple[str, ...], object] = {tuple(key.split("_")): value for key, value in words.items()}
        named |= {("config_dir",): shop.config, **(compose if provisioner else {})}
        with target.Target(settings.load(None, named)) as opened:
            return opened.provisions_where()

    assert where(provisioner=False, stack_project="p") == ""
    found = [where(stack_project="p"), where(stack_project="q")]
    found += [where(stack_project="p", docker_host="ssh://me@edge")]
    found += [where(stack_project="p", docker_context="edge")]
    monkeypatch.setenv("DOCKER_HOST", "tcp://me:secret@edge:2376")
    found += [where(stack_project="p")]
    assert len(set(found)) == len(found)
    assert "secret" not in "".join(found)
    assert stub.calls == []
