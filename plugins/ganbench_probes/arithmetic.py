"""Sums and differences of latent vectors, and what the latent space looks like from above."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ganbench.api import DataSpec, Game, Params, Probe, Probed, TrainedGame, Unavailable, UserError, param

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK = 250


def drawn(trained: TrainedGame, count: int) -> tuple[Tensor, Tensor]:
    """Latent vectors n×dim, and what the game makes of them, uint8. An unconditional game's."""
    import torch

    latent = trained.game.latent
    assert latent is not None
    vectors = latent(count)
    parts = [trained.quantised(trained.decoded(vectors[i : i + _BLOCK])) for i in range(0, count, _BLOCK)]
    return vectors, torch.cat(parts)


@dataclass(frozen=True)
class ArithmeticParams(Params):
    a: int = param(7, "class of the first vector (a - b + c)", min=0)
    b: int = param(1, "class of the one taken away", min=0)
    c: int = param(0, "class of the one added", min=0)
    examples: int = param(3, "latent vectors in each mean", min=1, max=10_000, paper=3)
    noise: float = param(0.25, "uniform noise added to the result, this much to either side", min=0.0, paper=0.25)
    samples: int = param(2000, "samples among which the examples are looked for", min=1, max=1_000_000)


class LatentArithmetic(Probe):
    """Sums of latent vectors: the mean of class a, minus that of b, plus that of c (DCGAN, section 6.3.2).

    The examples of a class are the samples that the dataset's classifier is surest of; the paper chose its by eye. For
    latents of a normal or on a sphere the means and the result are brought to the length √dim of the vectors that the
    generator was trained with: a mean of three is 0.58 times as long.

    ``confidence-a`` and so on: the least probability of its class among a mean's examples. ``result-class``: the class
    of the result by the classifier, ``result-share``: the share of 100 results with noise that is in it too.
    """

    Params = ArithmeticParams
    paper = "Radford et al. 2015, Unsupervised Representation Learning with DCGANs, arXiv:1511.06434"
    takes = ("labelled",)
    extractors = ("classifier",)

    def unsuitable(self, game: Game, data: DataSpec) -> str | None:
        if game.latent is None:
            return "it needs a game that names its latent"
        return "the classes of a conditional game are not in its latents" if game.conditional else None

    def run(self, trained: TrainedGame, params: ArithmeticParams) -> Probed:
        import torch

        wanted = {"a": params.a, "b": params.b, "c": params.c}
        for name, label in wanted.items():
            if label >= trained.spec.classes:
                last = trained.spec.classes - 1
                raise UserError(f"{name} of latent-arithmetic = {label} is no class of this data: they are 0 to {last}")
        classifier, latent = trained.extractor("classifier"), trained.game.latent
        assert latent is not None
        vectors, images = drawn(trained, params.samples)
        shares = classifier(images)[1].softmax(1)

        def fitted(vector: Tensor) -> Tensor:
            if latent.kind == "uniform":
                return vector
            return torch.nn.functional.normalize(vector, dim=-1) * latent.dim**0.5

        numbers: dict[str, float] = {}
        means, rows = [], []
        for name, label in wanted.items():
            surest = shares[:, label].topk(min(params.examples, len(images)))
            numbers[f"confidence-{name}"] = float(surest.values.min())
            means.append(vectors[surest.indices].mean(0))
            rows.append(images[surest.indices[:3]])
        result = means[0] - means[1] + means[2]
        near = fitted(result + (torch.rand(100, latent.dim, device=result.device) * 2 - 1) * params.noise)
        centres = trained.quantised(trained.decoded(torch.stack([fitted(one) for one in (*means, result)])))
        around = trained.quantised(trained.decoded(near))
        found = int(classifier(centres)[1][-1].argmax())
        numbers["result-class"] = float(found)
        numbers["result-share"] = float((classifier(around)[1].argmax(1) == found).double().mean())
        columns = 4
        white = images.new_full((3, *images.shape[1:]), 255)
        lines = [torch.cat([row, white])[:3] for row in rows]
        shown = [torch.cat([line, centre[None]]) for line, centre in zip(lines, centres, strict=False)]
        shown += [torch.cat([around[:3], centres[-1:]])]
        note = (
            "rows: examples of a, b, c, at the right their mean; last row: a - b + c with noise, at the right without"
        )
        return Probed(numbers, {"arithmetic": trained.sheet(torch.cat(shown), columns)}, note)


