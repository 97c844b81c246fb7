"""Build hooks of the documentation."""

import re
from typing import Any

ROLE = re.compile(r":(?:class|func|meth|mod):(<code>)~?")


def on_page_content(html: str, **_: Any) -> str:
    """Docstrings name things the Sphinx way; here the role is left out and the name stays."""
    return ROLE.sub(r"\1", html)
