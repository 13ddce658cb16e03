"""The questions of `controller init`: what flags left open, asked on a terminal, taken from what was found, or refused.

Owns which answers there must be, and the words of the questions. Reads no file.
"""

from collections.abc import Mapping
from typing import Any

import click

from controller import first_settings, output
from core import git_refs

_NOTHING = "none"
"""What a person writes to leave something out that has a default."""


def complete(
    given: Mapping[str, Any], found: first_settings.Found, *, ask: bool, take_found: bool
) -> dict[tuple[str, ...], Any]:
    """The settings that flags and answers make. Without somebody to ask, source and CONFIG_DIR must be given, unless
    `take_found` takes what is there. Raises `click.UsageError`, which names the flag."""
    if given["source"] and given["git"]:
        raise click.UsageError("--source and --git: name one of them")
    replies = _Replies(ask=ask, take_found=take_found)
    source, git = given["source"], given["git"]
    if not (source or git):
        told = replies.required(
            "A folder of artifacts, or the URL of a git repository", found.source, "--source or --git"
        )
        source, git = (None, told) if git_refs.scheme(told) else (told, None)
    settings: dict[tuple[str, ...], Any] = {
        ("source", "directory", "path"): source,
        ("manifest", "path"): given["manifest"] or _manifest(found, source, replies),
        **_of_git(given, git, replies),
    }
    config_dir = given["config_dir"] or replies.required(
        "CONFIG_DIR, which the gateway reads", "config", "--config-dir"
    )
    state_dir = given["state_dir"] or (replies.optional("A folder for clone and record", "state") if git else None)
    if git and not state_dir:
        state_dir = "state"  # a clone must not lie below CONFIG_DIR
    settings |= {("config_dir",): config_dir, ("state_dir",): state_dir}
    return settings | _of_stack(given, found, replies) | _of_http(given, replies)


def _manifest(found: first_settings.Found, source: str | None, replies: "_Replies") -> str | None:
    """Which artifact.yml, where there are several below the folder that was found."""
    if source is None or source != found.source or len(found.manifests) < 2:
        return None
    return replies.required(f"Which of {', '.join(found.manifests)}", "", "--manifest")


def _of_git(given: Mapping[str, Any], git: str | None, replies: "_Replies") -> dict[tuple[str, ...], Any]:
    if git is None:
        return {}
    by_ssh = git_refs.scheme(git) == "ssh"
    settings = {"url": git, "ref": given["ref"] or replies.optional("Branch, tag, commit or semver:RANGE", "main")}
    if by_ssh or given["known_hosts"] or given["ssh_key"]:
        asked = given["known_hosts"] or replies.required("known_hosts file of its ssh server", "", "--known-hosts")
        settings["known_hosts_file"] = asked
        settings["ssh_key_file"] = given["ssh_key"] or replies.optional("Private ssh key")
    return {("source", "git", name): value for name, value in settings.items()}


def _of_stack(given: Mapping[str, Any], found: first_settings.Found, replies: "_Replies") -> dict[tuple[str, ...], Any]:
    """The stack, and the registry that it pulls from."""
    files = list(given["compose_file"])
    if not files and (answer := replies.optional("Compose file of the stack", found.compose_file)):
        files = [answer]
    settings: dict[tuple[str, ...], Any] = {
        ("stack", "compose_files"): files or None,
        ("stack", "project"): given["project"],
        ("stack", "env_file"): given["env_file"],
    }
    runtime = given["registry"]
    if files and not runtime:
        runtime = replies.optional("Registry as the runtime pulls (HOST:PORT), if images are built here")
    host = given["registry_host"]
    if runtime and not host:
        host = replies.optional("The same registry as this host pushes", runtime)
    return {**settings, ("registry", "runtime"): runtime, ("registry", "host"): host}


def _of_http(given: Mapping[str, Any], replies: "_Replies") -> dict[tuple[str, ...], Any]:
    listen = given["listen"] or replies.optional("Address for health, metrics and webhooks (HOST:PORT)")
    secret = given["webhook_secret_file"]
    if listen and not secret:
        secret = replies.optional("File with the webhook secret")
    return {("http", "listen"): listen, ("http", "webhook_secret_file"): secret}


class _Replies:
    """Where answers come from: a person, what was found, or nobody."""

    def __init__(self, *, ask: bool, take_found: bool) -> None:
        self._ask = ask
        self._take_found = take_found

    def required(self, question: str, default: str, flag: str) -> str:
        """An answer that there must be."""
        if self._ask:
            return self._prompt(question, default)
        if self._take_found and default:
            return default
        raise click.UsageError(f"Missing option {flag}: {question[0].lower()}{question[1:]}.")

    def optional(self, question: str, default: str = "") -> str | None:
        """An answer that may be nothing. Without anybody to ask, only --yes takes what was found."""
        if not self._ask:
            return default if self._take_found and default else None
        answer = self._prompt(question, default or _NOTHING)
        return None if answer == _NOTHING else answer

    def _prompt(self, question: str, default: str) -> str:
        try:
            answer = click.prompt(question, default=output.clean(default) or None, err=True, type=str)
        except click.Abort:
            raise click.UsageError("no answer came: nothing was written") from None
        return str(answer).strip()
