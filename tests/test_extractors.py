"""The classifier (trained once, kept, reproducible, harmless) and Inception (parity, safety, nothing downloaded)."""

import contextlib
import dataclasses
import hashlib
import io
import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from ganbench_metrics import blocks, inception, training
from ganbench_metrics.classifier import Classifier
from ganbench_metrics.inception import Inception
from ganbench_metrics.metrics import FrechetInceptionDistance, InceptionScore
from sklearn.datasets import load_digits
from torch import nn

from ganbench.api import DataSpec, ExtractorData, Features, Split, Unavailable
from ganbench.plugins import installed
from ganbench.testing import check_extractor


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of other tests' processes do not fight; results do not depend on the machine's cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def source(cache, images, labels, classes=10, said=None, device="cpu", name="digits"):
    cut = len(images) * 2 // 3
    parts = [slice(None, cut), slice(cut, None)]
    splits = {
        which: Split(images[part], None if labels is None else labels[part])
        for which, part in zip(("train", "test"), parts, strict=True)
    }
    spec = DataSpec(images.shape[1:], classes)
    said = [] if said is None else said
    return ExtractorData(name, spec, splits, "fingerprint", device, cache, said.append)


@pytest.fixture(scope="session")
def digits():
    data = load_digits()
    return np.rint(data.images * 255 / 16).astype(np.uint8)[:, None], data.target.astype(np.int64)


@pytest.fixture(scope="session")
def trained(digits, tmp_path_factory):
    """A classifier of digits, what it was made from, and what it said."""
    torch.set_num_threads(1)
    said = []
    data = source(tmp_path_factory.mktemp("extractors"), *digits, said=said)
    return Classifier(data), data, said


@pytest.fixture
def tiny():
    """120 8×8 images of two classes, learnt in no time."""
    labels = np.arange(120) % 2
    noise = np.random.default_rng(0).integers(0, 100, (120, 1, 8, 8))
    return (noise + 120 * labels[:, None, None, None]).astype(np.uint8), labels


# --- Classifier -------------------------------------------------------------------------------------------------------


def test_digits_are_classified_with_97_percent_and_all_features_live(trained, digits):
    classifier, data, said = trained
    assert classifier.info["test_accuracy"] >= 0.97
    features, logits = classifier(torch.tensor(data.splits["test"].images))
    assert (features.shape, logits.shape) == ((599, 64), (599, 10))
    right = (logits.argmax(1).numpy() == data.splits["test"].labels).mean()
    assert right == pytest.approx(classifier.info["test_accuracy"])
    assert features.std(0).min() > 0.01
    assert classifier.info["features"] == 64
    assert said[0].startswith("training the classifier of digits: up to 20 epochs of 1,198 images, batch 64, early")


def test_classifier_is_trained_once_and_then_read(trained):
    classifier, data, _ = trained
    said = []
    began = time.perf_counter()
    again = Classifier(dataclasses.replace(data, say=said.append))
    assert time.perf_counter() - began < 1
    assert said == []
    assert (again.hash, again.info) == (classifier.hash, classifier.info)
    images = torch.tensor(data.splits["test"].images[:20])
    assert all(map(torch.equal, classifier(images), again(images)))


def test_features_of_an_image_do_not_depend_on_the_images_beside_it(trained):
    classifier, data, _ = trained
    images = torch.tensor(data.splits["test"].images)
    for together, alone in zip(classifier(images), classifier(images[255:258]), strict=True):
        assert torch.equal(together[255:258], alone)


def test_another_fingerprint_trains_another_classifier(tmp_path, tiny):
    data = source(tmp_path, *tiny, classes=2)
    Classifier(data)
    Classifier(dataclasses.replace(data, fingerprint="changed"))
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


