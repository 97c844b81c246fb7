"""All backends answer alike, and say what is wrong with a model."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from skimage.data import retina

from leanseg.bundle import Bundle, Part, read_bundle, write_bundle
from leanseg.errors import InputError, MissingExtra, UsageError
from leanseg.images.image import Image
from leanseg.inference import backends
from leanseg.inference.backends import OnnxBackend, OpenVinoBackend, TorchBackend, fastest, open_backend
from leanseg.inference.predictor import Predictor
from leanseg.types import Classes

openvino = pytest.mark.skipif(
    find_spec("openvino") is None, reason="OpenVINO is not installed: pip install 'leanseg[openvino]'"
)


SIGNALLED = """
import os, signal, sys
from pathlib import Path
from threading import Thread
from leanseg.bundle import read_bundle
from leanseg.inference.backends import open_backend

bundle = read_bundle(Path(sys.argv[1]))
loaded = [open_backend(bundle.parts[0], bundle, kind="openvino", threads=1)]
thread = Thread(target=loaded.clear)
thread.start()
thread.join()
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.parametrize("kind", [OnnxBackend, pytest.param(OpenVinoBackend, marks=openvino)])
def test_a_broken_graph_is_named(tmp_path, kind):
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(InputError, match="cannot load the graph"):
        kind(tmp_path / "model.onnx")


def test_a_device_that_is_not_there(make_bundle):
    bundle = make_bundle()
    with pytest.raises(UsageError, match="runs on cpu, not on 'mps'"):
        Predictor(bundle=bundle, device="mps", backend="onnx")
    with pytest.raises(UsageError, match="runs on cpu, not on 'cuda'"):
        Predictor(bundle=bundle, device="cuda", backend="openvino")
    with pytest.raises(UsageError, match="no file for the torch backend; use device='cpu'"):
        Predictor(bundle=bundle, device="mps")


@pytest.mark.parametrize("installed", [True, False])
def test_the_fastest_that_is_installed(monkeypatch, installed):
    monkeypatch.setattr(backends, "find_spec", lambda name: object() if installed else None)
    graph = Part(net="mini-net", onnx="a.onnx")
    weights = Part(net="mini-net", weights="a.safetensors")
    assert fastest([graph]) == ("openvino" if installed else "onnx")
    assert fastest([graph], device="cuda") == "onnx"
    assert fastest([graph, weights]) == fastest([graph], device="mps") == "torch"


def test_a_missing_openvino_names_the_extra(make_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(backends, "_core", backends._core.__wrapped__)
    with pytest.raises(MissingExtra, match=r"pip install 'leanseg\[openvino\]'"):
        Predictor(bundle=make_bundle(), backend="openvino")


@openvino
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_signal_after_another_thread_dropped_the_model(make_bundle):
    bundle = make_bundle()
    done = subprocess.run([sys.executable, "-c", SIGNALLED, str(bundle.folder)], capture_output=True, check=False)
    assert (done.returncode, done.stdout.decode().strip()) == (0, "handled"), done.stderr.decode()


@openvino
@pytest.mark.parametrize("dims", [2, 3])
def test_openvino_gives_the_logits_of_onnx_at_any_size(make_bundle, dims):
    path = make_bundle("strided", dims=dims).path("part0.onnx")
    one, other = OnnxBackend(path), OpenVinoBackend(path, threads=1)
    random = np.random.default_rng(0)
    answers = []
    for size in ((24, 20), (40, 64), (24, 20)):
        pixels = random.normal(size=(1, 3, *([8] * (dims - 2)), *size)).astype(np.float32)
        answers.append((one.run(pixels), other.run(pixels)))
    # Compared at the end: no answer is overwritten by a later one.
    for wanted, found in answers:
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-4)


@openvino
def test_openvino_serves_several_threads(make_bundle):
    backend = OpenVinoBackend(make_bundle("strided").path("part0.onnx"), threads=1)
    pixels = [np.full((1, 3, 64, 64), value, np.float32) for value in range(8)]
    wanted = [backend.run(one) for one in pixels]
    with ThreadPoolExecutor(4) as pool:
        for found, expected in zip(pool.map(backend.run, pixels), wanted, strict=True):
            np.testing.assert_array_equal(found, expected)


@openvino
def test_openvino_names_what_a_graph_does_not_take(make_bundle):
    backend = OpenVinoBackend(make_bundle().path("part0.onnx"))
    with pytest.raises(InputError, match=r"fails on an input of size \(1, 2, 8, 8\)"):
        backend.run(np.zeros((1, 2, 8, 8), np.float32))


@openvino
def test_masks_of_a_photograph_are_the_same():
    image = Image(np.ascontiguousarray(retina()[::2, ::2].transpose(2, 0, 1)))
    bundle = read_bundle("vessels")
    one, other = (Predictor(bundle=bundle, backend=kind).predict(image).labels for kind in ("onnx", "openvino"))
    assert (one == other).mean() >= 0.9999


@openvino
def test_half_precision_changes_few_pixels_of_a_photograph():
    image = Image(np.ascontiguousarray(retina()[::2, ::2].transpose(2, 0, 1)))
    bundle = read_bundle("vessels")
    full = Predictor(bundle=bundle, backend="openvino").predict(image, probabilities=True)
    half = Predictor(bundle=bundle, backend="openvino", half=True).predict(image, probabilities=True)
    assert (full.labels == half.labels).mean() >= 0.999
    assert np.abs(full.probabilities - half.probabilities).mean() < 0.01


def test_half_precision_needs_another_backend_than_onnx(make_bundle, monkeypatch):
    with pytest.raises(UsageError, match="half needs backend openvino or torch"):
        Predictor(bundle=make_bundle(), backend="onnx", half=True)
    graph = Part(net="mini-net", onnx="a.onnx")
    monkeypatch.setattr(backends, "find_spec", lambda name: object() if name == "torch" else None)
    assert fastest([graph], half=True) == "torch"
    # Where neither is installed, the smaller one is asked for.
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    assert fastest([graph], half=True) == "openvino"
    assert fastest([graph], device="cuda", half=True) == "torch"


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


def test_torch_in_half_precision_is_near_and_not_equal(weighted):
    _, bundle = weighted
    pixels = np.random.default_rng(0).normal(size=(1, 3, 24, 20)).astype(np.float32)
    weights = bundle.path("w.safetensors")
    full, half = (TorchBackend(bundle.parts[0], weights, half=one).run(pixels) for one in (False, True))
    assert half.dtype == np.float32 and not np.array_equal(full, half)
    np.testing.assert_allclose(half, full, atol=0.05 * np.abs(full).max())


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
