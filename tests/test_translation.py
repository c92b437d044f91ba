"""pix2pix and CycleGAN: networks of the papers' sizes, the image pool, data in both layouts, metrics, baselines."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ganbench
from ganbench_translation.cyclegan import CycleGAN, CycleGANParams
from ganbench_translation.digits import ChalkToInk, DigitParams, EdgesToDigits
from ganbench_translation.folders import Paired, TranslationFolderParams, Unpaired
from ganbench_translation.metrics import L1, PSNR, SSIM, CycleError, LabelAgreement
from ganbench_translation.networks import ImagePool, PatchDiscriminator, ResNetGenerator, UNet
from ganbench_translation.pix2pix import Pix2Pix, Pix2PixParams
from ganbench_translation.published import Facades64, FacadesParams, HorseToZebra64
from PIL import Image
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter

from ganbench.api import DatasetError, DataSpec, Features
from ganbench.batches import scale
from ganbench.data import prepare
from ganbench.evaluate import Evaluator
from ganbench.store import Store
from ganbench.testing import parametrize_with_checks

SMALL = {"width": 4, "patch_width": 4}


@parametrize_with_checks("metrics/ssim", "metrics/cycle-error", "datasets/edges2digits")
def test_metrics_and_digits_keep_their_contract(check) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks("metrics/l1", "metrics/psnr", "metrics/label-agreement", "datasets/chalk2ink")
def test_the_others_keep_theirs_too(check) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks("variants/pix2pix", "variants/cyclegan", params=SMALL)
def test_the_variants_keep_theirs(check) -> None:
    check()


# --- networks


@pytest.mark.parametrize("size", [8, 28, 32, 48, 64, 128, 256])
def test_networks_are_made_for_images_of_that_size(size: int) -> None:
    spec = DataSpec((3, size, size), source=(1, size, size), paired=True)
    with torch.device("meta"):
        for variant, params in (
            (Pix2Pix(), Pix2PixParams.resolve(SMALL)),
            (CycleGAN(), CycleGANParams.resolve({**SMALL, "identity_weight": 0.0})),
        ):
            assert variant.refusal(spec, params) is None
            game = variant.game(spec, params)
            assert game.sample(2, torch.zeros(2, 1, size, size)).shape == (2, 3, size, size)


def test_at_256_pixels_the_networks_have_the_parameters_of_the_authors_code() -> None:
    shape = (3, 256, 256)
    with torch.device("meta"):
        unet, resnet = UNet(shape, shape, 64), ResNetGenerator(shape, shape, 64, 9)
        patches = PatchDiscriminator(3, 64, 3, "instance")
    # 54.414, 11.378 and 2.765 million in junyanz/pytorch-CycleGAN-and-pix2pix, whose U-Net has no biases before norms.
    assert _parameters(unet) == pytest.approx(54.414e6, rel=2e-4)
    assert round(_parameters(resnet) / 1e6, 3) == 11.378
    assert round(_parameters(patches) / 1e6, 3) == 2.765


def _parameters(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("halvings", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_a_patch(halvings: int, patch: int) -> None:
    # Without normalisation, which sees the whole map.
    network = PatchDiscriminator(1, 1, halvings, "batch").eval()
    images = torch.randn(1, 1, 128, 128, requires_grad=True)
    logits = network(images)
    place = logits.shape[-1] // 2
    logits[0, 0, place, place].backward()
    seen = images.grad[0, 0].abs().sum(0).nonzero().flatten()
    assert seen.max() - seen.min() + 1 == patch


@pytest.mark.parametrize(
    ("variant", "spec", "params", "reason"),
    [
        (Pix2Pix(), DataSpec((1, 30, 30), source=(1, 30, 30), paired=True), {}, "multiples of 4"),
        (Pix2Pix(), DataSpec((1, 32, 32), source=(1, 16, 16), paired=True), {}, "sources are 16 pixels and images 32"),
        (Pix2Pix(), DataSpec((1, 16, 16), source=(1, 16, 16), paired=True), {"patch_layers": 3}, "set patch_layers"),
        (Pix2Pix(), DataSpec((1, 32, 32), source=(1, 32, 32)), {}, "made for paired data"),
        (CycleGAN(), DataSpec((3, 32, 32), source=(1, 32, 32)), {}, "differ in channels"),
        (CycleGAN(), DataSpec((1, 32, 32), source=(1, 32, 32)), {"pool": 3}, "holds no minibatch of 4"),
    ],
)
def test_what_does_not_suit_the_networks_is_a_planned_skip(variant, spec, params, reason: str) -> None:
    assert reason in variant.refusal(spec, variant.Params.resolve(params))


def test_the_discriminator_sees_the_source_where_it_is_to() -> None:
    spec = DataSpec((1, 16, 16), source=(1, 16, 16), paired=True)
    channels = [
        Pix2Pix().game(spec, Pix2PixParams.resolve({**SMALL, "sees_source": sees})).players[0].networks.layers[0]
        for sees in (True, False)
    ]
    assert [layer.in_channels for layer in channels] == [2, 1]


# --- the pool


def test_a_pool_gives_new_images_until_it_is_full_and_then_swaps_half_of_them() -> None:
    torch.manual_seed(0)
    pool, swapped = ImagePool(5, (1, 1, 1)), 0
    kept: list[int] = []
    for turn in range(200):
        new = torch.arange(3.0).view(3, 1, 1, 1) + 3 * turn
        given = [int(value) for value in pool(new).flatten()]
        for number, value in zip(range(3 * turn, 3 * turn + 3), given, strict=True):
            if number < 5:
                assert value == number
                kept.append(number)
            elif value != number:
                assert value in kept  # one from before, whose place the new one takes
                kept[kept.index(value)] = number
                swapped += 1
        assert sorted(kept) == sorted(int(value) for value in pool.images.flatten()[: len(kept)])
    assert 0.4 < swapped / 595 < 0.6
    assert not pool(torch.zeros(3, 1, 1, 1, requires_grad=True)).requires_grad


def test_a_pool_of_no_size_gives_what_it_gets() -> None:
    new = torch.randn(2, 1, 2, 2)
    assert ImagePool(0, (1, 2, 2))(new) is new


# --- data


def _picture(path: Path, *colours: tuple[int, int, int], size: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tiles = [np.full((size, size, 3), colour, np.uint8) for colour in colours]
    Image.fromarray(np.concatenate(tiles, axis=1)).save(path)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 train and 10 val pairs of one colour each; B is A with another green and blue."""
    top = tmp_path_factory.mktemp("pairs")
    for name, count in (("train", 16), ("val", 10)):
        for index in range(count):
            _picture(top / name / f"{index:02}.png", (10 * index, 0, 0), (10 * index, 100, 200))
    return top


