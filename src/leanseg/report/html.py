"""One self-contained page for each kind of run: opens offline, prints well, light or dark as the reader likes it."""

from __future__ import annotations

import json
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from leanseg.images.atomic import replacing
from leanseg.report.charts import dot_plot, line_chart, reliability_diagram
from leanseg.report.contents import Report
from leanseg.report.figures import LEGEND, WRONG_CLASS
from leanseg.report.words import duration, size, spell


def write_report(report: Report, file: Path) -> Path:
    """Write a report as one page that needs no other file.

    Args:
        report: the contents; names of files and patients in it are treated as foreign text.
        file: the page to write.

    Returns:
        The page's path.

    Example:
        >>> import tempfile
        >>> from leanseg.report.contents import SegmentReport, Table
        >>> table = Table(columns=("image", "area"), rows=(("scan-1", 12),))
        >>> page = write_report(SegmentReport(title="Vessels", table=table), Path(tempfile.mkdtemp()) / "report.html")
        >>> "<!doctype html>" in page.read_text(encoding="utf-8")
        True
    """
    page = _environment().get_template(report.template).render(report=report)
    with replacing(file) as part:
        part.write_text(page, encoding="utf-8")
    return file


def _environment() -> Environment:
    pages = Environment(
        loader=PackageLoader("leanseg.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    pages.filters.update(spell=spell, duration=duration, size=size, as_json=_as_json)
    pages.globals.update(
        version=version("leanseg"), date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        legend=(*LEGEND, (WRONG_CLASS, "another class")),
        line_chart=line_chart, dot_plot=dot_plot, reliability_diagram=reliability_diagram,
    )  # fmt: skip
    return pages


def _as_json(value: object) -> str:
    return json.dumps(value, indent=2, default=str, ensure_ascii=False)
