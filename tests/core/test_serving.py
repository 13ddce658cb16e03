"""Applied is told from serving as far as containers show it (consumers.md GW14)."""

import pytest

from core import image_inputs, pinned, references, serving

IMAGE = image_inputs.ImageRecord("f", "registry:5010/f:1", "127.0.0.1:5010/f:1", "sha256:input", "sha256:new")


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        ((), serving.Serving()),
        ((serving.Worker("127.0.0.1:5010/other:1"),), serving.Serving()),
        ((serving.Worker("127.0.0.1:5010/f:1@sha256:new"),), serving.Serving(applied=("f",))),
        ((serving.Worker("registry:5010/f@sha256:new"),), serving.Serving(applied=("f",))),
        ((serving.Worker("127.0.0.1:5010/f:1@sha256:old"),), serving.Serving(older=("f",))),
        ((serving.Worker("127.0.0.1:5010/f:1", ("127.0.0.1:5010/f@sha256:new",)),), serving.Serving(applied=("f",))),
        ((serving.Worker("127.0.0.1:5010/f:1", ("127.0.0.1:5010/f@sha256:old",)),), serving.Serving(older=("f",))),
        (
            (serving.Worker("registry:5010/f@sha256:new"), serving.Worker("registry:5010/f@sha256:old")),
            serving.Serving(older=("f",)),
        ),
    ],
)
def test_gw14_what_runs_beside_what_is_applied(workers: tuple[serving.Worker, ...], expected: serving.Serving) -> None:
    assert serving.judge([IMAGE], workers) == expected


def test_gw14_after_a_rollback_the_workers_of_the_older_image_are_the_current_ones() -> None:
    """The record keeps the image that was made last; the live set names the one before."""
    names = references.Registries("registry:5010", "127.0.0.1:5010")
    older = "sha256:" + "0" * 64
    found = pinned.pins([pinned.Published("f", "entry", f"registry:5010/f:1@{older}")], names, [IMAGE])
    shown = pinned.live([IMAGE], found, {"f"})
    for digest, expected in ((older, serving.Serving(applied=("f",))), (IMAGE.digest, serving.Serving(older=("f",)))):
        assert serving.judge(shown, [serving.Worker(f"registry:5010/f@{digest}")]) == expected