@pytest.mark.parametrize("damage", ["torn", "tampered"])
def test_damaged_classifier_is_trained_anew_and_says_so(tmp_path, tiny, damage):
    said = []
    data = source(tmp_path, *tiny, classes=2, said=said)
    first = Classifier(data)
    (path,) = tmp_path.glob("*.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage == "torn" else whole[:-1] + bytes([whole[-1] ^ 1]))
    said.clear()
    again = Classifier(data)
    assert "damaged and will be trained anew" in said[0]
    assert again.hash == first.hash
    said.clear()
    Classifier(data)
    assert said == []


def test_same_seed_gives_the_same_weights_and_another_seed_others(tiny):
    spec, split = DataSpec((1, 8, 8), 2), Split(*tiny)
    plan = training.Recipe(epochs=2)
    weights = [
        torch.cat([value.flatten().double() for value in training.train(spec, split, p, "cpu").network.parameters()])
        for p in (plan, plan, dataclasses.replace(plan, seed=1))
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_training_leaves_the_random_state_of_the_caller_alone(tmp_path, tiny):
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    Classifier(source(tmp_path, *tiny, classes=2))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)


def test_test_split_does_not_take_part_in_training(tmp_path, tiny):
    images, labels = tiny
    first = Classifier(source(tmp_path / "a", images, labels, classes=2))
    labels = labels.copy()
    labels[80:] = 1 - labels[80:]
    wrong = Classifier(source(tmp_path / "b", images, labels, classes=2))
    assert wrong.hash == first.hash
    assert wrong.info["test_accuracy"] == pytest.approx(1 - first.info["test_accuracy"])


def test_a_tenth_of_every_class_is_held_back():
    labels = np.repeat([0, 1, 2], [500, 300, 100])
    aside = training.held_out(labels, seed=0)
    assert np.bincount(labels[aside]).tolist() == [50, 30, 10]


def test_only_one_of_two_processes_trains(tmp_path):
    code = f"""
import sys, pathlib, numpy as np, torch
torch.set_num_threads(1)
from ganbench.api import DataSpec, ExtractorData, Split
from ganbench_metrics.classifier import Classifier
rng = np.random.default_rng(0)
split = Split(rng.integers(0, 256, (150, 1, 8, 8), dtype=np.uint8), rng.integers(0, 2, 150))
spec, cache = DataSpec((1, 8, 8), 2), pathlib.Path({str(tmp_path)!r})
print(Classifier(ExtractorData("noise", spec, {{"train": split}}, "f", "cpu", cache, print)).hash)
"""
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0].splitlines() for process in both]
    assert said[0][-1] == said[1][-1]
    assert sum(line.startswith("training the classifier") for lines in said for line in lines) == 1


@pytest.mark.parametrize("classes", [0, 10])
def test_unlabelled_data_have_no_classifier(tmp_path, digits, classes):
    with pytest.raises(Unavailable, match="digits has no labels"):
        Classifier(source(tmp_path, digits[0], None, classes=classes))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 28, 32, 48, 64])
def test_networks_suit_every_size_and_shrink_images_to_a_few_pixels(size, channels):
    network = training.build(DataSpec((channels, size, size), 7))
    images = torch.zeros(2, channels, size, size, dtype=torch.uint8)
    features, logits = network(images)
    assert features.shape == (2, 64 if size < 28 else 128)
    assert logits.shape == (2, 7)
    seen = network.body[:-2](images / 127.5 - 1).shape[-1]
    assert 4 <= seen <= 7


def test_shifted_images_are_crops_of_the_padded_ones():
    images = torch.randint(1, 256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    shifted = training._shifted(images, 3, torch.Generator().manual_seed(1))
    padded = nn.functional.pad(images, (3, 3, 3, 3))
    places = []
    for image, moved in zip(padded, shifted, strict=True):
        crops = {(y, x): image[:, y : y + 32, x : x + 32] for y in range(7) for x in range(7)}
        places += [place for place, crop in crops.items() if torch.equal(crop, moved)]
    assert len(places) == 4
    assert len(set(places)) > 1


def test_exact_float32_holds_inside_and_restores_the_callers_settings():
    settings = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "tf32"
        with (
            contextlib.suppress(KeyError),
            torch.autocast("cpu", dtype=torch.bfloat16),
            blocks.exact_float32(torch.device("cpu")),
        ):
            assert [setting.fp32_precision for setting in settings] == ["ieee", "ieee"]
            assert nn.Linear(2, 2)(torch.zeros(1, 2)).dtype == torch.float32
            raise KeyError
        assert [setting.fp32_precision for setting in settings] == ["tf32", "tf32"]
    finally:
        for setting, precision in zip(settings, before, strict=True):
            setting.fp32_precision = precision


# --- Inception --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A state dict of torch-fidelity's Inception with random weights that keep the signal's scale."""
    from torch_fidelity import feature_extractor_inceptionv3 as their

    path = tmp_path_factory.mktemp("inception") / "random.pth"
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(StopIteration), torch.random.fork_rng():
        torch.manual_seed(0)

        def stop(network, state):
            for module in network.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight)
            nn.init.normal_(network.fc.weight, std=2)
            torch.save(network.state_dict(), path)
            raise StopIteration

        patch.setattr(their, "load_state_dict_from_url", lambda *args, **kwargs: {})
        patch.setattr(their.FeatureExtractorInceptionV3, "load_state_dict", stop)
        their.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    return path


@pytest.fixture
def grey(tmp_path):
    """An 8×8 grey dataset; Inception needs nothing else of it."""
    return source(tmp_path, np.zeros((3, 1, 8, 8), np.uint8), None, classes=0)


