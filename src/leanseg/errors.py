"""Errors that a user can put right: every message says where, what was expected, what was found and what to do."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType


class LeansegError(Exception):
    """Base of every error that leanseg raises on purpose; the command line prints its message without a traceback."""


class UsageError(LeansegError):
    """The call itself is wrong: an unknown name, options that contradict each other (exit code 2)."""


class InputError(LeansegError):
    """One input file or folder cannot be used; a batch lists it and goes on with the rest.

    Args:
        path: the file or folder at fault.
        message: what was expected, what was found and what to do.

    Example:
        >>> str(InputError("scan.png", "not an image: the file is empty. Export it again."))
        'scan.png: not an image: the file is empty. Export it again.'
    """

    def __init__(self, path: str | Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = Path(path)
        self.message = message


class MissingExtra(LeansegError, ImportError):
    """An optional library is not installed; the message holds the install line."""


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional library, or say which extra brings it.

    Args:
        module: dotted name of the module, for instance ``"torch"``.
        extra: the extra of leanseg that installs it, for instance ``"train"``.

    Raises:
        MissingExtra: the library is not installed.

    Example:
        >>> require("math", extra="train").sqrt(4.0)
        2.0
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] != module.split(".")[0]:
            raise
        msg = f"{module} is not installed. Install it with: pip install 'leanseg[{extra}]'"
        raise MissingExtra(msg) from error
