"""What a pass depends on besides files, as far as it is known without asking anybody (faults.md H9)."""

from pathlib import Path

import pytest

from controller import settings, target
from tests.fakes import docker_stub
from tests.fakes.command import Shop


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> docker_stub.DockerStub:
    monkeypatch.delenv("DOCKER_DEFAULT_PLATFORM", raising=False)
    return docker_stub.DockerStub(tmp_path / "stub").first_on(monkeypatch)


def rules_digest(shop: Shop, **engine: str) -> str:
    """The part of what a pass depends on that comes from settings."""
    flags = {("config_dir",): shop.config, ("source", "directory", "path"): shop.source}
    named: dict[tuple[str, ...], str] = {("docker", key): value for key, value in engine.items()}
    with target.Target(settings.load(None, {**flags, **named})) as opened:
        return opened.fetch().rules_digest


def test_h9_another_engine_is_looked_at_anew_and_none_is_asked_for_it(
    tmp_path: Path, stub: docker_stub.DockerStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H9: it may build for another platform; a pass over what did not change must not cost a process."""
    shop = Shop(tmp_path)
    found = [rules_digest(shop), rules_digest(shop, host="ssh://edge"), rules_digest(shop, context="edge")]
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_DEFAULT_PLATFORM"):
        monkeypatch.setenv(name, "another")
        found.append(rules_digest(shop))
    assert len(set(found)) == len(found)
    assert rules_digest(shop) == found[-1]
    assert stub.calls == []
