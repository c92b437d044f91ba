"""The data show command: the numbers are numpy's, the pictures are there, and the same every time."""

import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ganbench import data
from ganbench.cli import main
from ganbench.plugins import installed
from ganbench.report import distribution as distributions

LABELLED = {"samples.png", "classes.png", "classes.csv", "pixels.png", "values.png", "columns.png"}
UNLABELLED = LABELLED - {"classes.png", "classes.csv"}


def prepared(name):
    return data.prepare(name, installed().dataset(name), data.data_root())


def show(*arguments):
    return CliRunner().invoke(main, ["data", "show", *map(str, arguments)])


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def colour_npz(tmp_path):
    """A hundred and twenty unlabelled colour images with channels that differ and values that are rare."""
    images = np.random.default_rng(0).normal((90, 120, 200), (10, 40, 30), (120, 12, 12, 3)).clip(0, 255)
    path = tmp_path / "colour.npz"
    np.savez(path, x_train=images.astype(np.uint8), x_test=np.zeros((9, 12, 12, 3), np.uint8))
    return path


@pytest.fixture(params=["digits", "colour"])
def images(request, colour_npz):
    name = "digits" if request.param == "digits" else f"npz:{colour_npz}"
    return prepared(name).splits["train"].images


@pytest.mark.parametrize("block", [1, 1000, 2**23], ids=["an-image-at-a-time", "odd-blocks", "one-block"])
def test_statistics_are_those_of_numpy_whatever_the_blocks(images, block, monkeypatch):
    monkeypatch.setattr(distributions, "_BLOCK", block)
    found = distributions.measure(images)
    count, channels, height, width = images.shape
    exact = np.asarray(images, np.float64)
    assert found.images == count
    np.testing.assert_allclose(found.mean, exact.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.variance, exact.var(0), rtol=1e-9, atol=1e-9)
    assert list(found.columns) == [2, width // 2]
    for channel in range(channels):
        every, centre = images[:, channel].ravel(), images[:, channel, height // 2, width // 2]
        np.testing.assert_array_equal(found.values[channel], [(every == value).sum() for value in range(256)])
        np.testing.assert_array_equal(found.centre[channel], [(centre == value).sum() for value in range(256)])
        for column, counts in found.columns.items():
            for row in range(height):
                expected = np.bincount(images[:, channel, row, column], minlength=256)
                np.testing.assert_array_equal(counts[channel, row], expected)
        facts = found.channels()[channel]
        assert facts.mean == pytest.approx(exact[:, channel].mean(), rel=1e-12)
        assert facts.std == pytest.approx(exact[:, channel].std(), rel=1e-12)
        assert (facts.lowest, facts.highest) == (every.min(), every.max())


def test_variance_of_pixels_that_never_change_is_zero():
    found = distributions.measure(np.full((1001, 3, 4, 4), 253, np.uint8))
    assert (found.variance == 0).all()
    assert [facts.std for facts in found.channels()] == [0, 0, 0]


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    """As numpy reports its own memory to tracemalloc; both files are larger than a block."""
    import tracemalloc

    peaks = []
    for count in (15_000, 60_000):
        path = tmp_path / f"{count}.npy"
        images = np.lib.format.open_memmap(path, "w+", np.uint8, (count, 3, 16, 16))
        images[-1] = 255
        tracemalloc.start()
        distributions.measure(np.load(path, mmap_mode="r"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] == pytest.approx(peaks[0], rel=0.05)


def test_labelled_data_gives_every_file_and_the_counts_of_its_classes(tmp_path):
    result = show("digits", "--out", tmp_path / "seen")
    assert result.exit_code == 0, result.output
    assert set(content(tmp_path / "seen")) == LABELLED
    for name in LABELLED:
        assert str(tmp_path / "seen" / name) in result.output
    splits = prepared("digits").splits
    rows = (tmp_path / "seen" / "classes.csv").read_text().splitlines()
    assert rows[0] == "class,train,test"
    for label, row in enumerate(rows[1:]):
        assert row == f"{label},{(splits['train'].labels == label).sum()},{(splits['test'].labels == label).sum()}"
    assert len(rows) == 11
    values = np.asarray(splits["train"].images)
    assert "1,198 train, 599 test, shape 1×8×8, 10 classes" in result.output
    assert f"{values.mean():.2f}" in result.output
    assert f"{values.std():.2f}" in result.output


def test_unlabelled_data_has_no_picture_of_classes_and_says_so(tmp_path, colour_npz):
    folder = tmp_path / "seen"
    folder.mkdir()
    (folder / "classes.png").write_text("from a time when there were labels")
    result = show(f"npz:{colour_npz}", "--out", folder)
    assert result.exit_code == 0, result.output
    assert set(content(folder)) == UNLABELLED
    assert "unlabelled, so there is no classes.png" in result.output
    assert all(name in result.output for name in ("red", "green", "blue"))


def test_the_same_images_give_the_same_bytes(tmp_path, colour_npz):
    for name in ("digits", f"npz:{colour_npz}"):
        for folder in ("first", "second"):
            assert show(name, "--out", tmp_path / folder).exit_code == 0
        assert content(tmp_path / "first") == content(tmp_path / "second")


def test_pictures_are_of_a_readable_size_whatever_the_images(tmp_path):
    """One pixel or many, one value or all, one class, many classes, or fewer images than a sheet holds."""
    generator = np.random.default_rng(0)
    wide = generator.integers(0, 256, (20, 3, 200, 200), dtype=np.uint8)
    many = generator.integers(0, 256, (600, 1, 5, 5), dtype=np.uint8)
    cases = {
        "wide": {"x_train": wide, "x_test": wide[:2]},
        "one-value": {"x_train": np.full((12, 4, 4), 7, np.uint8), "x_test": np.full((2, 4, 4), 7, np.uint8)},
        "one-pixel": {"x_train": np.arange(12, dtype=np.uint8).reshape(12, 1, 1)},
        "many-classes": {"x_train": many[:, 0], "y_train": np.arange(600) % 300},
        "two-classes": {"x_train": many[:, 0], "y_train": np.arange(600) % 2},
    }
    for name, arrays in cases.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        result = show(f"npz:{tmp_path / name}.npz", "--out", tmp_path / name)
        assert result.exit_code == 0, (name, result.output)
        for path in (tmp_path / name).glob("*.png"):
            with Image.open(path) as picture:
                assert 300 <= picture.width <= 1500, path
                assert 150 <= picture.height <= 1500, path


def test_samples_show_every_pixel_of_a_small_image_unsmoothed(tmp_path):
    show("digits", "--out", tmp_path)
    with Image.open(tmp_path / "samples.png") as picture:
        shown = np.asarray(picture.convert("L"))
    images, labels, *_ = prepared("digits").splits["train"]
    image = images[labels == 0][0, 0]
    scale = 10
    enlarged = image.repeat(scale, 0).repeat(scale, 1)
    top, left = 110, 150
    np.testing.assert_array_equal(shown[top : top + 8 * scale, left : left + 8 * scale], enlarged)


def test_default_folder_is_named_after_the_dataset(tmp_path, colour_npz, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert show("npz:colour.npz").exit_code == 0
    (folder,) = (tmp_path / "results" / "data").iterdir()
    assert folder.name.startswith("npz-colour.npz-")
    assert set(content(folder)) == UNLABELLED


def test_bad_names_and_folders_are_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for arguments, word in (
        (("digist",), "did you mean 'digits'"),
        ((f"npz:{tmp_path / 'nowhere.npz'}",), "nowhere.npz"),
        (("digits", "--out", tmp_path / "file"), "choose another with --out"),
        (("digits", "--out", tmp_path / "file" / "below"), "choose another with --out"),
    ):
        result = show(*arguments)
        assert result.exit_code == 2
        assert word in result.output
        last = result.output.strip().splitlines()[-1]
        assert last.startswith("error: ")


def test_measuring_imports_no_plotting_library():
    code = (
        "import sys, numpy, ganbench.cli\n"
        "from ganbench.report import distribution\n"
        "distribution.measure(numpy.zeros((2, 1, 4, 4), numpy.uint8))\n"
        "assert not {'torch', 'matplotlib', 'seaborn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