def _paired(top: Path, **params) -> Paired:
    return Paired(str(top), TranslationFolderParams.resolve({"size": 16, **params}))


def test_pairs_lie_side_by_side_and_either_half_is_the_source(pairs: Path) -> None:
    splits = _paired(pairs).load(pairs)
    assert {name: split.images.shape for name, split in splits.items()} == {
        "train": (16, 3, 16, 16),
        "test": (10, 3, 16, 16),  # from val, as there is no test
    }
    train = splits["train"]
    assert train.sources[3].reshape(3, -1)[:, 0].tolist() == [30, 0, 0]
    assert train.images[3].reshape(3, -1)[:, 0].tolist() == [30, 100, 200]
    back = _paired(pairs, direction="b-to-a").load(pairs)["train"]
    assert np.array_equal(back.images, train.sources)
    assert np.array_equal(back.sources, train.images)


def test_collections_lie_in_four_folders(tmp_path: Path) -> None:
    for name, count, colour in (("trainA", 3, 1), ("trainB", 4, 2), ("testA", 2, 3), ("testB", 2, 4)):
        for index in range(count):
            _picture(tmp_path / name / f"{index}.png", (colour, index, 0))
    dataset = Unpaired(str(tmp_path), TranslationFolderParams(size=16))
    splits = dataset.load(tmp_path)
    assert dataset.spec().kind == "unpaired"
    assert (len(splits["train"].sources), len(splits["train"].images)) == (3, 4)
    assert splits["train"].sources[0, 0, 0, 0] == 1
    assert splits["test"].images[1, :2, 0, 0].tolist() == [4, 1]
    for path in (tmp_path / "testA").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match="testA holds no images"):
        dataset.load(tmp_path)
    (tmp_path / "testA").rmdir()
    with pytest.raises(DatasetError, match="has no folder testA; it is to hold images in trainA, trainB"):
        dataset.spec()


