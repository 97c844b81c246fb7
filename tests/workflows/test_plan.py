"""The plan follows the data, and the user's wishes stand."""

from dataclasses import replace
from pathlib import Path

import pytest

from leanseg.data.dataset import Case, Dataset
from leanseg.types import Classes
from leanseg.workflows.plan import Plan, Survey, Wishes, make_plan


def plan(
    seen: Survey,
    *,
    modality: str = "",
    wishes: Wishes | None = None,
    dims: int = 2,
    divisor: int = 4,
    halo: int | None = 40,
) -> Plan:
    case = Case(stem="a", image=(), patient="a")
    dataset = Dataset(root=Path(), modality=modality, classes=Classes(names=("x",)), cases=(case,))
    return make_plan(dataset, seen, wishes or Wishes(), dims=dims, divisor=divisor, halo=halo, bf16=False)


VESSELS = Survey(sides=(584, 565), channels=3, share=0.08, thickness=0.01)
LESION = Survey(sides=(767, 1022), channels=3, share=0.2, thickness=0.2)


def test_thin_structures_keep_their_resolution() -> None:
    made = plan(VESSELS, modality="fundus photograph")
    assert made.preprocessing.longest is None
    assert made.preprocessing.field_of_view == "fundus"
    assert (made.crop, made.batch) == (128, 4)


def test_a_step_mixes_images_unless_asked() -> None:
    assert not plan(VESSELS, modality="fundus photograph").one_image
    assert plan(VESSELS, wishes=Wishes(one_image=True)).one_image


def test_large_objects_are_seen_whole_in_smaller_images() -> None:
    made = plan(LESION)
    assert made.preprocessing.longest == 320
    assert made.preprocessing.field_of_view == "none"
    assert 240 <= made.crop <= 320


@pytest.mark.parametrize(
    ("seen", "wishes", "reason"),
    [
        (LESION, Wishes(), "objects are large (20% of the short side): smaller images train faster"),
        (replace(LESION, sides=(200, 220)), Wishes(), "images are small already"),
        (LESION, Wishes(diameter=300.0, field_of_view="fundus"), "the diameter says how large images are"),
        (VESSELS, Wishes(), "thin or small structures vanish in smaller images"),
        (replace(LESION, sides=(40, 200, 220)), Wishes(), "volumes keep their resolution"),
    ],
)
def test_the_size_of_images_is_decided_for_the_reason_that_is_told(seen: Survey, wishes: Wishes, reason: str) -> None:
    made = plan(seen, wishes=wishes)
    (told,) = [decision for decision in made.decisions if decision.name == "longest side"]
    assert told.why == reason
    assert (told.value is None) == ("smaller images train faster" not in reason)


def test_a_network_that_sees_everything_gets_windows_of_the_crops_size() -> None:
    made = plan(VESSELS, halo=None)
    assert made.window == made.crop == 128
    assert {d.name: d.value for d in made.decisions}["windows"] == 128
    assert plan(LESION, halo=None).window is None, "crops are nearly whole images"
    assert plan(VESSELS).window is None


def test_lightness_is_equalised_only_if_asked_for() -> None:
    assert [plan(VESSELS, wishes=Wishes(clahe=limit)).preprocessing.clahe for limit in (None, 0, 2.0)] == [
        None,
        None,
        2,
    ]


def test_small_structures_are_sought() -> None:
    assert plan(Survey(sides=(500, 500), channels=1, share=0.001, thickness=0.01)).foreground == 0.5
    assert plan(VESSELS).foreground == 0.0


def test_volumes_get_cubes_that_fit() -> None:
    volume = Survey(sides=(35, 50, 35), channels=1, share=0.05, thickness=0.2)
    made = plan(volume, dims=3, divisor=8)
    assert (made.crop, made.batch) == (32, 2)
    assert made.preprocessing.longest is None
    assert plan(volume, dims=2).crop == 52, "a 2-D network sees slices, not cubes"
    slices = plan(Survey(sides=(10, 256, 216), channels=1, share=0.05, thickness=0.2), dims=2)
    assert (slices.crop, slices.batch) == (128, 4)


def test_grey_values_of_scans_vary_more_than_colours() -> None:
    scan = Survey(sides=(10, 256, 216), channels=1, share=0.05, thickness=0.2)
    assert plan(scan).appearance["gamma"] > 0 and not plan(VESSELS).appearance


def test_wishes_stand_and_are_named() -> None:
    made = plan(VESSELS, wishes=Wishes(crop=100, batch=7, learning_rate=0.5, epochs=3, clahe=2.0), divisor=8)
    assert made.preprocessing.clahe == 2
    assert (made.crop, made.batch, made.learning_rate, made.epochs) == (104, 7, 0.5, 3)
    reasons = {decision.name: decision.why for decision in made.decisions}
    assert reasons["crop"] == reasons["batch"] == "asked for"
    assert reasons["precision"] != "asked for"


def test_what_an_exported_graph_takes_follows_from_the_files() -> None:
    assert plan(VESSELS).preprocessing.values == "bytes"
    assert plan(replace(VESSELS, bytes=False)).preprocessing.values == "any"


@pytest.mark.parametrize(("channels", "names"), [(1, ("grey",)), (3, ("red", "green", "blue"))])
def test_channels_of_pictures_have_names(channels: int, names: tuple[str, ...]) -> None:
    assert plan(Survey(sides=(64, 64), channels=channels, share=0.1, thickness=0.01)).preprocessing.channels == names
