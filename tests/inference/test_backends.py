"""Both backends answer alike, and say what is wrong with a model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leanseg.bundle import Bundle, Part, write_bundle
from leanseg.errors import InputError, UsageError
from leanseg.images.image import Image
from leanseg.inference.backends import OnnxBackend, TorchBackend, open_backend
from leanseg.inference.predictor import Predictor
from leanseg.types import Classes


def test_a_broken_graph_is_named(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(InputError, match="cannot load the graph"):
        OnnxBackend(tmp_path / "model.onnx")


def test_a_device_that_is_not_there(make_bundle):
    bundle = make_bundle()
    with pytest.raises(UsageError, match="runs on cpu, not on 'mps'"):
        Predictor(bundle=bundle, device="mps")


def test_a_backend_without_a_file(make_bundle):
    bundle = make_bundle()
    with pytest.raises(UsageError, match="no file for the torch backend; use backend='onnx'"):
        open_backend(bundle.parts[0], bundle, kind="torch")


def test_a_graph_with_other_channels_or_outputs(make_bundle):
    bundle = make_bundle()
    backend = OnnxBackend(bundle.path("part0.onnx"), threads=1)
    with pytest.raises(InputError, match=r"fails on an input of size \(1, 2, 8, 8\)"):
        backend.run(np.zeros((1, 2, 8, 8), np.float32))
    wrong = replace(bundle, classes=Classes(names=("a", "b")), threshold=())
    with pytest.raises(UsageError, match=r"should answer with \(1, 3, 8, 8\), it gives \(1, 1, 8, 8\)"):
        Predictor(bundle=wrong).predict(Image(np.zeros((3, 8, 8), np.uint8)))


@pytest.fixture
def weighted(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save

    from leanseg import nets

    torch.manual_seed(0)
    net = nets.create("mini-net", in_channels=3, classes=1, widths=(4, 8, 8))
    with torch.no_grad():
        net.train()(torch.randn(2, 3, 32, 32))
    part = Part(
        net="mini-net", keywords={"in_channels": 3, "widths": [4, 8, 8]}, weights="w.safetensors", divisor=4,
        halo=net.halo,
    )  # fmt: skip
    bundle = Bundle(name="torch", parts=(part,), classes=Classes(names=("vessel",)))
    return net.eval(), write_bundle(bundle, tmp_path / "model", files={"w.safetensors": save(net.state_dict())})


def test_torch_gives_the_logits_of_the_net(weighted):
    import torch

    net, bundle = weighted
    pixels = np.random.default_rng(0).normal(size=(1, 3, 24, 20)).astype(np.float32)
    found = TorchBackend(bundle.parts[0], bundle.path("w.safetensors")).run(pixels)
    with torch.no_grad():
        np.testing.assert_allclose(found, net(torch.from_numpy(pixels)).numpy(), rtol=1e-4, atol=1e-4)


def test_tiles_of_mini_net_equal_the_whole(weighted, monkeypatch):
    from leanseg.inference import predictor as module

    _, bundle = weighted
    image = Image(np.random.default_rng(0).integers(0, 256, (3, 60, 181), dtype=np.uint8))
    predictor = Predictor(bundle=bundle, backend="torch")
    whole = predictor.predict(image, probabilities=True).probabilities
    monkeypatch.setattr(module, "SIDES", {2: (120,)})
    np.testing.assert_allclose(predictor.predict(image, probabilities=True).probabilities, whole, atol=5e-5)


def test_weights_that_do_not_fit(weighted):
    _, bundle = weighted
    other = replace(bundle.parts[0], keywords={"in_channels": 1})
    with pytest.raises(InputError, match="do not fit the net"):
        TorchBackend(other, bundle.path("w.safetensors"))
    with pytest.raises(UsageError, match="unknown net"):
        TorchBackend(replace(other, net="evil:Net"), bundle.path("w.safetensors"))