def test_pairs_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"there is no folder .*nowhere"):
        _paired(tmp_path / "nowhere").spec()
    with pytest.raises(DatasetError, match="has no folder train; it is to hold pictures of pairs"):
        _paired(tmp_path).spec()
    _picture(tmp_path / "train" / "a.png", (1, 2, 3), size=8)
    with pytest.raises(DatasetError, match=r"smaller than size = 16: .*a\.png \(4×8\)"):
        _paired(tmp_path).load(tmp_path)


@pytest.mark.parametrize("dataset", [Facades64(), HorseToZebra64()])
def test_published_sets_that_are_not_there_say_where_they_come_from(dataset, tmp_path: Path) -> None:
    assert dataset.source(tmp_path) == ""
    with pytest.raises(DatasetError, match=r"is not to be had: there is no .* with .*unpack it there"):
        dataset.load(tmp_path)


def test_published_pairs_are_reduced_to_64_pixels_and_begin_with_labels(tmp_path: Path) -> None:
    for name in ("train", "test"):
        for index in range(2):
            _picture(tmp_path / "facades" / name / f"{index}.png", (200, index, 0), (0, index, 100), size=256)
    train = Facades64().load(tmp_path)["train"]
    assert train.images.shape == train.sources.shape == (2, 3, 64, 64)
    assert (train.images[0, 0, 5, 5], train.sources[0, 2, 5, 5]) == (200, 100)
    assert Facades64("", FacadesParams("a-to-b")).load(tmp_path)["train"].sources[0, 0, 5, 5] == 200
    assert Facades64().source(tmp_path)


def test_edges_are_the_rim_of_their_digit(tmp_path: Path) -> None:
    splits = EdgesToDigits("", DigitParams(16)).load(tmp_path)
    images, labels, sources, _ = splits["train"]
    assert {name: len(split.images) for name, split in splits.items()} == {"train": 1198, "test": 599}
    assert set(np.unique(sources)) == {0, 255}
    assert (images[sources == 255] > 127).all()
    assert 0.05 < (sources == 255).mean() < 0.3
    assert len(labels) == 1198


def test_no_digit_is_both_in_chalk_and_in_ink(tmp_path: Path) -> None:
    splits = ChalkToInk("", DigitParams(16)).load(tmp_path)
    shapes = {name: (split.images.shape, split.sources.shape) for name, split in splits.items()}
    assert shapes == {
        "train": ((599, 3, 16, 16), (599, 3, 16, 16)),
        "test": ((300, 3, 16, 16), (299, 3, 16, 16)),
    }
    train, digits = splits["train"], EdgesToDigits("", DigitParams(16)).load(tmp_path)["train"].images
    strokes = digits.reshape(1198, -1) / 255
    chalk = (train.sources[:, 0].reshape(599, -1) - 28.0) / (238 - 28) / 0.85  # with grain from 0.7 to 1
    ink = np.sqrt((245.0 - train.images[:, 0].reshape(599, -1)).clip(0) / (245 - 25))
    of_chalk, of_ink = _nearest(chalk, strokes), _nearest(ink, strokes)
    assert len(set(of_ink)) > 590
    assert len(set(of_chalk)) > 550
    assert len(set(of_ink) & set(of_chalk)) < 30


