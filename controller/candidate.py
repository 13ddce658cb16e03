"""Settings that are to begin, looked at before anything is done with them.

Used by a controller that stays, at its start and before new settings take the place of those that work. Owns what can
be said without a pass: what no pass could ever work with is an error here. Changes nothing.
"""

from controller import errors, notify, settings, settings_values, target
from controller.http import server, sockets
from controller.sources import reading


def require(wanted: tuple[settings.Settings, ...]) -> None:
    """Raises `ControllerError("SettingsInvalid")`, as a single pass of any of the targets would, or as a part of the
    daemon would at its start."""
    for one in wanted:
        try:
            with target.Target(one) as opened:
                reading.require_usable(one, opened.state_dir)
        except errors.ControllerError as error:
            error.message = f"target {one.name}: {error.message}" if len(wanted) > 1 else error.message
            raise
    of_all = wanted[0]
    if of_all.http.listen is not None:
        server.secret_of(of_all.http)
    notify.destination(of_all.notify)


def require_address(wanted: str | None, held: str) -> None:
    """Raises `ControllerError` ("ListenFailed", "SettingsInvalid") when nobody can listen there. `held` is the address
    that this process listens on now, "" for none: its port cannot be tried before it is free."""
    if wanted is None:
        return
    if held and _port(wanted) == _port(held):
        return
    sockets.listening(wanted).close()


def _port(address: str) -> int:
    try:
        return settings_values.host_and_port(address)[1]
    except ValueError as error:
        raise errors.ControllerError("SettingsInvalid", f"http.listen: {error}") from None
