"""Checks of `controller doctor` about the source: whether it can be had and read as a pass does, and its secrets.

A repository is fetched as a pass does, but aside (`controller.aside`): so its address, ref, signatures and content are
all seen, and the clone of the target stays as it is.
"""

import contextlib
from collections.abc import Iterator

from controller import aside, check, checks_docker, checks_host, errors, report, settings, target, translate, world
from controller.sources import directory
from core import digest


def source(configured: settings.Settings, *, skip_images: bool) -> Iterator[check.Check]:
    """The source, and everything that depends on what it asks for. Raises `ControllerError`."""
    kinds = [one.kind for one in configured.source.each]
    if not kinds:
        yield check.Check("source", check.WARN, "no source is set", "pass --source DIR or --git URL to check one")
        return
    if kinds != ["directory"]:
        yield from _fetched(configured, skip_images=skip_images)
        return
    with translate.failures():
        located = directory.locate(configured)
    result = directory.validate_source(located, directory.rules(configured))
    if result.invalid:
        detail = f"{result.path} breaks the contract"
        yield check.Check("source", check.FAIL, detail, errors.MEANINGS["ArtifactInvalid"].hint)
        return
    yield check.Check("source", check.OK, f"{result.path}: {result.contents}")
    if configured.config_dir is not None:
        with target.Target(configured) as opened:
            yield from _what_it_asks_for(configured, opened, opened.fetch(), skip_images=skip_images)


def _fetched(configured: settings.Settings, *, skip_images: bool) -> Iterator[check.Check]:
    """A repository, or the first that answers of several sources."""
    if configured.config_dir is None:
        return
    with contextlib.ExitStack() as resources:
        try:
            opened = resources.enter_context(aside.opened(configured))
        except errors.ControllerError as error:
            if error.reason != "Unwritable":
                raise
            detail = "not looked at: there is no place for temporary files"
            yield check.Check("source", check.WARN, detail, "set TMPDIR to a folder that this user can write")
            return
        fetched = opened.fetch()
        wanted = opened.read()
        at = f"commit {fetched.commit[:12]}" if fetched.commit else f"revision {digest.short(fetched.revision)}"
        yield check.Check("source", check.OK, f"{at}: {report.contents(wanted.items.values())}")
        for note in fetched.notes:
            yield check.Check("source", check.WARN, note, "see why the sources before it are away")
        yield from _what_it_asks_for(configured, opened, fetched, skip_images=skip_images)


def _what_it_asks_for(
    configured: settings.Settings, opened: target.Target, fetched: world.Fetched, *, skip_images: bool
) -> Iterator[check.Check]:
    yield from checks_host.private("secrets file", configured.secrets.env_file)
    yield _secrets(fetched.missing_secrets)
    yield from checks_docker.needed(configured, fetched, opened.read(), skip_images=skip_images)


def _secrets(missing: tuple[str, ...]) -> check.Check:
    if missing:
        hint = errors.MEANINGS["SecretsMissing"].hint
        return check.Check("secrets", check.FAIL, f"not set: {', '.join(missing)}", hint)
    return check.Check("secrets", check.OK, "every required one is set")
