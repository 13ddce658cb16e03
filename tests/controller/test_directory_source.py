"""What the directory source asks of a checkout before anything is written: the artifact that was meant, and a target
outside of it. And what its settings and its failures mean."""

import os
from pathlib import Path

import pytest

from controller import errors, settings, settings_sections, settings_sources, translate
from controller.sources import directory
from manifests import checkout, fingerprint, source_errors, yaml_builder
from tests.fakes.command import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def _found(root: Path, *, allow_outside: bool = False) -> checkout.Checkout:
    source = checkout.Source(root, allow_outside=allow_outside)
    return checkout.scan(source, fingerprint.MemoryStore(), now_ns=lambda: 0)


# The artifact that was asked for


@pytest.mark.parametrize(
    ("project", "env", "words"),
    [
        ("nope", None, "asked for project nope"),
        ("shop", "prod", "asked for env prod"),
        ("nope", "prod", "asked for project nope, env prod"),
    ],
)
def test_a_named_manifest_must_be_the_one_that_is_asked_for(
    shop: Shop, project: str | None, env: str | None, words: str
) -> None:
    wanted = settings_sections.Manifest(path="./artifact.yml", project=project, env=env)
    with pytest.raises(errors.ControllerError) as refused:
        directory.require_asked(_found(shop.source), wanted)
    assert refused.value.reason == "NoManifest"
    assert refused.value.message == f"artifact.yml is project shop, env demo; {words}"


@pytest.mark.parametrize(("project", "env"), [(None, None), ("shop", None), (None, "demo"), ("shop", "demo")])
def test_what_is_not_asked_for_may_be_anything(shop: Shop, project: str | None, env: str | None) -> None:
    directory.require_asked(
        _found(shop.source), settings_sections.Manifest(path="artifact.yml", project=project, env=env)
    )


# Nothing below an artifact root is written


@pytest.mark.parametrize(
    "folder",
    [
        "orders",
        "orders/config",
        "orders/new/deeper",
        "../alias/orders/config",
        "link/new",
        "catalog/../orders",
        "orders/../orders/.controller",
    ],
)
@pytest.mark.parametrize("allow_outside", [False, True])
def test_a_target_inside_of_an_artifact_root_is_refused(shop: Shop, folder: str, allow_outside: bool) -> None:
    """contract.md section 10.5: a CONFIG_DIR there would overwrite the artifact. By whatever name it goes."""
    (shop.folder / "alias").symlink_to(shop.source)
    (shop.source / "link").symlink_to("orders/config")
    found = _found(shop.folder / "alias", allow_outside=allow_outside)
    inside = shop.source / folder
    with pytest.raises(errors.ControllerError) as refused:
        directory.refuse_inside(found, [shop.config, inside])
    assert refused.value.reason == "SettingsInvalid"
    assert f"{inside} is inside of the artifact root {shop.source / 'orders'}" in refused.value.message


def test_a_target_inside_of_an_artifact_root_elsewhere_is_refused(shop: Shop) -> None:
    """Where the artifact root is a link, or outside of the source."""
    elsewhere = (shop.source / "orders").rename(shop.folder / "elsewhere")
    (shop.source / "orders").symlink_to(elsewhere)
    found = _found(shop.source, allow_outside=True)
    with pytest.raises(errors.ControllerError, match="elsewhere/x is inside of the artifact root"):
        directory.refuse_inside(found, [elsewhere / "x"])


