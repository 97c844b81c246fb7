"""Scores at the end of a training, of images that the network which is scored did not learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from leanseg.bundle import Bundle
from leanseg.data.dataset import Case, Dataset
from leanseg.images.image import Image
from leanseg.inference.predictor import Predictor
from leanseg.workflows.contestants import Answer, Contestant, Model
from leanseg.workflows.evaluation import Evaluation, evaluate_cases
from leanseg.workflows.score_files import write_scores

if TYPE_CHECKING:
    from leanseg.workflows.train import Train


class OutOfFold:
    """Cross-validated networks, each of which answers only for the cases it was not trained on.

    Args:
        name: what tables call them.
        judges: the one network for each case, by stem.
    """

    def __init__(self, *, name: str, judges: Mapping[str, Contestant]) -> None:
        self.name, self.judges = name, judges

    def answer(self, case: Case, image: Image) -> Answer:
        """Segment one image."""
        return self.judges[case.stem].answer(case, image)


def score_test(options: Train, bundles: Sequence[Bundle], dataset: Dataset) -> Evaluation:
    """Score models on the test split, which is opened here for the first time.

    Where a site is left out, the means are those of its images; the other sites' test images stand beside them.
    """
    models = [_model(options, bundle, dataset) for bundle in bundles]
    trained_on = {bundle.name: bundle.trained_on for bundle in bundles}
    return _score(
        options, dataset, models, dataset.subset("test"), "test", site=options.leave_out, trained_on=trained_on
    )


def score_unseen(
    options: Train, bundles: Sequence[Bundle], dataset: Dataset, unseen: Sequence[Sequence[Case]]
) -> Evaluation:
    """Score each network of a bundle on the validation cases of its fold, for want of a test split."""
    contestants = []
    for bundle in bundles:
        alone = [_model(options, replace(bundle, parts=(part,)), dataset) for part in bundle.parts]
        judges = {case.stem: model for model, cases in zip(alone, unseen, strict=True) for case in cases}
        contestants.append(OutOfFold(name=bundle.name, judges=judges))
    return _score(options, dataset, contestants, [case for fold in unseen for case in fold], "validation")


def _model(options: Train, bundle: Bundle, dataset: Dataset) -> Model:
    predictor = Predictor(bundle=bundle, flips=options.flips, threads=options.threads)
    return Model(name=bundle.name, predictor=predictor, classes=bundle.classes, wanted=dataset.classes)


def _score(
    options: Train,
    dataset: Dataset,
    contestants: Sequence[Contestant],
    cases: Sequence[Case],
    split: str,
    *,
    site: str | None = None,
    trained_on: Mapping[str, frozenset[str]] = MappingProxyType({}),
) -> Evaluation:
    result = evaluate_cases(dataset, cases, contestants, trained_on=trained_on)
    if site is not None:
        result, split = result.of_site(site), f"{split}: means of the site {site}, which was left out"
    write_scores(result, options.out, facts={"Data": dataset.name or dataset.root.name, "Split": split})
    return result
