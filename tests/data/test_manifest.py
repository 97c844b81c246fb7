from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leanseg.data.manifest import Manifest, manifest_text, read_manifest
from leanseg.errors import InputError
from leanseg.types import Classes

FULL = r"""
name = "eyes"
modality = "fundus photograph"
licence = "CC BY 4.0"
patient = "^(\\d+)"
site = "-(\\w+)$"
background = 7
ignore = 128
single_object = true

[classes]
255 = "vein"
100 = "artery"

[colours]
artery = "#FF0000"
vein = "#0000FF"

[channels]
2 = "green"
1 = "red"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "dataset.toml"
    path.write_text(text)
    return path


def test_every_key_is_read(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, FULL))
    classes = manifest.classes
    assert (classes.names, classes.values, classes.colours) == (("artery", "vein"), (100, 255), ("#FF0000", "#0000FF"))
    assert (classes.background, classes.ignore, classes.single_object) == (7, 128, True)
    assert manifest.channels == ("red", "green")
    assert (manifest.patient_of("12-oslo"), manifest.site_of("12-oslo")) == ("12", "oslo")


def test_overlapping_classes_share_the_foreground_value(tmp_path: Path) -> None:
    text = 'overlapping = true\nforeground = 1\n[classes]\n1 = "haemorrhage"\n2 = "exudate"\n'
    classes = read_manifest(write(tmp_path, text)).classes
    assert classes.overlapping and classes.values == (1, 1) and classes.names == ("haemorrhage", "exudate")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name = ", "TOML"),
        ('label = "x"\n[classes]\n1 = "a"', "unknown keys"),
        ('name = 3\n[classes]\n1 = "a"', "needs a str"),
        ('ignore = true\n[classes]\n1 = "a"', "needs a int"),
        ("[classes]\nvessel = 1", "lines such as"),
        ('name = "x"', "at least one class"),
        ('patient = "^\\\\d+"\n[classes]\n1 = "a"', "exactly one"),
        ('patient = "("\n[classes]\n1 = "a"', "regular expression"),
        ('foreground = 255\n[classes]\n1 = "a"', "overlapping = true"),
        ('[classes]\n1 = "a"\n[colours]\nb = "#000000"', "colours"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_manifest(write(tmp_path, text))


def test_a_stem_without_patient_is_refused() -> None:
    manifest = Manifest(classes=Classes(names=("a",)), patient=r"^(\d+)")
    with pytest.raises(Exception, match="finds nothing in the stem 'abc'"):
        manifest.patient_of("abc")


names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)


@given(
    labels=st.dictionaries(st.integers(1, 255), names, min_size=1, max_size=4).filter(
        lambda d: len(set(d.values())) == len(d)
    ),
    text=names,
    overlapping=st.booleans(),
    channels=st.lists(names, max_size=3),
)
def test_text_reads_back(
    tmp_path_factory: pytest.TempPathFactory, labels: dict[int, str], text: str, overlapping: bool, channels: list[str]
) -> None:
    values = tuple(sorted(labels))
    spelled = (values[0],) * len(values) if overlapping else values
    classes = Classes(names=tuple(labels[v] for v in values), values=spelled, overlapping=overlapping)
    manifest = Manifest(name=text, licence=text, classes=classes, channels=tuple(channels))
    path = tmp_path_factory.mktemp("toml") / "dataset.toml"
    path.write_text(manifest_text(manifest), encoding="utf-8")
    assert read_manifest(path) == manifest
