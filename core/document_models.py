"""The shapes of functions.yml, routing.yml and resources.yml: contract.md section 4, *Document validity*.

Owns the rules of single keys, as pydantic models that are only asked whether a value fits: what is merged and
published is the value itself, so keys that no rule knows pass unchanged. Warnings, and what is cut out of the
documents, are in `core.documents`.
"""

import functools
from typing import Annotated

import pydantic
from pydantic import Field

from core import grammar, images, sentences


def _checked_image(text: str) -> str:
    problem = images.reference_problem(text)
    if problem:
        raise sentences.broken(problem)
    return text


def _checked_path(text: str) -> str:
    problem = grammar.path_problem(text)
    if problem:
        raise sentences.broken(problem)
    return text


Environment = dict[
    Annotated[str, Field(pattern=grammar.ENVIRONMENT_KEY)], Annotated[str, Field(pattern=grammar.ENVIRONMENT_VALUE)]
]
Section = list[dict[str, object]]


class _Shape(pydantic.BaseModel):
    """Strict: a boolean is no number, a number no text. A field with a default may be absent, but not null."""

    # `hide_input_in_errors`: a traceback must not print what may be a secret (faults.md K4).
    model_config = pydantic.ConfigDict(
        strict=True, extra="ignore", frozen=True, defer_build=True, hide_input_in_errors=True
    )


class Scaling(_Shape):
    """`scaling` of a function or of the defaults; idle and acquire time-outs are in seconds (consumers.md GW10)."""

    min_capacity: int = Field(0, ge=0)
    max_capacity: int = Field(0, ge=0)
    idle_timeout: float = Field(0, gt=0, allow_inf_nan=False)
    acquire_timeout: float = Field(0, gt=0, allow_inf_nan=False)


class Function(_Shape):
    """One function. `timeout` is in seconds, `memory_size` in MiB."""

    image: Annotated[str, pydantic.AfterValidator(_checked_image)]
    timeout: int = Field(0, gt=0)
    memory_size: int = Field(0, gt=0)
    environment: Environment = {}
    scaling: Scaling = Scaling.model_construct()
    events: Section = []


class Defaults(_Shape):
    """`defaults`: a null section is the same as none."""

    environment: Environment | None = None
    scaling: Scaling | None = None


class Functions(_Shape):
    """functions.yml."""

    functions: dict[Annotated[str, Field(pattern=grammar.FUNCTION_NAME)], Function]
    defaults: Defaults | None = None


class Route(_Shape):
    """One route that has a path."""

    path: Annotated[str, pydantic.AfterValidator(_checked_path)]
    method: str = Field("", pattern=grammar.HTTP_METHOD)
    function: str = Field(min_length=1)


class Resources(_Shape):
    """`resources` of resources.yml. The keys of the items are looked at when they are cut out."""

    dynamodb: Section | None = None
    s3: Section | None = None
    layers: Section | None = None


SCALING_KEYS = frozenset(Scaling.model_fields)


@functools.cache
def routes() -> pydantic.TypeAdapter[list[Route]]:
    """The list of routes that have a path, built at first use."""
    return pydantic.TypeAdapter(list[Route])
