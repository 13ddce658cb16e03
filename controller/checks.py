"""The checks of `controller doctor`: each looks at one thing that a pass needs and says the way out.

Owns their order, and those of the interpreter and the settings; `checks_host`, `checks_target`, `checks_source` and
`checks_docker` have the others. A check that writes does so in a file of its own and removes it; the record and the
documents are only read.
"""

import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from controller import check, checks_docker, checks_host, checks_source, checks_target, errors, settings, targets

Check = check.Check
OK, WARN, FAIL = check.OK, check.WARN, check.FAIL


def run(
    config: Path | None,
    flags: Mapping[tuple[str, ...], Any],
    chosen: tuple[str, ...] = (),
    *,
    skip_images: bool = False,
) -> tuple[Check, ...]:
    """Every check, of several targets all those of one after the other. Without valid settings the ones that need them
    are left out, and the settings check says why."""
    found = (_interpreter(), _yaml_scanner())
    try:
        loaded = targets.load(config, flags, chosen)
    except errors.ControllerError as error:
        if error.reason == "Usage":
            raise
        places = "; ".join(str(problem) for problem in error.problems)
        wrong = f"{error.message}: {places}" if places else error.message
        return (*found, Check("settings", FAIL, wrong, error.meaning.hint))
    valid = Check("settings", OK, str(config) if config else "flags, environment and defaults")
    several = len(loaded) > 1
    of_each = (
        replace(made, target=one.name if several else "")
        for one in loaded
        for made in of_target(one, skip_images=skip_images)
    )
    return (*found, valid, *of_each)


def of_target(configured: settings.Settings, *, skip_images: bool = False) -> tuple[Check, ...]:
    """Every check of one target, and of this host for it. A check that fails hides no other that does not need it."""
    of_source = tuple(check.guarded("source", lambda: checks_source.source(configured, skip_images=skip_images)))
    is_docker_asked = any(one.name == "docker" for one in of_source)
    return (
        *checks_host.programs(configured),
        *check.guarded("CONFIG_DIR", lambda: checks_target.config_dir(configured)),
        *check.guarded("record", lambda: checks_target.record(configured)),
        *checks_host.surroundings(configured),
        *of_source,
        *(() if is_docker_asked else check.guarded("docker", lambda: checks_docker.without_source(configured))),
    )


def _interpreter() -> Check:
    """The package refuses to install on an older one, so this line is for bug reports."""
    return Check("python", OK, platform.python_version())


def _yaml_scanner() -> Check:
    try:
        from manifests import yaml_text

        yaml_text.parse(b"a: 1")
    except ImportError:
        return Check("yaml", FAIL, "the C scanner is missing", "install ruamel.yaml with its extra oldlibyaml")
    return Check("yaml", OK, "C scanner")