def _nearest(some: np.ndarray, among: np.ndarray) -> list[int]:
    """Of each row of N×d the place of the nearest row of M×d."""
    distances = (some**2).sum(1)[:, None] - 2 * some @ among.T + (among**2).sum(1)[None]
    return distances.argmin(1).tolist()


# --- metrics


@pytest.fixture(scope="module")
def translated() -> Features:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 256, (7, 3, 20, 20), generator=generator, dtype=torch.uint8)
    noise = torch.randint(-60, 60, targets.shape, generator=generator)
    return Features((targets.int() + noise).clamp(0, 255).to(torch.uint8), targets=targets)


def _score(metric, batch: Features) -> float:
    scored = metric(len(batch.images))
    scored.update(Features(*(None if part is None else part[:4] for part in batch)))
    scored.update(Features(*(None if part is None else part[4:] for part in batch)))
    return scored.compute({})


def test_errors_are_those_of_numpy(translated: Features) -> None:
    one, other = translated.images.numpy() / 255, translated.targets.numpy() / 255
    assert _score(L1, translated) == pytest.approx(np.abs(one - other).mean(), rel=1e-12)
    assert _score(CycleError, translated) == pytest.approx(np.abs(one - other).mean(), rel=1e-12)
    assert _score(PSNR, translated) == pytest.approx(10 * math.log10(1 / ((one - other) ** 2).mean()), rel=1e-12)
    assert _score(PSNR, translated._replace(images=translated.targets)) == math.inf


def test_similarity_is_the_formula_of_its_paper(translated: Features) -> None:
    found = []
    for one, other in zip(
        translated.images.numpy().astype(float), translated.targets.numpy().astype(float), strict=True
    ):
        for x, y in zip(one, other, strict=True):
            mx, my = _blurred(x), _blurred(y)
            vx, vy, vxy = _blurred(x * x) - mx**2, _blurred(y * y) - my**2, _blurred(x * y) - mx * my
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            similarity = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
            found.append(similarity[5:-5, 5:-5].mean())  # where the window is inside
    assert _score(SSIM, translated) == pytest.approx(np.mean(found), rel=1e-9)


def _blurred(image: np.ndarray) -> np.ndarray:
    return gaussian_filter(image, 1.5, truncate=3.5)


def test_similarity_of_images_below_its_window_is_refused() -> None:
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match="11 pixels wide, and images are 8"):
        SSIM(2).update(Features(images, targets=images))


def test_agreement_counts_classes_that_stay() -> None:
    logits = torch.eye(3)[[0, 1, 2, 2, 1, 0, 0]]
    batch = Features(torch.zeros(7, 1, 1, 1), torch.tensor([0, 1, 2, 0, 1, 2, 0]), logits=logits)
    assert _score(LabelAgreement, batch) == 5 / 7
    with pytest.raises(ValueError, match="labels of sources"):
        LabelAgreement(7).update(batch._replace(labels=None))


# --- a run

