"""The section `source` of `controller.yml`: one source of artifacts, or several that are tried in order.

Owns its shape, defaults and bounds, as `controller.settings_sections` does for the others, and what a list of sources
must be. `controller.sources` reads them.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Self

import pydantic

from controller import settings_sections


class DirectorySource(settings_sections.Section):
    """A folder of artifacts."""

    path: settings_sections.Place = pydantic.Field(description="a relative path begins at the folder of controller.yml")
    allow_outside: bool = pydantic.Field(default=False, description="let artifact_root leave the source's folder")
    watch: bool = pydantic.Field(default=True, description="listen for file events; without, only rescan")
    debounce: settings_sections.Deadline = pydantic.Field(
        default=0.1, description="new content is read once two looks this far apart saw the same"
    )
    patience: settings_sections.Deadline = pydantic.Field(
        default=10.0, description="how long content may keep moving before that is told"
    )


class Verification(StrEnum):
    """What must be signed before a commit is read."""

    NONE = "none"
    HEAD = "head"
    TAG = "tag"


class GitVerify(settings_sections.Section):
    """Signatures that a commit needs."""

    policy: Verification = pydantic.Field(
        default=Verification.NONE, description="none, head (the commit) or tag (the annotated tag of ref)"
    )
    allowed_signers_file: settings_sections.Place | None = pydantic.Field(
        default=None, description="ssh keys, as in ssh-keygen(1)"
    )
    keyring_file: settings_sections.Place | None = pydantic.Field(
        default=None, description="exported OpenPGP public keys"
    )


class GitSource(settings_sections.Section):
    """A git repository that is followed."""

    url: str = pydantic.Field(description="https://, ssh://, user@host:path, http:// or file://")
    ref: str = pydantic.Field(default="main", description="branch, tag, commit, or semver:RANGE of tags")
    path: str = pydantic.Field(default=".", description="the folder of artifacts in the repository")
    username: str | None = pydantic.Field(default=None, description="for https; many hosts take any name with a token")
    password: pydantic.SecretStr | None = pydantic.Field(default=None, description="password or token for https")
    password_file: settings_sections.Place | None = pydantic.Field(
        default=None, description="the same in a file, which is better"
    )
    ca_file: settings_sections.Place | None = pydantic.Field(
        default=None, description="certificates to trust besides nobody else's"
    )
    proxy: str | None = pydantic.Field(default=None, description="http(s) or socks5 proxy")
    ssh_key_file: settings_sections.Place | None = pydantic.Field(
        default=None, description="private key for ssh, without a passphrase"
    )
    known_hosts_file: settings_sections.Place | None = pydantic.Field(default=None, description="required with ssh")
    verify: GitVerify = GitVerify()
    accept: settings_sections.Names = pydantic.Field(
        default=(),
        description="full commit ids that may be applied although they are no descendants; in a variable: A,B",
    )
    max_bytes: int = pydantic.Field(default=1 << 30, gt=0, description="largest checkout")
    max_file_bytes: int = pydantic.Field(default=256 << 20, gt=0, description="largest file in it")
    max_files: int = pydantic.Field(default=200_000, gt=0, description="most files in it")


class Source(settings_sections.Section):
    """Where artifacts come from: one of the two."""

    directory: DirectorySource | None = None
    git: GitSource | None = None
    takes_over: bool = pydantic.Field(
        default=False,
        description="in a list, not for the first: while those before are away, apply also what may be older",
    )

    @pydantic.model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.directory is not None and self.git is not None:
            raise ValueError("name a directory or a git repository, not both")
        return self

    @property
    def kind(self) -> str:
        """``directory`` or ``git``; "" when neither is set."""
        if self.git is not None:
            return "git"
        return "directory" if self.directory is not None else ""


class Sources(pydantic.RootModel[tuple[Source, ...]]):
    """One source, or a list of sources that are tried in order."""

    model_config = pydantic.ConfigDict(frozen=True)

    root: tuple[Source, ...] = ()

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _one_or_several(cls, value: Any, handler: pydantic.ModelWrapValidatorHandler[Self]) -> Self:
        """What is wrong with a single source is told at its own keys, without a number."""
        if isinstance(value, Source):
            return cls.model_construct((value,))
        if isinstance(value, Mapping):
            value = [Source.model_validate(value)]
        elif isinstance(value, list | tuple):
            if not value:
                raise ValueError("an empty list names no source")
            _require_kinds(value)
        elif value is None or isinstance(value, str | int | float):
            raise ValueError("write one source as a mapping, or a list of sources")
        made = handler(value)
        if made.each and made.each[0].takes_over:
            raise ValueError("takes_over is for a source after the first of a list")
        return made

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: pydantic.GetJsonSchemaHandler) -> dict[str, Any]:
        listed = handler.resolve_ref_schema(handler(core_schema))
        return {
            "anyOf": [listed["items"], {"type": "array", "items": listed["items"], "minItems": 1}],
            "description": cls.__doc__,
        }

    @property
    def each(self) -> tuple[Source, ...]:
        """The sources in their order; none when nothing is set."""
        return tuple(one for one in self.root if one.kind)

    @property
    def directories(self) -> tuple[DirectorySource, ...]:
        """The folders among them, in order."""
        return tuple(one.directory for one in self.root if one.directory is not None)

    @property
    def gits(self) -> tuple[GitSource, ...]:
        """The repositories among them, in order."""
        return tuple(one.git for one in self.root if one.git is not None)

    @property
    def directory(self) -> DirectorySource | None:
        """The first folder."""
        return next(iter(self.directories), None)

    @property
    def git(self) -> GitSource | None:
        """The first repository."""
        return next(iter(self.gits), None)


def _require_kinds(listed: Sequence[Any]) -> None:
    """A member of a list that names no source would be passed over in silence. What is misspelt is told as that."""
    for number, one in enumerate(listed):
        known = isinstance(one, Mapping) and set(one) <= set(Source.model_fields)
        if known and not (one.get("directory") or one.get("git")):
            raise ValueError(f"source {number + 1} of the list names neither a directory nor a git repository")