@dataclass(frozen=True)
class MapParams(Params):
    samples: int = param(1000, "latent vectors", min=50, max=10_000)
    perplexity: float = param(30.0, "perplexity of t-SNE", min=2.0, max=200.0)
    neighbours: int = param(10, "neighbours on the map that are compared", min=1, max=100)


class LatentMap(Probe):
    """The latent space in two dimensions by t-SNE, coloured by the class that each vector becomes.

    t-SNE (van der Maaten & Hinton 2008) of vectors drawn from the latent distribution, as scikit-learn has it; with an
    encoder also of as many encoded held-out images, coloured by their labels. Vectors of a normal are a ball without
    clusters: what is to be seen is whether classes lie together.

    ``same-class``: share of each point's neighbours on the map that are of its class, mean over points; ``same-class-
    chance``: what it would be if classes lay anywhere. With an encoder ``same-class-encoded`` likewise.
    """

    Params = MapParams
    paper = "van der Maaten & Hinton 2008, Visualizing Data using t-SNE, JMLR 9"
    extractors = ("classifier",)

    def unsuitable(self, game: Game, data: DataSpec) -> str | None:
        return None if game.latent is not None else "it needs a game that names its latent"

    def run(self, trained: TrainedGame, params: MapParams) -> Probed:
        import torch

        from ganbench_probes.encoded import blocks, encoded, held_out

        game = trained.game
        if game.conditional:
            assert game.latent is not None
            vectors, classes = game.latent(params.samples), None
        else:
            vectors, images = drawn(trained, params.samples)
            classes = _classes(trained, images)
        note = "a conditional game's classes are not in its latents: no colours" if game.conditional else ""
        if classes is None and not note:
            note = "without a classifier there are no classes: no colours"
        maps = {"latents": (vectors, classes)}
        if game.encoder is not None:
            originals, labels = held_out(trained, params.samples)
            if len(originals) >= 50:
                found = torch.cat([encoded(trained, part) for part, _ in blocks(originals, None)])
                maps["encoded"] = found, None if labels is None else labels.cpu().numpy()
        numbers, pictures = {}, {}
        for name, (points, of) in maps.items():
            trained.say(f"latent-map: t-SNE of {len(points):,} vectors")
            places = _embedded(points.cpu().numpy(), params.perplexity)
            pictures[name] = _drawn(places, of)
            if of is not None:
                end = "" if name == "latents" else "-encoded"
                numbers[f"same-class{end}"] = _together(places, of, params.neighbours)
                counts = np.bincount(of) / len(of)
                numbers[f"same-class{end}-chance"] = float((counts**2).sum())
        return Probed(numbers, pictures, note)


def _classes(trained: TrainedGame, images: Tensor) -> np.ndarray | None:
    try:
        classifier = trained.extractor("classifier") if trained.spec.classes else None
    except Unavailable:
        return None
    if classifier is None:
        return None
    classes: np.ndarray = classifier(images)[1].argmax(1).cpu().numpy()
    return classes


def _embedded(points: np.ndarray, perplexity: float) -> np.ndarray:
    from sklearn.manifold import TSNE

    fitting = min(perplexity, (len(points) - 1) / 3)
    places: np.ndarray = TSNE(2, perplexity=fitting, init="pca", random_state=0).fit_transform(points)
    return places


def _together(places: np.ndarray, classes: np.ndarray, count: int) -> float:
    """Share of the nearest `count` points that are of the same class, mean over points."""
    from scipy.spatial import KDTree

    _, near = KDTree(places).query(places, k=min(count + 1, len(places)))
    return float((classes[near[:, 1:]] == classes[:, None]).mean())


def _drawn(places: np.ndarray, classes: np.ndarray | None) -> bytes:
    """A PNG of the map."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    if classes is None:
        axes.scatter(places[:, 0], places[:, 1], s=7, color="0.4", linewidths=0)
    else:
        names, colours = np.unique(classes), colormaps["tab10" if classes.max() < 10 else "tab20"]
        for name in names:
            here = places[classes == name]
            axes.scatter(
                here[:, 0], here[:, 1], s=9, color=colours(int(name) % colours.N), linewidths=0, label=str(name)
            )
        if len(names) <= 20:
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2, frameon=False, title="class")
    axes.set(xticks=[], yticks=[])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
