"""The exported graph answers as the network does, at any size."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from leanseg import nets
from leanseg.errors import LeansegError
from leanseg.export import onnx
from leanseg.export.onnx import export_onnx


@pytest.mark.parametrize(
    ("name", "keywords"),
    [("mini-net", {}), ("mini-net", {"head": "paper", "classes": 3, "variant": "b"}), ("unet", {"in_channels": 1})],
)
def test_answers_equal_at_any_size(name: str, keywords: dict[str, object]) -> None:
    torch.manual_seed(0)
    net = nets.create(name, **keywords)
    channels = int(keywords.get("in_channels", 3))  # type: ignore[call-overload]
    net(torch.randn(2, channels, 32, 32))
    session = onnxruntime.InferenceSession(export_onnx(net.eval(), channels=channels))
    for shape in ((1, channels, 5, 40), (3, channels, 33, 18)):
        image = torch.randn(*shape)
        with torch.no_grad():
            wanted = net(image).numpy()
        (found,) = session.run(None, {"image": image.numpy()})
        np.testing.assert_allclose(found, wanted, atol=1e-4 * max(1.0, float(np.abs(wanted).max())))


def test_volumes() -> None:
    net = nets.create("unet", dims=3, widths=(2, 4), in_channels=1)
    session = onnxruntime.InferenceSession(export_onnx(net, channels=1))
    (found,) = session.run(None, {"image": np.zeros((1, 1, 6, 7, 9), np.float32)})
    assert found.shape == (1, 1, 6, 7, 9)


def test_a_graph_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Noisy(nn.Module):
        dims = 2

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            # Tracing keeps the first draw, so that the graph cannot follow the network.
            return x + float(torch.rand(()))

    monkeypatch.setattr(onnx, "SIZES", ((8, 8),))
    with pytest.raises(LeansegError, match="differs from the network"):
        export_onnx(Noisy(), channels=1)
