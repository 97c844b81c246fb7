"""Few labels and many images: the encoder learns by contrast from all images, then the network from the labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Literal, get_args

from torch import Tensor, nn

from leanseg import nets
from leanseg.errors import UsageError
from leanseg.loading.loaders import crop_loader, sample_loader
from leanseg.loading.regions import Kind
from leanseg.loading.samples import Sample
from leanseg.loading.views import Regions, Views, sliced
from leanseg.methods.contrastive_pretraining import WEIGHTS, ContrastivePretraining, Projected
from leanseg.methods.schedule import Schedule
from leanseg.methods.stage import TRAINED_ON, Method, Stage
from leanseg.methods.supervised import Supervised

Graph = Literal["nn", "mutual"]
Norm = Literal["region", "all"]
Values = Literal["centred", "raw"]

LOOKS = {"gain": 0.3, "offset": 0.5, "gamma": 0.5, "mix": 0.8, "shade": 0.5, "blur": 2.0, "noise": 0.1}
"""Views differ in their look by so much at least: an image must not be known by its grey values alone."""


class SuperCL(Method):
    """Pre-trains the encoder by contrast on all images, labelled or not, then trains on the labelled ones.

    Stage 2 is :class:`~leanseg.methods.supervised.Supervised` from other first weights: same crops, same seed.

    Args:
        net: the network; has ``encode`` and works on images.
        loss: takes logits, target and valid; of stage 2.
        schedule: crops, steps and optimiser; ``epochs`` are those of both stages.
        pretrain: share of the epochs for stage 1.
        regions: ``"slic"`` and ``"felzenszwalb"`` follow edges; ``"grid"`` cuts equal squares, the control.
        n_regions: about how many in an area as large as a crop.
        n_positions: feature cells compared in each crop.
        terms: those of "ins" (images), "intra" (regions of an image) and "inter" (images built alike) that count.
        graph: ``"nn"`` (published) joins an image and its nearest neighbour, ``"mutual"`` only if it is mutual.
        asp_norm: ``"region"`` takes the mean of a superpixel's cells, ``"all"`` (published) divides by all cells.
        asp_input: ``"centred"`` maps are compared without their mean, ``"raw"`` ones with it.
        positions: slices of volumes at about one height are positives; images that are no slices never are.

    Raises:
        UsageError: fewer than two epochs or two crops in a step, a value out of range, a network without an encoder
            for images; no labelled images, or one of the test split.

    Source:
        Zeng et al., SuperCL, arXiv 2504.14737.
    """

    needs_unlabelled: ClassVar[bool] = True
    stage_names: ClassVar[tuple[str, ...]] = ("pretrain", *Supervised.stage_names)

    def __init__(
        self,
        *,
        net: nn.Module,
        loss: nn.Module,
        schedule: Schedule,
        pretrain: float = 0.5,
        regions: Kind = "slic",
        n_regions: int = 36,
        n_positions: int = 128,
        terms: tuple[str, ...] = tuple(WEIGHTS),
        graph: Graph = "mutual",
        asp_norm: Norm = "region",
        asp_input: Values = "centred",
        positions: bool = True,
    ) -> None:
        if schedule.epochs < 2 or schedule.batch < 2:
            raise UsageError("supercl has two stages and compares crops: give at least --epochs 2 and --batch 2")
        if not 0 < pretrain < 1 or n_regions < 1 or n_positions < 1:
            msg = "pretrain is a share between 0 and 1, n_regions and n_positions are from 1"
            raise UsageError(f"{msg}, found {pretrain}, {n_regions} and {n_positions}")
        chosen = {"regions": (regions, Kind), "graph": (graph, Graph), "asp_norm": (asp_norm, Norm)}
        for name, (value, kind) in {**chosen, "asp_input": (asp_input, Values)}.items():
            _check(name, (value,), get_args(kind))
        _check("terms", terms, tuple(WEIGHTS))
        check_encoder(net)
        self.net, self.loss, self.schedule, self.terms = net, loss, schedule, terms
        self.regions, self.n_regions, self.n_positions = regions, n_regions, n_positions
        self.graph, self.asp_norm, self.asp_input, self.positions = graph, asp_norm, asp_input, positions
        self.pretrain_epochs = min(schedule.epochs - 1, max(1, round(pretrain * schedule.epochs)))
        self._fit: Supervised | None = None

    def stages(self, train: Sequence[Sample], val: Sequence[Sample]) -> Iterator[Stage]:
        """Stage 1 on all samples, of which the last weights count; stage 2 on the labelled ones."""
        labelled = [sample for sample in train if sample.case.masks]
        if not labelled:
            raise UsageError("supercl needs labelled images as well, found none in the training split")
        tested = [sample.case.stem for sample in train if sample.case.split == "test"]
        if tested:
            raise UsageError(f"pre-training must not see images of the test split, found {', '.join(tested)}")
        schedule, epochs = self.schedule, self.pretrain_epochs
        start = ContrastivePretraining(
            net=Projected(self.net, channels=len(train[0].image), seed=schedule.seed),
            terms=self.terms,
            n_positions=self.n_positions,
            graph=self.graph,
            asp_norm=self.asp_norm,
            asp_input=self.asp_input,
            **schedule.fitting(epochs=epochs),
        )
        loader = crop_loader(self._views(train), steps=schedule.epoch_steps, workers=schedule.workers)
        yield Stage(
            name=self.stage_names[0],
            module=start,
            train=loader,
            val=sample_loader(()),
            epochs=epochs,
            pretrained=start.pretrained,
            note={
                "method": "supercl",
                "terms": " ".join(self.terms),
                "regions": self.regions,
                "seed": str(schedule.seed),
                TRAINED_ON: " ".join(sorted({sample.digest for sample in train})),
            },
        )

        net = start.pretrained().requires_grad_(True)
        rest = replace(schedule, epochs=schedule.epochs - epochs)
        self._fit = Supervised(net=net, loss=self.loss, schedule=rest)
        yield from self._fit.stages(labelled, val)

    def _views(self, samples: Sequence[Sample]) -> Views:
        images, places = sliced(samples)
        schedule, pictures = self.schedule, [sample.image for sample in images]
        usual = schedule.augmentation
        regions: Sequence[Tensor] = ()
        if set(self.terms) != {"ins"}:
            regions = Regions(pictures, kind=self.regions, n_regions=self.n_regions, crop=schedule.crop)
        return Views(
            images,
            size=schedule.crop,
            batch=schedule.batch,
            augmentation=replace(usual, **{name: max(getattr(usual, name), least) for name, least in LOOKS.items()}),
            seed=schedule.seed,
            by_site=schedule.by_site,
            positions=places if self.positions else (),
            regions=regions,
        )

    @property
    def network(self) -> nn.Module:
        """The network as it was given."""
        return self.net

    def result(self) -> nn.Module:
        """That of stage 2; the head of stage 1 is gone."""
        assert self._fit is not None
        return self._fit.result()


def check_encoder(net: nn.Module) -> None:
    """Refuse a network whose encoder cannot be trained by itself.

    Raises:
        UsageError: it has no ``encode``, or works on volumes.
    """
    if not hasattr(net, "encode"):
        able = [name for name in sorted(nets.NETS) if hasattr(nets.create(name), "encode")]
        raise UsageError(f"supercl trains an encoder by itself; {type(net).__name__} has none, {', '.join(able)} have")
    if getattr(net, "dims", 2) != 2:
        raise UsageError("supercl works on images and slices; choose a network with dims 2")


def _check(name: str, values: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    if not values or not set(values) <= set(allowed):
        raise UsageError(f"{name}: choose from {', '.join(allowed)}; found {', '.join(map(str, values)) or 'none'}")
