"""What goes into a report; :mod:`leanseg.report.html` gives it its looks."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import cv2
import numpy as np
from PIL import Image as Pillow

from leanseg.report.charts import Curve, Dots, Reliability
from leanseg.report.figures import Rgb

LIMITS = (
    "This software is for research. It is not a medical device and has not been cleared by any authority: do not base "
    "a diagnosis or a treatment on it. Scores hold for images like those they were measured on."
)


@dataclass(frozen=True)
class Picture:
    """A picture in a report, kept compressed.

    Args:
        jpeg: the encoded picture; :meth:`of` makes it.
        title: what is shown, for instance the image's stem.
        caption: one line below, for instance the scores.
        file: the file beside the report that holds the same in full size, if there is one.
    """

    jpeg: bytes = field(repr=False)
    title: str
    caption: str = ""
    file: str = ""

    @classmethod
    def of(cls, pixels: Rgb, *, title: str, caption: str = "", file: str = "", longest: int = 720) -> Picture:
        """Compress a picture for a report.

        Args:
            pixels: (H, W, 3) colours.
            title: what is shown.
            caption: one line below.
            file: the file that holds the same in full size.
            longest: longest side in the report in pixels.
        """
        scale = min(1.0, longest / max(pixels.shape[:2]))
        if scale < 1:
            pixels = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        buffer = io.BytesIO()
        # Colour at full resolution (4:4:4), else thin outlines bleed into the tissue.
        Pillow.fromarray(pixels).save(buffer, "JPEG", quality=88, subsampling=0)
        return cls(buffer.getvalue(), title, caption, file)

    @property
    def uri(self) -> str:
        """The picture as text for an ``<img>``."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode("ascii")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table in a report.

    Args:
        columns: headings.
        rows: cells; numbers are rounded, None becomes a dash.
        title: what the table shows.
        file: the CSV or JSON file beside the report that holds the same.
        note: one sentence below the table.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""
    file: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What every report has.

    Args:
        title: the page's heading.
        facts: short facts under the heading, name -> value (data, model, images, time ...).
        notes: what the reader must know before the numbers (skipped files, missed structures, warnings).
        configuration: the full configuration of the run, folded away at the end.
        limits: what the results are not good for.
    """

    template: ClassVar[str]
    title: str
    facts: Mapping[str, object] = field(default_factory=dict)
    notes: Sequence[str] = ()
    configuration: Mapping[str, Any] = field(default_factory=dict)
    limits: str = LIMITS


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How far one mask can be trusted.

    Args:
        light: "look first", "look", "fine" or "unknown".
        title: which mask.
        value: the Dice that is expected, in [0, 1]; None where the model cannot tell.
        low, high: its interval.
        why: why a person should look.
    """

    light: str
    title: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class SegmentReport(Report):
    """What ``segment`` says: one row and one picture for each image.

    Args:
        verdicts: of each mask, those that need a person most first.
        table: one row for each image.
        pictures: overlays; for many images a selection is enough.
        failed: file and reason of every image that could not be segmented.
    """

    template: ClassVar[str] = "segment.html"
    table: Table
    verdicts: Sequence[Verdict] = ()
    pictures: Sequence[Picture] = ()
    failed: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class EstimateReport(Report):
    """What ``estimate`` says.

    Args:
        tables: of the set as a whole.
        verdicts: of each mask, those that need a person most first.
        failed: file and reason of every image that could not be used.
    """

    template: ClassVar[str] = "estimate.html"
    tables: Sequence[Table] = ()
    verdicts: Sequence[Verdict] = ()
    failed: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class SitesReport(Report):
    """What ``data check --out`` says of a data set's sites.

    Args:
        table: one row for each site.
        charts: every image's measure: what is measured, what it means, and one row for each site.
        pictures: some images of each site.
    """

    template: ClassVar[str] = "sites.html"
    table: Table
    charts: Sequence[tuple[str, str, Sequence[Dots]]] = ()
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True, kw_only=True)
class EvaluateReport(Report):
    """What ``evaluate`` says.

    Args:
        tables: scores with intervals, comparison of models ...
        dots: every image's score; the name of the score -> rows.
        reliability: calibration, one diagram for each class and model.
        worst: error overlays of the worst cases, worst first.
        best: error overlays of the best cases, best first.
    """

    template: ClassVar[str] = "evaluate.html"
    tables: Sequence[Table] = ()
    dots: Mapping[str, Sequence[Dots]] = field(default_factory=dict)
    reliability: Sequence[Reliability] = ()
    worst: Sequence[Picture] = ()
    best: Sequence[Picture] = ()


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One entry of the plan that a training prints before it starts."""

    name: str
    value: object
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainReport(EvaluateReport):
    """What ``train`` says: the plan, how the training went, and the scores of ``evaluate``.

    Args:
        plan: decisions and their reasons, as printed before the start.
        loss: training (and validation) loss over epochs or steps.
        dice: validation Dice over epochs or steps.
        chosen: the epoch or step whose weights were kept.
        unit: what ``loss``, ``dice`` and ``chosen`` count, "epoch" or "step".
        seconds: duration of the training.
        peak_memory: highest resident memory in bytes.
        parameters: trainable numbers of the net or nets.
        model: the bundle's folder beside the report.
    """

    template: ClassVar[str] = "train.html"
    plan: Sequence[Decision] = ()
    loss: Sequence[Curve] = ()
    dice: Sequence[Curve] = ()
    chosen: float | None = None
    unit: str = "epoch"
    seconds: float | None = None
    peak_memory: int | None = None
    parameters: int | None = None
    model: str = "model"