FILE = """
name = "translation"
seeds = 1
budget = {{ generator_updates = 4 }}
evaluate = {{ times = 2, samples = 10 }}
metrics = ["l1", "psnr", "ssim", "cycle-error"]
rank = {{ metric = "l1", at = "best" }}

[[grid]]
variants = ["pix2pix", "cyclegan"]
datasets = [{{ name = {dataset}, params = {{ size = 16 }} }}]
params = {{ width = 4, patch_width = 4, batch_size = 2 }}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data_root: Path, pairs: Path) -> Path:
    folder = tmp_path_factory.mktemp("translation")
    text = FILE.format(dataset=json.dumps(f"paired:{pairs}"))
    (folder / "bench.toml").write_text(text)
    environment = {**os.environ, "GANBENCH_DATA": str(data_root)}
    for command in (
        ["run", folder / "bench.toml", "--results", folder],
        ["report", folder / "translation", "--pictures", "none"],
    ):
        done = ganbench(environment, *command)
        assert done.returncode == 0, done.stderr
    return folder / "translation"


def test_guesses_that_nobody_had_to_learn_stand_below_the_leaderboard(run: Path) -> None:
    (reference,) = Store(run).references()
    known = reference.manifest["baselines"]
    scores = {name: {metric: one["value"] for metric, one in found.items()} for name, found in known.items()}
    assert set(scores) == {"copy of the source", "mean image"}
    copying = np.array([0, 100, 200]) / 255  # by what B differs from A
    assert scores["copy of the source"]["l1"] == pytest.approx(copying.mean())
    assert scores["copy of the source"]["psnr"] == pytest.approx(-10 * math.log10((copying**2).mean()))
    # Of the test images at odd places, which score the chosen snapshot, and the mean of those of the train images.
    reds = np.abs(10 * np.arange(1, 10, 2) - 75) / 255
    assert scores["mean image"]["l1"] == pytest.approx(reds.mean() / 3)
    assert "cycle-error" not in scores["mean image"]
    assert set(reference.manifest["real"]) == {"l1", "ssim"}  # PSNR of the truth is infinite
    table = (run / "leaderboard.md").read_text()
    assert table.index("copy of the source") < table.index("mean image") < table.index("real test images")
    assert "mean image" in (run / "report" / "index.html").read_text()
    assert "mean image" in (run / "leaderboard.tex").read_text()


def test_pix2pix_has_no_way_back_and_says_so(run: Path) -> None:
    cells = {cell.task["variant"]: cell for cell in Store(run).cells()}
    assert set(cells["pix2pix"].manifest["best"]["metrics"]) == {"l1", "psnr", "ssim"}
    assert "this game has none" in cells["pix2pix"].manifest["unavailable"]["cycle-error"]
    assert set(cells["cyclegan"].manifest["best"]["metrics"]) == {"l1", "psnr", "ssim", "cycle-error"}
    # Five held-out sources in one band: with translations and targets, and of CycleGAN the way back too.
    sizes = {name: Image.open(cell.sample_sheet(4)).size for name, cell in cells.items()}
    assert sizes == {"pix2pix": (182, 56), "cyclegan": (182, 74)}


@pytest.mark.slow
def test_translations_are_what_the_distance_and_the_agreement_are_of(data_root: Path) -> None:
    data = prepare("edges2digits", EdgesToDigits("", DigitParams(16)), data_root)
    names = ["fcd", "label-agreement"]
    ours = {"classifier": "classifier"}
    evaluator = Evaluator(
        data, names, extractors=ours, reference="train", device="cpu", root=data_root, say=lambda message: None
    )
    game = Pix2Pix().game(data.spec, Pix2PixParams.resolve(SMALL))
    game.generator.eval()
    with torch.no_grad():
        found = evaluator.score_game(game, 300, seed=0)
        test, train = data.splits["test"], data.splits["train"]
        made = game.sample(300, scale(torch.tensor(test.sources[::2])))
        made = ((made + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        features, logits = evaluator.extractors["classifier"](made)
        reals, _ = evaluator.extractors["classifier"](torch.tensor(train.images))
    assert found["label-agreement"] == np.mean(logits.argmax(1).numpy() == test.labels[::2])
    assert found["fcd"] == pytest.approx(_distance(features.double().numpy(), reals.double().numpy()), rel=1e-4)


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """The Fréchet distance by the matrix square root of its definition."""
    a, b = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = sqrtm(a @ b + 1e-12 * np.eye(len(a))).real
    return float(((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(a + b - 2 * root))
