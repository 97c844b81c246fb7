"""Pages stand alone, say what they must, and treat every foreign word as text."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from leanseg.report.charts import Curve, Dots, Reliability
from leanseg.report.contents import Decision, EvaluateReport, Picture, Report, SegmentReport, Table, TrainReport
from leanseg.report.html import write_report
from leanseg.report.words import duration, size, spell

HOSTILE = '"><script>alert(1)</script><img src=x onerror=y>{{ 123*457 }}'


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def _hostile_reports() -> list[Report]:
    picture = Picture.of(np.zeros((8, 8, 3), np.uint8), title=HOSTILE, caption=HOSTILE, file=HOSTILE)
    table = Table(columns=(HOSTILE,), rows=((HOSTILE,),), title=HOSTILE, file=HOSTILE, note=HOSTILE)
    every = {"title": HOSTILE, "facts": {HOSTILE: HOSTILE}, "notes": (HOSTILE,), "configuration": {HOSTILE: HOSTILE}}
    dots = Dots(name=HOSTILE, values=(0.5,), mean=0.5, low=0.4, high=0.6, labels=(HOSTILE,))
    bins = Reliability(edges=(0, 1), confidence=(0.5,), frequency=(0.5,), counts=(9,), name=HOSTILE)
    scores = {"tables": (table,), "dots": {HOSTILE: (dots,)}, "reliability": (bins,), "worst": (picture,)}
    curve = Curve(name=HOSTILE, x=(1, 2), y=(0.1, 0.2))
    plan = (Decision(name=HOSTILE, value=HOSTILE, why=HOSTILE),)
    return [
        SegmentReport(**every, table=table, pictures=(picture,), failed=((HOSTILE, HOSTILE),)),
        EvaluateReport(**every, **scores),
        TrainReport(**every, **scores, plan=plan, loss=(curve,), dice=(curve,), model=HOSTILE, unit=HOSTILE),
    ]


@pytest.mark.parametrize("report", _hostile_reports(), ids=lambda report: type(report).__name__)
def test_foreign_words_stay_words_and_nothing_is_loaded(report: Report, tmp_path: Path) -> None:
    text = write_report(report, tmp_path / "report.html").read_text(encoding="utf-8")
    page = _Page()
    page.feed(text)
    assert not any(
        tag == "script" or any(name.startswith("on") for name in attributes) for tag, attributes in page.tags
    )
    links = [a[k] for _, a in page.tags for k in ("src", "href", "srcset") if k in a]
    assert links and all(link.startswith("data:image/jpeg;base64,") for link in links)
    assert "url(" not in text and "@import" not in text
    assert "alert(1)" in page.words and "56211" not in page.words.replace("{{ 123*457 }}", "")


def test_train_report_says_all_that_a_reader_needs(tmp_path: Path) -> None:
    report = TrainReport(
        title="Vessels",
        facts={"Data": "DRIVE"},
        plan=(Decision(name="patch", value=(256, 256), why="four fit into 1 GB"),),
        loss=(Curve(name="training", x=(1, 2), y=(0.5, 0.2)),),
        dice=(Curve(name="validation", x=(1, 2), y=(0.5, 0.8)),),
        chosen=2,
        seconds=61,
        peak_memory=1_300_000_000,
        parameters=31234,
        tables=(Table(columns=("Class", "Dice"), rows=(("vessel", 0.81234), ("lesion", None)), file="scores.json"),),
        configuration={"net": "mini-net"},
    )
    text = write_report(report, tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    expected = ("31,234", "1 min 1 s", "1.3 GB", "four fit into 1 GB", "256, 256", "0.812", "scores.json", "mini-net")
    for words in (*expected, "ot a medical device", "kept"):
        assert words in text
    assert text.count("<svg") == 2 and "color-scheme: light dark" in text and "@media print" in text


def test_pictures_are_shrunk_and_keep_their_shape() -> None:
    picture = Picture.of(np.zeros((1000, 500, 3), np.uint8), title="wide", longest=200)
    import io

    from PIL import Image as Pillow

    assert Pillow.open(io.BytesIO(picture.jpeg)).size == (100, 200)


def test_a_failed_page_leaves_nothing_behind(tmp_path: Path) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_report(EvaluateReport(title="x", facts={"a": Broken()}), tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (3, "3"),
        (1234567, "1,234,567"),
        (float("nan"), "\u2013"),
        ((1, 2.5), "1, 2.500"),
        (99.96, "99.960"),
    ],
)
def test_cells_are_short(value: object, text: str) -> None:
    assert spell(value) == text


def test_durations_and_sizes_round_like_people_do() -> None:
    assert [duration(s) for s in (0.04, 59.4, 3599, 3600)] == ["0.0 s", "59.4 s", "59 min 59 s", "1 h 0 min"]
    assert [size(b) for b in (0, 999, 1000, 5e15)] == ["0 B", "999 B", "1 kB", "5000.0 TB"]
