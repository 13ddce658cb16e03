"""Checks of `controller doctor` about Docker: engine, buildx, compose, the registry, the stack and its provisioner.

Nothing is asked of a target that needs none of it. Builds, pushes and starts nothing.
"""

from collections.abc import Iterator
from pathlib import Path

from controller import check, compose_stack, errors, settings, world
from core import conditions, desired, items, references
from manifests import pinning


def needed(
    configured: settings.Settings, fetched: world.Fetched, wanted: desired.Desired, *, skip_images: bool
) -> Iterator[check.Check]:
    """What this target needs of Docker, piece by piece; what depends on an engine only when there is one."""
    builds = () if skip_images else tuple(name for _, name in wanted.builds)
    stack = compose_stack.ComposeStack(configured, configured.config_dir or Path())
    if not (stack.configured or builds):
        yield check.Check("docker", check.OK, "not needed: no stack is configured, and there is no image to build")
        return
    pieces = tuple(_pieces(stack, builds))
    yield from pieces
    if any(piece.status == check.FAIL for piece in pieces):
        return
    if builds:
        yield from check.guarded("registry", lambda: _registry(configured, stack, wanted, builds))
    yield from check.guarded("stack", lambda: _stack(configured, stack, fetched))
    yield from check.guarded("provisioner", lambda: _provisioner(configured, stack, fetched.project))


def without_source(configured: settings.Settings) -> Iterator[check.Check]:
    """What can be asked while nobody knows what the source wants: the engine, and compose, of a configured stack."""
    stack = compose_stack.ComposeStack(configured, configured.config_dir or Path())
    if stack.configured:
        yield from _pieces(stack, ())


def _pieces(stack: compose_stack.ComposeStack, builds: tuple[str, ...]) -> Iterator[check.Check]:
    """The engine, and each plugin that is needed. Without an engine the plugins are not asked for."""
    from controller import docker, docker_preflight

    count = f"; {len(builds)} image{'' if len(builds) == 1 else 's'} to build" if builds else ""
    wanted: list[tuple[str, tuple[docker.Piece, ...], str]] = [
        ("docker", (docker.Piece.ENGINE,), f"{stack.engine.address} answers{count}")
    ]
    plugins = ((docker.Piece.BUILDX, bool(builds)), (docker.Piece.COMPOSE, stack.provisions))
    for plugin in (one for one, needed in plugins if needed):
        oldest = ".".join(map(str, docker_preflight.OLDEST[plugin]))
        with_engine = (docker.Piece.ENGINE,) if plugin is docker.Piece.BUILDX else ()  # which must be new enough too
        wanted.append((str(plugin), (*with_engine, plugin), f"{oldest} or newer"))
    for name, pieces, well in wanted:
        try:
            stack.engine.preflight(pieces)
        except errors.ControllerError as error:
            hint = "install or start what is missing, or give this user access to it"
            yield check.Check(name, check.FAIL, error.message, hint)
            if name == "docker":
                return
        else:
            yield check.Check(name, check.OK, well)


def _registry(
    configured: settings.Settings, stack: compose_stack.ComposeStack, wanted: desired.Desired, builds: tuple[str, ...]
) -> Iterator[check.Check]:
    """Whether each registry that is pushed to answers, by one question about one of its images. Whether a push is
    allowed shows only with a push."""
    from controller import registry, registry_names
    from controller.probes import asking

    given = configured.registry
    names = references.Registries(given.runtime or "", given.host or "")
    asked = registry.Registry(
        insecure_hosts=[given.host] if given.host and given.insecure else [],
        deadline_s=configured.deadlines.probe,
        fallback=stack.engine.remote_manifest,
    )
    images = (pinning.image_of(wanted.items[items.ItemKey(items.Kind.FUNCTION, name)]) for name in builds)
    targets = {references.moved(references.tagged(image), names) for image in images}
    try:
        for host, target in sorted({registry_names.split(one).host: one for one in sorted(targets)}.items()):
            if asking.out_of_reach(target, stack.engine):
                yield check.Check("registry", check.OK, f"{host} is on the engine's own host, which alone can ask it")
                continue
            answer = asked.digest(target)
            if answer.unreachable:
                hint = errors.MEANINGS["RegistryUnavailable"].hint
                yield check.Check("registry", check.FAIL, f"{host}: {answer.unreachable}", hint)
            else:
                yield check.Check("registry", check.OK, f"{host} answers")
    finally:
        asked.close()


def _stack(
    configured: settings.Settings, stack: compose_stack.ComposeStack, fetched: world.Fetched
) -> Iterator[check.Check]:
    """What runs, and whether it can take the artifact: as a pass judges it (contract.md section 6)."""
    seen = stack.probe(fetched.project, needed=False)
    if not seen.services:
        hint = errors.MEANINGS["StackNotRunning"].hint
        yield check.Check("stack", check.WARN, seen.unknown or f"nothing runs in {seen.source}", hint)
        return
    found = conditions.of_stack(fetched.requirement, seen, strict=configured.policy.strict)
    fits, _, why = found["Compatible"]
    if fits == "False":
        yield check.Check("stack", check.FAIL, why, errors.MEANINGS["StackIncompatible"].hint)
        return
    well, _, how = found["Healthy"]
    if well != "True":
        hint = "look at its logs: `docker compose logs`; `controller probe` shows every service"
        yield check.Check("stack", check.WARN, f"{seen.source}: {how}", hint)
        return
    unsure = fits != "True" and fetched.requirement is not None
    hint = "`controller probe` shows what could not be seen" if unsure else ""
    yield check.Check("stack", check.WARN if unsure else check.OK, f"{how}; compatible: {why}", hint)


def _provisioner(
    configured: settings.Settings, stack: compose_stack.ComposeStack, of_manifest: str
) -> Iterator[check.Check]:
    """What a pass asks before it begins anything that the provisioner has to finish."""
    if stack.provisions:
        stack.require_service(of_manifest)
        detail = f"service {configured.stack.provisioner} of project {stack.project(of_manifest)}"
        yield check.Check("provisioner", check.OK, detail)
