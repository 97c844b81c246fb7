"""The registry of reverse segmenters."""

from __future__ import annotations

import pytest

from leanseg.errors import UsageError
from leanseg.estimate import reverse
from leanseg.estimate.patch_fusion import PatchFusion


def test_names_and_own_classes() -> None:
    assert isinstance(reverse.create("patch", neighbours=3), PatchFusion)
    own = reverse.create("leanseg.estimate.patch_fusion:PatchFusion", reach=0)
    assert isinstance(own, PatchFusion) and own.reach == 0
    assert type(reverse.create("unet", steps=3)).__name__ == "ReverseUNet"


@pytest.mark.parametrize(
    ("name", "keywords", "says"),
    [
        ("magic", {}, "choose patch, unet, universeg"),
        ("nowhere:Class", {}, "No module named"),
        ("leanseg.estimate.patch_fusion:Nothing", {}, "Nothing"),
        ("patch", {"colour": 1}, "colour"),
        ("universeg", {}, "JJGO/UniverSeg"),
    ],
)
def test_what_cannot_be_built(name: str, keywords: dict, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        reverse.create(name, **keywords)
