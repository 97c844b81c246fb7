"""The network in the shape of the authors' file (oracle 5 of the specification), and the file itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from leanseg.errors import InputError, UsageError
from leanseg.estimate.universeg import UniverSegReverse
from leanseg.estimate.universeg_net import OFFICIAL, CrossBlock, UniverSeg, load_universeg


@pytest.fixture(scope="module")
def net() -> UniverSeg:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UniverSeg().eval()


def pairs(count: int, side: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    made = torch.Generator().manual_seed(count)
    draw = [torch.rand(n, 1, side, side, generator=made) for n in (1, count, count)]
    return draw[0], draw[1], (draw[2] > 0.5).float()


def official(net: UniverSeg) -> dict[str, Tensor]:
    """The tensors under the names of the authors' file."""
    renamed = {}
    for name, value in net.state_dict().items():
        for theirs, ours in OFFICIAL:
            name = name.replace(ours, theirs) if not name.startswith(theirs) else name
        renamed[name] = value
    return renamed


def test_parameters(net: UniverSeg) -> None:
    cross = [block.cross for block in (*net.encoder, *net.decoder)]
    counts = [sum(p.numel() for p in layer.parameters()) for layer in cross]
    assert counts == [1792, *[73_792] * 3, *[147_520] * 3]
    assert sum(p.numel() for p in net.parameters()) == 1_182_785


@pytest.mark.parametrize("count", [1, 2, 64])
def test_any_number_of_supports_in_any_order(net: UniverSeg, count: int) -> None:
    query, images, masks = pairs(count)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain, mixed = net(query, images, masks), net(query, images[order], masks[order])
    assert plain.shape == (1, 1, 16, 16)
    assert (plain - mixed).abs().max() < 1e-5


def test_supports_matter_and_the_masks_with_them(net: UniverSeg) -> None:
    query, images, masks = pairs(4)
    with torch.no_grad():
        plain = net(query, images, masks)
        assert (plain - net(query, images.flip(0), masks)).abs().max() > 1e-4
        assert (plain - net(query, images, 1 - masks)).abs().max() > 1e-4


def test_a_block_convolves_each_support_together_with_the_query() -> None:
    block = CrossBlock(3, 5)
    query, supports = torch.rand(1, 3, 6, 7), torch.rand(4, 5, 6, 7)
    with torch.no_grad():
        found = block(query, supports)
        met = block.cross(torch.cat([query.expand(4, -1, -1, -1), supports], 1))
        wanted = F.leaky_relu(block.query(met.mean(0, keepdim=True))), F.leaky_relu(block.support(met))
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_the_authors_names_load_and_the_segmenter_runs(net: UniverSeg, tmp_path: Path) -> None:
    tensors = official(net)
    assert {"enc_blocks.0.cross.cross_conv.weight", "dec_blocks.2.support.vmapped.conv.bias", "out_conv.conv.bias"} < (
        tensors.keys()
    )
    torch.save(tensors, tmp_path / "weights.pt")
    loaded = load_universeg(tmp_path / "weights.pt").state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in net.state_dict().items())
    reverse = UniverSegReverse(weights=tmp_path / "weights.pt")
    colour = np.random.default_rng(0).integers(0, 255, (3, 20, 24))
    prepared = reverse.prepare(colour)
    assert prepared.pixels.shape == (1, 128, 128) and 0 <= prepared.pixels.min() <= prepared.pixels.max() <= 1
    shown = reverse.fit([prepared, prepared], [prepared])
    answer = shown.predict([colour[0] > 100, None])[0]
    assert shown.threshold == 0.4 and answer.shape == (20, 24) and 0 < answer.min() <= answer.max() < 1
    assert not shown.predict([None, None])[0].any()


def test_files_that_do_not_fit(net: UniverSeg, tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    with pytest.raises(InputError, match=r"no such file.*JJGO/UniverSeg"):
        load_universeg(file)
    file.write_bytes(b"no weights at all")
    with pytest.raises(InputError, match="not a file of weights"):
        load_universeg(file)
    torch.save([1, 2], file)
    with pytest.raises(InputError, match="named tensors"):
        load_universeg(file)
    tensors = official(net)
    broken = (
        {name: value for name, value in tensors.items() if "out_conv" not in name},
        {**tensors, "more": torch.zeros(1)},
        {**tensors, "out_conv.conv.bias": torch.zeros(2)},
    )
    for wrong in broken:
        torch.save(wrong, file)
        with pytest.raises(InputError, match="not the weights of UniverSeg"):
            load_universeg(file)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (tmp_path.joinpath("ran").touch, ())

    torch.save({"weights": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="not a file of weights"):
        load_universeg(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_without_a_file_the_user_learns_where_it_comes_from() -> None:
    with pytest.raises(UsageError, match=r"never downloads.*OpenRAIL"):
        UniverSegReverse()
