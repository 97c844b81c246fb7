"""Networks by name."""

import pytest

from leanseg.errors import UsageError
from leanseg.nets import NETS, create


@pytest.mark.parametrize("name", sorted(NETS))
def test_every_registered_net_is_built_with_channels_and_classes(name: str) -> None:
    assert create(name, in_channels=2, classes=3).dims in (2, 3)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'resnet'; registered are .*mini-net, .*unet"):
        create("resnet")


def test_foreign_code_runs_only_when_trusted() -> None:
    with pytest.raises(UsageError, match="--trust"):
        create("torch.nn:Conv2d", in_channels=1, out_channels=1, kernel_size=1)
    net = create("torch.nn:Conv2d", trust=True, in_channels=1, out_channels=1, kernel_size=1)
    assert type(net).__name__ == "Conv2d"


@pytest.mark.parametrize("name", ["no.such.module:Net", "torch.nn:NoSuchNet"])
def test_foreign_code_that_is_not_there(name: str) -> None:
    with pytest.raises(UsageError, match="cannot build"):
        create(name, trust=True)


def test_wrong_keywords_name_the_net() -> None:
    with pytest.raises(UsageError, match=r"cannot build net 'unet'.*depth"):
        create("unet", depth=5)
