"""Applied is told from serving as far as containers show it (consumers.md GW14)."""

import pytest

from core import image_inputs, serving

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
