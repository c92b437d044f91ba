"""The thesis's classifiers (layers, training, refusals) and the Keras layers that they and its GANs are made of."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from ganbench_hoeckler import classifier_training, keras
from ganbench_hoeckler.classifier import CIFAR10Classifier, FashionClassifier, MNISTClassifier, Plan
from ganbench_metrics.classifier import Classifier
from ganbench_metrics.training import recipe
from torch import nn

from ganbench.api import DataSpec, ExtractorData, Split, Unavailable

ALL = [MNISTClassifier, FashionClassifier, CIFAR10Classifier]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- Keras's layers ---------------------------------------------------------------------------------------------------


def convolved(images, weight, stride, before, after):
    """The explicit sum, with zeros around: images N×C×H×W, weight K×C×k×k."""
    kernel = weight.shape[-1]
    padded = np.pad(images, ((0, 0), (0, 0), (before, after), (before, after)))
    last = padded.shape[-1] - kernel
    places = range(0, last + 1, stride)
    windows = [[padded[:, :, y : y + kernel, x : x + kernel] for x in places] for y in places]
    return np.einsum("yxnchw,kchw->nkyx", np.array(windows), weight)


@pytest.mark.parametrize(
    ("kernel", "stride", "size", "before", "after"),
    [
        (5, 2, 28, 1, 2), (5, 2, 14, 1, 2), (5, 1, 7, 2, 2), (5, 2, 7, 2, 2), (3, 2, 32, 0, 1), (3, 1, 8, 1, 1),
        (4, 2, 8, 1, 1), (4, 1, 8, 1, 2), (1, 2, 8, 0, 0), (1, 1, 5, 0, 0),
    ],
)  # fmt: skip
def test_conv_pads_as_tensorflow_does(kernel, stride, size, before, after):
    torch.manual_seed(0)
    layers = nn.Sequential(*keras.conv(2, 3, kernel, stride, size=size)).double()
    images = torch.randn(2, 2, size, size, dtype=torch.float64)
    weight, bias = layers[-1].weight.detach().numpy(), layers[-1].bias.detach().numpy()
    expected = convolved(images.numpy(), weight, stride, before, after) + bias[:, None, None]
    assert expected.shape[-1] == -(-size // stride)
    np.testing.assert_allclose(layers(images).detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    assert sum(isinstance(layer, nn.ZeroPad2d) for layer in layers) == (before != after)


@pytest.mark.parametrize(("kernel", "stride"), [(5, 2), (4, 2), (3, 2), (2, 2), (1, 2), (5, 1), (4, 1), (3, 1), (5, 3)])
@pytest.mark.parametrize("n", [4, 7])
def test_transposed_is_the_gradient_of_conv(kernel, stride, n):
    torch.manual_seed(0)
    layers = nn.Sequential(*keras.transposed(3, 2, kernel, stride)).double()
    forward = nn.Sequential(*keras.conv(2, 3, kernel, stride, size=stride * n)).double()
    keras.initialise(layers)
    forward[-1].weight.data = layers[0].weight.data
    maps = torch.randn(2, 3, n, n, dtype=torch.float64)
    images = torch.zeros(2, 2, stride * n, stride * n, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(forward(images), images, maps)
    result = layers(maps)
    assert result.shape == (2, 2, stride * n, stride * n)
    torch.testing.assert_close(result, expected)


def test_transposed_kernel_5_stride_2_loses_one_row_at_the_top_and_two_at_the_bottom():
    layers = nn.Sequential(*keras.transposed(1, 1, 5, 2))
    keras.initialise(layers)
    layers[0].weight.data = torch.arange(25.0).reshape(1, 1, 5, 5)
    first, last = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    first[..., 0, 0] = last[..., 3, 3] = 1
    assert torch.equal(layers(first)[0, 0, :4, :4], layers[0].weight[0, 0, 1:, 1:])
    assert torch.equal(layers(last)[0, 0, 5:, 5:], layers[0].weight[0, 0, :3, :3])


@pytest.mark.parametrize(("dimensions", "correction"), [(1, 0), (2, 1)])
def test_batch_norm_averages_the_moments_that_keras_does(dimensions, correction):
    torch.manual_seed(0)
    layer = keras.batch_norm(3, dimensions)
    batch = torch.randn(4, 3, *([5, 5] if dimensions == 2 else [])) * 3 + 2
    flat = batch.numpy().transpose(1, 0, *range(2, batch.ndim)).reshape(3, -1).astype(np.float64)
    shape = (3, *[1] * (batch.ndim - 2))
    mean, variance = flat.mean(1).reshape(shape), flat.var(1).reshape(shape)
    normalised = layer(batch)
    np.testing.assert_allclose(normalised.detach(), (batch.numpy() - mean) / np.sqrt(variance + 1e-3), atol=1e-5)
    running_mean, running_variance = 0.01 * flat.mean(1), 0.99 + 0.01 * flat.var(1, ddof=correction)
    np.testing.assert_allclose(layer.running_mean, running_mean, rtol=1e-5)
    np.testing.assert_allclose(layer.running_var, running_variance, rtol=1e-5)
    kept = (running_mean.reshape(shape), running_variance.reshape(shape))
    inferred = layer.eval()(batch).detach()
    np.testing.assert_allclose(inferred, (batch.numpy() - kept[0]) / np.sqrt(kept[1] + 1e-3), rtol=1e-4, atol=1e-5)


def test_flat_batch_norm_survives_two_forward_passes_before_the_backward_one():
    layer = keras.batch_norm(3, 1)
    first, second = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    (layer(first).square().sum() + layer(second).pow(3).sum()).backward()
    assert first.grad.abs().sum() > 0
    assert second.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("layer", "keras_shape"),
    [
        (nn.Conv2d(40, 90, 5), (5, 5, 40, 90)),
        (nn.ConvTranspose2d(40, 90, 5), (5, 5, 90, 40)),
        (nn.Linear(300, 200), (300, 200)),
    ],
)
def test_initial_values_are_keras_glorot_uniform_and_zero(layer, keras_shape):
    torch.manual_seed(0)
    keras.initialise(nn.Sequential(layer))
    field = np.prod(keras_shape[:-2])
    limit = np.sqrt(6 / (field * keras_shape[-2] + field * keras_shape[-1]))
    assert limit * 0.999 < layer.weight.abs().max() <= limit
    assert float(layer.weight.detach().std()) == pytest.approx(limit / np.sqrt(3), rel=0.01)
    assert not layer.bias.any()


def test_initial_embeddings_are_uniform_and_follow_the_default_generator():
    first, second = nn.Embedding(100, 36), nn.Embedding(100, 36)
    for embedding in (first, second):
        torch.manual_seed(1)
        keras.initialise(embedding)
    assert torch.equal(first.weight, second.weight)
    assert 0.0499 < first.weight.abs().max() <= 0.05


# --- The classifiers --------------------------------------------------------------------------------------------------

TINY = Plan(blocks=((4, 5, 2),), epochs=8)


def source(cache, shape=(1, 28, 28), classes=10, n=200, said=None, name="noise"):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (n, *shape), dtype=np.uint8), rng.integers(0, max(classes, 1), n)
    cut = n * 4 // 5
    splits = {"train": Split(images[:cut], labels[:cut]), "test": Split(images[cut:], labels[cut:])}
    said = [] if said is None else said
    return ExtractorData(name, DataSpec(shape, classes), splits, "fingerprint", "cpu", cache, said.append)


class Quick(MNISTClassifier):
    design = dataclasses.replace(MNISTClassifier.design, epochs=1)


class Tiny(MNISTClassifier):
    design = TINY


@pytest.mark.parametrize(
    ("kind", "parameters", "features", "epochs"),
    [
        (MNISTClassifier, 1_044_042, 256, 30),
        (FashionClassifier, 1_029_514, 256, 40),
        (CIFAR10Classifier, 1_840_010, 512, 100),
    ],
)
def test_network_has_the_parameters_and_the_feature_layer_of_the_thesis(kind, parameters, features, epochs):
    network = classifier_training.build(kind.design, kind.shape, 10).eval()
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == parameters
    assert (kind.design.epochs, kind.design.batch, kind.design.learning_rate) == (epochs, 32, 1e-3)
    *_, last = (module for module in network.body if isinstance(module, nn.BatchNorm2d))
    maps = []
    last.register_forward_hook(lambda module, args, output: maps.append(output))
    images = torch.randint(0, 256, (3, *kind.shape), dtype=torch.uint8)
    seen, logits = network(images)
    assert maps[0].shape[2:] == ((7, 7) if kind.shape[1] == 28 else (8, 8))
    torch.testing.assert_close(seen, maps[0].mean((2, 3)))
    assert (seen.shape, logits.shape) == ((3, features), (3, 10))
    torch.testing.assert_close(network.head(seen), logits)


def test_blocks_are_conv_leaky_relu_dropout_batch_norm_in_this_order():
    network = classifier_training.build(MNISTClassifier.design, (1, 28, 28), 10)
    padding, conv, relu, dropout, norm = network.body[:5]
    assert (padding.padding, conv.kernel_size, conv.stride) == ((1, 2, 1, 2), (5, 5), (2, 2))
    assert (relu.negative_slope, type(dropout), dropout.p) == (0.2, nn.Dropout, 0.5)
    assert (norm.eps, norm.momentum) == (1e-3, 0.01)


def test_images_are_scaled_to_plus_minus_one():
    network = classifier_training.build(TINY, (1, 28, 28), 10).eval()
    seen = []
    network.body[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    network(torch.tensor([0, 255], dtype=torch.uint8).repeat(14).expand(1, 1, 28, 28))
    assert (seen[0].min(), seen[0].max()) == (-1, 1)


def test_classifier_is_trained_once_kept_and_reproducible_without_touching_the_random_state(tmp_path):
    said = []
    data = source(tmp_path / "a", said=said)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = Quick(data)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)
    assert said[0].startswith("training hoeckler-mnist on noise: 1 epochs of 160 images, batch 32, 5 steps on cpu")
    assert len(said) == 2
    again = Quick(data)
    assert len(said) == 2
    torch.randn(3)
    elsewhere = Quick(dataclasses.replace(data, cache=tmp_path / "b"))
    assert len(said) == 4
    assert first.hash == again.hash == elsewhere.hash
    assert first.info == again.info
    images = torch.tensor(data.splits["test"].images)
    features, logits = first(images)
    assert (features.shape, logits.shape) == ((40, 256), (40, 10))
    right = (logits.argmax(1).numpy() == data.splits["test"].labels).mean()
    assert right == pytest.approx(first.info["test_accuracy"])
    for together, alone in zip((features, logits), first(images[5:8]), strict=True):
        assert torch.equal(together[5:8], alone)
    (path,) = (tmp_path / "a").glob("*.safetensors")
    assert path.name.startswith("hoeckler-mnist-noise-")
    assert {key: first.info[key] for key in ("parameters", "features", "epochs", "kept_epoch", "selected_on")} == {
        "parameters": 1_044_042, "features": 256, "epochs": 1, "kept_epoch": 1, "selected_on": "nothing",
    }  # fmt: skip
    assert first.info["architecture"] == "conv 64k5s2-128k5s2-256k5s1 dense 64"


def test_training_learns(tmp_path):
    data = source(tmp_path, n=250)
    for split in data.splits.values():
        split.images[:] = split.images // 8 + 24 * split.labels[:, None, None, None]
    design = dataclasses.replace(TINY, blocks=((16, 5, 2),), hidden=(16,), epochs=20, batch=8, learning_rate=5e-3)
    learner = type("Learner", (MNISTClassifier,), {"design": design})(data)
    assert learner.info["test_accuracy"] > 0.6


@pytest.mark.parametrize(
    ("epochs", "accuracies", "kept"), [(8, [0.2, 0.5, 0.5], 7), (6, [0.1], 6), (3, [0.4], 3), (1, [0.4], 1)]
)
def test_weights_of_the_best_test_accuracy_from_the_sixth_epoch_on_are_kept(
    tmp_path, monkeypatch, epochs, accuracies, kept
):
    data = source(tmp_path, n=40)
    measured = []

    def evaluate(network, images, labels, size):
        assert torch.equal(images, torch.tensor(data.splits["test"].images))
        measured.append({name: value.clone() for name, value in network.state_dict().items()})
        return 0.0, accuracies[len(measured) - 1]

    monkeypatch.setattr(classifier_training, "evaluate", evaluate)
    kind = type("Some", (Tiny,), {"design": dataclasses.replace(TINY, epochs=epochs)})
    classifier = kind(data)
    assert len(measured) == len(accuracies)
    best = measured[accuracies.index(max(accuracies))]
    assert all(torch.equal(value, best[name]) for name, value in classifier.network.state_dict().items())
    assert (classifier.info["kept_epoch"], classifier.info["test_accuracy"]) == (kept, max(accuracies))
    assert classifier.info["selected_on"] == ("test" if epochs >= 6 else "nothing")


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("shape", "classes", "given"),
    [
        ((1, 8, 8), 10, "1×8×8 images of 10 classes"),
        ((1, 28, 28), 7, "1×28×28 images of 7 classes"),
        ((3, 32, 32), 100, "3×32×32 images of 100 classes"),
    ],
)
def test_other_shapes_and_class_counts_are_refused(tmp_path, kind, shape, classes, given):
    wanted = "×".join(map(str, kind.shape)) + " images of 10 classes"
    with pytest.raises(Unavailable) as raised:
        kind(source(tmp_path, shape, classes))
    assert str(raised.value) == f"{kind.kept_as} is made for {wanted}, and noise has {given}"


def test_data_without_labels_or_labelled_test_split_are_refused(tmp_path):
    data = source(tmp_path)
    train, test = data.splits["train"], data.splits["test"]
    for splits in ({"train": train}, {"train": train, "test": Split(test.images)}):
        with pytest.raises(Unavailable, match="chooses its weights by test accuracy, and noise has no labelled test"):
            MNISTClassifier(dataclasses.replace(data, splits=splits))
    with pytest.raises(Unavailable, match="noise has no labels"):
        MNISTClassifier(dataclasses.replace(data, splits={"train": Split(train.images), "test": test}))


def test_kept_files_of_the_ordinary_classifier_keep_their_names(tmp_path):
    for name, shape, images, expected in (
        ("digits", (1, 8, 8), 1198, "classifier-digits-5880b9269afd12fd.safetensors"),
        ("folder:/A b/C", (3, 32, 32), 50_000, "classifier-folder-a-b-c-02051795b5abea77.safetensors"),
    ):
        split = Split(np.zeros((images, 1, 1, 1), np.uint8))
        data = ExtractorData(name, DataSpec(shape, 10), {"train": split}, "fingerprint", "cpu", tmp_path)
        assert Classifier._path(data, Classifier.__new__(Classifier).plan(data)) == tmp_path / expected


def test_classifiers_of_the_same_data_are_kept_apart(tmp_path):
    data = source(tmp_path)
    kinds = [(kind, kind.design) for kind in (MNISTClassifier, FashionClassifier, Quick, Tiny)]
    paths = [kind._path(data, plan) for kind, plan in [*kinds, (Classifier, recipe(data.spec, 160))]]
    assert len(set(paths)) == 5


def test_importing_the_classifiers_does_not_import_torch():
    code = "import sys, ganbench_hoeckler.classifier; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
