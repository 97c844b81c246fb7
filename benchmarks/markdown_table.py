"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(head: Sequence[str], *rows: Sequence[str], numbers: bool = False) -> str:
    """The head above the rows; with ``numbers`` all columns but the first are aligned to the right."""
    line = ["---", *["---:" if numbers else "---"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, line, *rows))