def pictures(n, seed, contrast):
    """Uint8 images n×3×32×32 of coloured noise, smooth and rough."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 4, 4, generator=generator).repeat_interleave(8, 2).repeat_interleave(8, 3)
    fine = torch.rand(n, 3, 32, 32, generator=generator) * torch.rand(n, 1, 1, 1, generator=generator)
    return ((coarse * contrast + fine) * 127).byte()


@pytest.mark.slow
def test_inception_keeps_the_contract_of_extractors(monkeypatch, weights):
    monkeypatch.setenv(inception.VARIABLE, str(weights))
    monkeypatch.setattr(inception, "BLOCK", 4)
    report = check_extractor("inception")
    report.raise_for_failures()
    assert len(report.passed) == 14


def test_is_and_fid_agree_with_torch_fidelity_on_the_same_images(monkeypatch, grey, weights):
    from torch_fidelity import calculate_metrics

    monkeypatch.setenv(inception.VARIABLE, str(weights))
    monkeypatch.setattr(inception, "BLOCK", 4)
    generated, real = pictures(20, 0, 1.0), pictures(8, 1, 0.6)

    class Images(torch.utils.data.Dataset):
        def __init__(self, images):
            self.images = images

        def __len__(self):
            return len(self.images)

        def __getitem__(self, index):
            return self.images[index]

    theirs = calculate_metrics(
        input1=Images(generated), input2=Images(real), isc=True, fid=True, cuda=False, cache=False, verbose=False,
        batch_size=4, feature_extractor_weights_path=str(weights), save_cpu_ram=True,
    )  # fmt: skip
    extractor, score = Inception(grey), InceptionScore(20)
    sides = []
    for images in (generated, real):
        sides.append(FrechetInceptionDistance(20))
        for batch in images.split(12):
            features, logits = extractor(batch)
            sides[-1].update(Features(batch, None, features, logits))
            if images is generated:
                score.update(Features(batch, None, features, logits))
    assert theirs["inception_score_mean"] > 1.1
    assert theirs["frechet_inception_distance"] > 0.1
    assert score.compute({}) == pytest.approx(theirs["inception_score_mean"], rel=1e-4)
    distance = sides[0].compute(sides[1].state())
    assert distance == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)


def test_weights_in_the_hub_folder_are_used_and_grey_images_seen_as_three_equal_channels(
    monkeypatch, tmp_path, grey, weights
):
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    place = tmp_path / "checkpoints" / f"weights-{digest[:8]}.pth"
    place.parent.mkdir()
    place.symlink_to(weights)
    monkeypatch.delenv(inception.VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(inception, "_url", lambda: f"https://example.org/{place.name}")
    monkeypatch.setattr(inception, "BLOCK", 2)
    extractor = Inception(grey)
    assert (extractor.hash, extractor.info) == (digest, {"weights": place.name, "sha256": digest})
    images = pictures(2, 0, 1.0)[:, :1]
    features, logits = extractor(images)
    assert (features.shape, logits.shape) == ((2, 2048), (2, 1008))
    assert torch.equal(features, extractor(images.repeat(1, 3, 1, 1))[0])


def test_missing_inception_weights_name_the_file_and_where_to_put_it(monkeypatch, tmp_path, grey):
    monkeypatch.delenv(inception.VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    good, message = Inception.ready()
    assert not good
    assert "no Inception weights at" in message
    with pytest.raises(Unavailable) as raised:
        Inception(grey)
    place = tmp_path / "hub" / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth"
    assert f"no Inception weights at {place}" in str(raised.value)
    assert "download https://github.com/toshas/torch-fidelity/" in str(raised.value)
    assert inception.VARIABLE in str(raised.value)


def test_damaged_download_of_inception_is_refused_before_it_is_opened(monkeypatch, tmp_path, grey):
    monkeypatch.delenv(inception.VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = tmp_path / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth"
    path.parent.mkdir()
    path.write_bytes(b"half of it")
    assert Inception.ready() == (True, f"Inception weights at {path}")
    with pytest.raises(Unavailable, match="is damaged"):
        Inception(grey)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_weights_file_is_not_executed(monkeypatch, tmp_path, grey):
    path, crater = tmp_path / "bomb.pth", tmp_path / "crater"
    torch.save({"fc.weight": Bomb(crater)}, path)
    monkeypatch.setenv(inception.VARIABLE, str(path))
    with pytest.raises(Unavailable, match="not a plain file of weights"):
        Inception(grey)
    path.write_bytes(pickle.dumps(Bomb(crater), protocol=2))
    with pytest.raises(Unavailable, match="not a plain file of weights"):
        Inception(grey)
    assert not crater.exists()
    pickle.load(io.BytesIO(path.read_bytes()))
    assert crater.exists()  # the bomb works


def test_weights_of_another_network_are_refused(monkeypatch, tmp_path, grey):
    path = tmp_path / "other.pth"
    torch.save(nn.Linear(2, 2).state_dict(), path)
    monkeypatch.setenv(inception.VARIABLE, str(path))
    with pytest.raises(Unavailable, match="does not hold torch-fidelity's Inception weights"):
        Inception(grey)


@pytest.mark.parametrize("name", ["classifier", "inception"])
def test_extractors_are_registered_with_a_summary(name):
    component = installed().find("extractors", name)
    assert component.id == f"metrics/{name}"
    assert component.describe()