@pytest.mark.parametrize("folder", [".", "..", "config", "../config", "orders-2", "new/orders"])
def test_a_target_beside_or_above_the_artifact_roots_is_fine(
    shop: Shop, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CONFIG_DIR may hold the source, or stand in it."""
    monkeypatch.chdir(shop.source)
    directory.refuse_inside(_found(shop.source), [shop.source / folder, Path(folder)])


# Validating a source


def test_a_source_is_validated_within_its_own_bounds(shop: Shop) -> None:
    """What leaves the source is as wrong here as in a pass; a manifest that is named on its own may lead anywhere."""
    elsewhere = (shop.source / "orders").rename(shop.folder / "elsewhere")
    (shop.source / "orders").symlink_to(elsewhere)
    told = directory.validate_source(checkout.Source(shop.source), checkout.DEFAULT_RULES)
    assert (told.path, told.reason) == (shop.manifest, "ArtifactInvalid")
    assert "leaves the folder" in told.problems[0].message
    for free in (
        directory.validate_source(checkout.Source(shop.source, allow_outside=True), checkout.DEFAULT_RULES),
        directory.validate(shop.manifest, checkout.DEFAULT_RULES),
    ):
        assert (free.invalid, free.problems) == (False, ())


# Settings


@pytest.mark.parametrize(
    ("max_bytes", "max_values"), [(1, 500_000), (8 << 20, 500_000), (16 << 20, 1_000_000), (1 << 40, 65_536_000_000)]
)
def test_larger_documents_may_hold_more_values(max_bytes: int, max_values: int) -> None:
    """docs/adr/0008: the cap on values grows with the cap on bytes, and is the usual one otherwise."""
    configured = settings.Settings.model_construct(manifest=settings_sections.Manifest(max_bytes=max_bytes))
    assert directory.rules(configured).limits == yaml_builder.Limits(max_bytes=max_bytes, max_values=max_values)


def test_a_manifest_is_chosen_within_the_configured_size(shop: Shop) -> None:
    """Choosing reads with the same limits as the pass does."""
    (shop.source / "staging").mkdir()
    (shop.source / "staging" / "artifact.yml").write_text("project: shop\nenv: staging\nmode: docker\n#" + "#" * 5000)

    def locate(max_bytes: int) -> checkout.Source:
        one = settings_sources.Source(directory=settings_sources.DirectorySource(path=shop.source))
        source = settings_sources.Sources((one,))
        wanted = settings_sections.Manifest(env="staging", max_bytes=max_bytes)
        return directory.locate(settings.Settings.model_construct(source=source, manifest=wanted))

    assert locate(6000).manifest == "staging/artifact.yml"
    with pytest.raises(source_errors.NoManifest, match="the limit is 2000"):
        locate(2000)


# Failures


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (source_errors.PathMissing("a/b", "no such file or directory"), "SourceMissing"),
        (source_errors.PathUnreadable("a/b", "Permission denied"), "SourceUnreadable"),
        (source_errors.Moved("a/b"), "SourceUnstable"),
        (source_errors.PathEscapes("a/b"), "ArtifactInvalid"),
        (source_errors.LinkLoop("a/b"), "ArtifactInvalid"),
        (source_errors.NotPlain("a/b", "a FIFO"), "ArtifactInvalid"),
        (source_errors.PathImpossible("a/b", "is too long"), "ArtifactInvalid"),
        (source_errors.TooLarge("a/b", 2, 1), "ArtifactInvalid"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_what_is_wrong_with_a_path_has_the_reason_that_says_what_to_do(
    error: source_errors.PathError, reason: str
) -> None:
    """P6: what may come right by itself is the source's trouble; what cannot is the artifact's, at the file."""
    with pytest.raises(errors.ControllerError) as refused, translate.failures():
        raise error
    assert (refused.value.reason, "a/b" in refused.value.message) == (reason, True)
    assert [problem.file for problem in refused.value.problems] == ["a/b"] * (reason == "ArtifactInvalid")


def test_secret_names_come_from_both_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract.md section 7: names, never values."""
    file = tmp_path / "secrets.env"
    file.write_text("export FROM_FILE=hunter2\n")
    monkeypatch.setitem(os.environ, "FROM_ENVIRONMENT", "hunter2")
    configured = settings.Settings.model_construct(secrets=settings_sections.Secrets(env_file=file))
    found = directory.secret_names(configured)
    assert {"FROM_FILE", "FROM_ENVIRONMENT"} <= found
    assert not any("hunter2" in name for name in found)
