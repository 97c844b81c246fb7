r"""``dataset.toml``: what a folder of images and masks shows.

::

    name = "my-data"                # optional texts: name, modality, licence
    modality = "fundus photograph"
    licence = "CC BY 4.0"
    patient = "^(\\d+)_"           # regex on the stem with one group; default: every image is its own patient
    site = "Utrecht"                # a text, or a regex with one group
    background = 0                  # the value of the background in a mask file
    ignore = 128                    # optional: pixels of this value count nowhere
    overlapping = false             # true: masks/<class>/, one binary mask for each class
    foreground = 255                # only with overlapping: the value of the class in each of these masks
    single_object = false           # true: only the largest connected piece of a class is real

    [classes]                       # value in a mask file = name (with overlapping: number = name)
    255 = "vessel"

    [colours]                       # optional
    vessel = "#E69F00"

    [channels]                      # optional; with several folders images/<channel>/ it is needed
    1 = "T1"
    2 = "FLAIR"
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from leanseg.errors import InputError, UsageError
from leanseg.types import Classes

FILE = "dataset.toml"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of ``dataset.toml``.

    Args:
        name, modality, licence: free texts.
        classes: what the masks show.
        channels: names of the channels, in order; empty when not declared.
        patient: regular expression with one group that finds the patient in a stem; empty when patients are unknown.
        site: a text, or a regular expression with one group.

    Raises:
        UsageError: a regular expression cannot be used.

    Example:
        >>> m = Manifest(classes=Classes(names=("vessel",), values=(255,)), patient=r"^(\\d+)_", site="Utrecht")
        >>> m.patient_of("21_training"), m.site_of("21_training")
        ('21', 'Utrecht')
    """

    name: str = ""
    modality: str = ""
    licence: str = ""
    classes: Classes
    channels: tuple[str, ...] = ()
    patient: str = ""
    site: str = ""

    def __post_init__(self) -> None:
        if self.patient and _groups("patient", self.patient) != 1:
            raise UsageError(f"patient needs a regular expression with exactly one (group), found {self.patient!r}")

    def patient_of(self, stem: str) -> str:
        """The patient that a stem names; the stem itself when patients are not declared.

        Raises:
            UsageError: the stem does not match.
        """
        return _find("patient", self.patient, stem) if self.patient else stem

    def site_of(self, stem: str) -> str:
        """The site of a stem; empty when not declared.

        Raises:
            UsageError: the stem does not match.
        """
        return _find("site", self.site, stem) if "(" in self.site and _groups("site", self.site) == 1 else self.site


def read_manifest(path: Path) -> Manifest:
    """Read ``dataset.toml``.

    Raises:
        InputError: it is no TOML, a key is unknown or missing, or a value has the wrong type.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(path, f"expected a TOML file, found: {error}") from error
    known = {"name", "modality", "licence", "patient", "site", "background", "ignore", "overlapping", "foreground"}
    known |= {"single_object", "classes", "colours", "channels"}
    if unknown := sorted(set(table) - known):
        raise InputError(path, f"unknown keys {unknown}; known are {sorted(known)}")
    try:
        texts = {key: _typed(table, key, str, "") for key in ("name", "modality", "licence", "patient", "site")}
        channels = tuple(name for _, name in _numbered(table, "channels"))
        return Manifest(**texts, classes=_classes(table), channels=channels)
    except UsageError as error:
        raise InputError(path, str(error)) from error


def manifest_text(manifest: Manifest) -> str:
    """The text of a ``dataset.toml`` that :func:`read_manifest` reads back.

    Example:
        >>> print(manifest_text(Manifest(name="a", classes=Classes(names=("vessel",), values=(255,)))), end="")
        name = "a"
        <BLANKLINE>
        [classes]
        255 = "vessel"
    """
    classes = manifest.classes
    lines = [f"{key} = {_quoted(text)}" for key in ("name", "modality", "licence") if (text := getattr(manifest, key))]
    lines += [f"{key} = {_quoted(text)}" for key in ("patient", "site") if (text := getattr(manifest, key))]
    lines += [f"background = {classes.background}"] if classes.background else []
    lines += [f"ignore = {classes.ignore}"] if classes.ignore is not None else []
    lines += ["overlapping = true", f"foreground = {classes.values[0]}"] if classes.overlapping else []
    lines += ["single_object = true"] if classes.single_object else []
    keys = range(1, len(classes.names) + 1) if classes.overlapping else classes.values
    lines += ["", "[classes]", *(f"{key} = {_quoted(name)}" for key, name in zip(keys, classes.names, strict=True))]
    if classes.colours != Classes(names=classes.names).colours:
        pairs = zip(classes.names, classes.colours, strict=True)
        lines += ["", "[colours]", *(f"{_quoted(name)} = {_quoted(colour)}" for name, colour in pairs)]
    if manifest.channels:
        lines += ["", "[channels]", *(f"{n} = {_quoted(name)}" for n, name in enumerate(manifest.channels, start=1))]
    return "\n".join(lines) + "\n"


def _classes(table: Mapping[str, Any]) -> Classes:
    pairs = _numbered(table, "classes")
    names = tuple(name for _, name in pairs)
    overlapping = _typed(table, "overlapping", bool, False)
    if not overlapping and "foreground" in table:
        raise UsageError("foreground belongs to overlapping = true; otherwise [classes] gives the values")
    foreground = _typed(table, "foreground", int, 255)
    colours = _typed(table, "colours", dict, {})
    if set(colours) - set(names) or (colours and len(colours) != len(names)):
        raise UsageError(f"[colours] needs one entry for each of {list(names)}, found {sorted(colours)}")
    return Classes(
        names=names,
        values=(foreground,) * len(names) if overlapping else tuple(value for value, _ in pairs),
        background=_typed(table, "background", int, 0),
        ignore=_typed(table, "ignore", int, 0) if "ignore" in table else None,
        overlapping=overlapping,
        single_object=_typed(table, "single_object", bool, False),
        colours=tuple(str(colours[name]) for name in names) if colours else (),
    )


def _numbered(table: Mapping[str, Any], key: str) -> list[tuple[int, str]]:
    entries: dict[str, Any] = _typed(table, key, dict, {})
    for number, name in entries.items():
        if not re.fullmatch(r"-?\d+", number) or not isinstance(name, str) or not name:
            raise UsageError(f'[{key}] holds lines such as 1 = "name", found {number} = {name!r}')
    return sorted((int(number), name) for number, name in entries.items())


def _typed(table: Mapping[str, Any], key: str, kind: type[T], default: T) -> T:
    value = table.get(key, default)
    # bool is an int in Python, but "ignore = true" is a mistake.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{key} needs a {kind.__name__}, found {value!r}")
    return value


def _groups(key: str, pattern: str) -> int:
    try:
        return re.compile(pattern).groups
    except re.error as error:
        raise UsageError(f"{key} = {pattern!r} is no regular expression: {error}") from error


def _find(key: str, pattern: str, stem: str) -> str:
    match = re.search(pattern, stem)
    if match is None or not match.group(1):
        raise UsageError(f"{key} = {pattern!r} finds nothing in the stem {stem!r}; correct it in {FILE}")
    return match.group(1)


def _quoted(text: str) -> str:
    # A JSON string is also a TOML basic string.
    return json.dumps(text, ensure_ascii=False)
