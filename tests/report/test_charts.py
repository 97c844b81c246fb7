"""Charts are valid XML, put points where they belong and make foreign words harmless."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanseg.errors import UsageError
from leanseg.report._axes import Axes, Box, ticks
from leanseg.report.charts import Curve, Dots, Reliability, dot_plot, line_chart, reliability_diagram

SVG = "{http://www.w3.org/2000/svg}"


def _points(line: ET.Element) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6))
def test_ticks_enclose_the_range_in_equal_steps(low: float, span: float) -> None:
    marks = ticks(low, low + span)
    assert 2 <= len(marks) <= 8
    assert marks[0] <= low + 1e-6 * span and marks[-1] >= low + span - 1e-6 * span
    np.testing.assert_allclose(np.diff(marks), marks[1] - marks[0], rtol=1e-5, atol=1e-9)


def test_flat_ranges_still_have_an_axis() -> None:
    assert len(ticks(0.0, 0.0)) >= 2 and len(ticks(5.0, 5.0)) >= 2


def test_axes_put_the_ends_at_the_corners() -> None:
    axes = Axes(Box(10, 20, 110, 220), (0, 4), (1, 3))
    assert (axes.x(0), axes.x(4), axes.y(1), axes.y(3)) == (10, 110, 220, 20)


def test_lines_follow_the_values_and_break_at_nan() -> None:
    curve = Curve(name="loss", x=(0, 1, 2, 3, 4), y=(1.0, 0.5, float("nan"), 0.2, 0.0))
    root = ET.fromstring(line_chart([curve], title="Loss", x_label="epoch", y_label="loss", mark=(3, "kept")))
    first, second = (_points(line) for line in root.iter(f"{SVG}polyline"))
    assert len(first) == 2 and len(second) == 2
    assert first[0][1] < first[1][1], "falling values go down the page"
    words = "".join(root.itertext())
    assert root.find(f"{SVG}title").text == "Loss" and "epoch" in words and "kept" in words


def test_a_chart_without_points_is_empty_but_drawn() -> None:
    curve = Curve(name="dice", x=(1,), y=(float("nan"),))
    assert not list(ET.fromstring(line_chart([curve], title="", x_label="", y_label="")).iter(f"{SVG}polyline"))


def test_curves_need_a_value_for_each_position() -> None:
    with pytest.raises(UsageError, match="2 positions but 1 values"):
        Curve(name="loss", x=(1, 2), y=(1.0,))


def test_dots_show_every_score_with_its_name() -> None:
    row = Dots(name="<vessel>", values=(0.5, 0.9, float("nan")), mean=0.7, low=0.6, high=0.8, labels=("a<b>", "c", "d"))
    root = ET.fromstring(dot_plot([row], title="Dice", x_label="Dice"))
    titles = [circle.find(f"{SVG}title").text for circle in root.iter(f"{SVG}circle")]
    assert titles == ["a<b> 0.5", "c 0.9"]
    assert "mean 0.7, 95 % interval 0.6 to 0.8" in "".join(root.itertext())


def test_dots_survive_an_unknown_interval() -> None:
    nan = float("nan")
    for mean in (0.7, nan):
        svg = dot_plot([Dots(name="x", values=(0.7,), mean=mean, low=nan, high=nan)], title="", x_label="")
        assert "nan" not in svg.replace("interval nan to nan", "")


def test_reliability_leaves_empty_bins_out() -> None:
    nan = float("nan")
    bins = Reliability(
        edges=(0, 0.5, 1), confidence=(0.2, nan), frequency=(0.1, nan), counts=(90, 0), name="vessel", error=0.1
    )
    root = ET.fromstring(reliability_diagram(bins))
    assert len(list(root.iter(f"{SVG}circle"))) == 1 and len(list(root.iter(f"{SVG}rect"))) == 2
    words = "".join(root.itertext())
    assert "ECE 0.1000" in words and "0.00 to 0.50: 90 pixels" in words
