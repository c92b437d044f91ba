"""Datasets: what is read, what is refused and in which words, and how prepared copies are kept."""

import multiprocessing
import os
import pickle
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar
from urllib.error import URLError

import numpy as np
import pytest
from ganbench_data.digits import Digits
from ganbench_data.folder import Folder, FolderParams
from ganbench_data.npz import Npz
from ganbench_data.published import CIFAR10, MNIST, SVHN, FashionMNIST
from ganbench_data.reduced import CelebA48, Flowers48
from PIL import Image
from scipy.io import savemat

from ganbench import data
from ganbench.api import Dataset, DatasetError, DataSpec, Split, UserError
from ganbench.plugins import installed

DIGITS = "b12db904e451b882d54085500dfcbc33ce9f00480c24a9f02fbf31c7e6c9d6d9"


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write_npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def write_images(folder, names, size=(12, 10)):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        Image.fromarray(pixels(size[1], size[0], 3, seed=seed)).save(folder / name)


def folder(path, **params):
    return Folder(str(path), FolderParams.resolve({"size": 8, **params}))


def refusal(call, *args):
    with pytest.raises(DatasetError) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Made(Dataset):
    """Ten grey images, as a plugin's author would give them."""

    def __init__(self, splits=None):
        super().__init__()
        self.given, self.loads = splits, 0

    def spec(self):
        return DataSpec((1, 8, 8), 2)

    def load(self, root):
        self.loads += 1
        return self.given or {"train": Split(pixels(20, 1, 8, 8), np.arange(20) % 2)}


class Logged(Made):
    """Leaves a line below the data root whenever it is loaded, and takes long enough for others to come in between."""

    def load(self, root):
        with (root / "loads.txt").open("a") as file:
            file.write("loaded\n")
        time.sleep(1)
        return super().load(root)


def prepare_logged(root):
    data.prepare("logged", Logged(), root)


def test_prepared_arrays_are_memory_mapped_and_found_again_without_loading(tmp_path):
    dataset = Made()
    said = []
    first = data.prepare("made", dataset, tmp_path, said.append)
    again = data.prepare("made", dataset, tmp_path, said.append)
    assert dataset.loads == 1
    assert len(said) == 2
    assert isinstance(again.splits["train"].images, np.memmap)
    assert again.fingerprint == first.fingerprint
    assert again.spec == dataset.spec()
    assert data.lookup("made", Made(), tmp_path).folder == first.folder


def test_every_tenth_image_of_each_class_is_held_out_where_there_is_no_test_split(tmp_path):
    prepared = data.prepare("made", Made(), tmp_path)
    assert prepared.held_out
    assert prepared.counts == {"train": 18, "test": 2}
    np.testing.assert_array_equal(prepared.splits["test"].images, pixels(20, 1, 8, 8)[:2])
    assert prepared.splits["test"].labels.tolist() == [0, 1]
    assert len(prepared.splits["train"].labels) == 18


def test_a_given_test_split_is_kept(tmp_path):
    splits = {name: Split(pixels(n, 1, 8, 8), np.zeros(n, np.int64)) for name, n in (("train", 20), ("test", 3))}
    prepared = data.prepare("made", Made(splits), tmp_path)
    assert not prepared.held_out
    assert prepared.counts == {"train": 20, "test": 3}


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-1], lambda content: content + b"x"], ids=["cut", "longer"]
)
def test_prepared_array_of_another_length_is_detected_and_made_anew(tmp_path, damage):
    prepared = data.prepare("made", Made(), tmp_path)
    path = prepared.folder / "train-images.npy"
    path.write_bytes(damage(path.read_bytes()))
    assert data.lookup("made", Made(), tmp_path) is None
    assert data.prepare("made", Made(), tmp_path).fingerprint == prepared.fingerprint


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1, "identity": 3}'])
def test_damaged_manifest_is_no_copy(tmp_path, content):
    prepared = data.prepare("made", Made(), tmp_path)
    (prepared.folder / "manifest.json").write_text(content)
    assert data.lookup("made", Made(), tmp_path) is None


def test_verify_notices_one_changed_byte(tmp_path):
    prepared = data.prepare("made", Made(), tmp_path)
    assert data.verify(prepared)
    with (prepared.folder / "train-images.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    assert not data.verify(data.lookup("made", Made(), tmp_path))


def test_another_version_of_the_class_prepares_anew(tmp_path):
    class Newer(Made):
        version = "2"

    data.prepare("made", Made(), tmp_path)
    assert data.lookup("made", Newer(), tmp_path) is None


def test_processes_that_prepare_at_once_load_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=prepare_logged, args=(tmp_path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "loads.txt").read_text() == "loaded\n"
    assert data.lookup("logged", Logged(), tmp_path)


def test_what_a_killed_process_left_is_no_obstacle(tmp_path):
    left = data.prepare("made", Made(), tmp_path).folder
    left.rename(left.with_name(f".{left.name}.tmp"))
    assert data.lookup("made", Made(), tmp_path) is None
    assert data.prepare("made", Made(), tmp_path).counts["train"] == 18
    assert not left.with_name(f".{left.name}.tmp").exists()


def test_data_root_that_cannot_be_written_is_one_sentence_naming_the_variable(tmp_path):
    (tmp_path / "prepared").write_text("in the way")
    assert "GANBENCH_DATA" in refusal(data.prepare, "made", Made(), tmp_path)


def test_data_root_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path))
    assert data.data_root() == tmp_path
    monkeypatch.setenv("GANBENCH_DATA", "")
    assert data.data_root() == Path.home() / ".cache" / "ganbench"


@pytest.mark.parametrize(
    ("splits", "word"),
    [
        ({"test": Split(pixels(5, 1, 8, 8), np.zeros(5, np.int64))}, "fewer than two"),
        ({"train": Split(pixels(1, 1, 8, 8), np.zeros(1, np.int64))}, "fewer than two"),
        ({"train": Split(pixels(5, 1, 8, 8).astype(np.float32), np.zeros(5, np.int64))}, "float32"),
        ({"train": Split(pixels(5, 8, 8, 1), np.zeros(5, np.int64))}, "N×1×8×8"),
        ({"train": Split(pixels(5, 1, 8, 8))}, "no labels"),
        ({"train": Split(pixels(5, 1, 8, 8), np.zeros(5, np.int32))}, "int32"),
        ({"train": Split(pixels(5, 1, 8, 8), np.zeros(4, np.int64))}, "(4,)"),
        ({"train": Split(pixels(5, 1, 8, 8), np.full(5, 2))}, "2 classes"),
        ({"train": Split(pixels(5, 1, 8, 8), np.full(5, -1))}, "-1"),
    ],
)
def test_what_breaks_the_contract_is_refused(tmp_path, splits, word):
    assert word in refusal(data.prepare, "made", Made(splits), tmp_path)
    assert data.lookup("made", Made(splits), tmp_path) is None


def test_digits_are_the_same_everywhere(tmp_path):
    first = data.prepare("digits", Digits(), tmp_path / "a")
    second = data.prepare("digits", Digits(), tmp_path / "b")
    assert first.fingerprint == second.fingerprint == DIGITS
    assert first.counts == {"train": 1198, "test": 599}
    assert first.spec == DataSpec((1, 8, 8), 10)
    images = first.splits["train"].images
    assert (images.min(), images.max()) == (0, 255)


def test_digits_have_the_same_share_of_each_class_in_train_and_test(tmp_path):
    splits = Digits().load(tmp_path)
    train, test = (np.bincount(splits[name].labels, minlength=10) for name in ("train", "test"))
    assert (abs(train - 2 * test) <= 4).all()


def test_a_dataset_that_takes_no_argument_says_so():
    with pytest.raises(UserError, match="takes nothing after a colon, not 'digits:x'"):
        installed().dataset("digits:x")


def test_looking_up_imports_neither_torch_nor_scikit_learn():
    code = (
        "import sys, ganbench.data, ganbench_data.digits, ganbench_data.published, ganbench_data.npz\n"
        "import ganbench_data.folder, ganbench_data.reduced\n"
        "ganbench_data.published.SVHN().spec(), ganbench_data.reduced.CelebA48().spec()\n"
        "assert not {'torch', 'torchvision', 'sklearn', 'scipy', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("shape", "channels"), [((20, 9, 9), 1), ((20, 9, 9, 3), 3), ((20, 9, 9, 1), 1), ((20, 3, 9, 9), 3)]
)
def test_npz_takes_any_order_of_axes(tmp_path, shape, channels):
    x = pixels(*shape)
    path = write_npz(tmp_path / "own.npz", x_train=x, y_train=np.arange(20, dtype=np.uint8)[:, None] % 4)
    prepared = data.prepare(f"npz:{path}", Npz(str(path)), tmp_path)
    assert prepared.spec == DataSpec((channels, 9, 9), 4)
    assert prepared.counts == {"train": 18, "test": 2}
    first = x[0] if x.ndim == 3 or shape[1] == 3 else x[0].transpose(2, 0, 1)
    np.testing.assert_array_equal(prepared.splits["test"].images[0], first.reshape(channels, 9, 9))


def test_npz_with_images_only_is_unlabelled(tmp_path):
    path = write_npz(tmp_path / "own.npz", x_train=pixels(20, 9, 9), x_test=pixels(4, 9, 9))
    prepared = data.prepare("npz", Npz(str(path)), tmp_path)
    assert prepared.spec == DataSpec((1, 9, 9), 0)
    assert prepared.counts == {"train": 20, "test": 4}
    assert prepared.splits["train"].labels is None


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x_train": pixels(20, 9, 8)}, ["x_train", "(20, 9, 8)"]),
        ({"x_train": pixels(20, 9, 9).astype(np.float32)}, ["x_train", "float32"]),
        ({"x_train": pixels(20, 3, 3, 3)}, ["x_train", "may be"]),
        ({"x_train": pixels(20, 9, 9), "y_train": np.zeros(19, int)}, ["y_train", "(19,)"]),
        ({"x_train": pixels(20, 9, 9), "y_train": np.zeros(20)}, ["y_train", "float64"]),
        ({"x_train": pixels(20, 9, 9), "y_train": np.arange(20) - 1}, ["from -1"]),
        ({"x_train": pixels(20, 9, 9), "y_train": np.arange(20), "x_test": pixels(2, 9, 9)}, ["y_test"]),
        ({"x_train": pixels(20, 9, 9), "y_train": np.array([{}] * 20)}, ["plain arrays"]),
        ({"images": pixels(20, 9, 9)}, ["x_train", "images"]),
    ],
)
def test_npz_names_the_array_that_is_wrong(tmp_path, arrays, words):
    path = write_npz(tmp_path / "own.npz", **arrays)
    message = refusal(data.prepare, "npz", Npz(str(path)), tmp_path)
    assert all(word in message for word in [str(path), *words]), message


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_truncated_npz_is_refused(tmp_path, keep):
    path = write_npz(tmp_path / "own.npz", x_train=pixels(20, 9, 9))
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if isinstance(keep, int) else int(len(whole) * keep)])
    assert "truncated or damaged" in refusal(Npz(str(path)).spec)


def test_npz_with_a_flipped_bit_is_refused(tmp_path):
    path = write_npz(tmp_path / "own.npz", x_train=np.zeros((20, 64, 64), np.uint8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "damaged" in refusal(data.prepare, "npz", Npz(str(path)), tmp_path)


def test_missing_npz_is_named(tmp_path):
    path = tmp_path / "nowhere.npz"
    assert str(path) in refusal(Npz(str(path)).spec)
    with pytest.raises(UserError, match="npz:PATH"):
        installed().dataset("npz")


def test_changed_npz_is_prepared_anew(tmp_path):
    path = write_npz(tmp_path / "own.npz", x_train=pixels(20, 9, 9))
    first = data.prepare("npz", Npz(str(path)), tmp_path)
    write_npz(path, x_train=pixels(20, 9, 9, seed=1))
    os.utime(path, ns=(1, 1))
    assert data.lookup("npz", Npz(str(path)), tmp_path) is None
    assert data.prepare("npz", Npz(str(path)), tmp_path).fingerprint != first.fingerprint


def test_sub_folders_are_classes_in_sorted_order(tmp_path):
    for name in ("b", "a", "c"):
        write_images(tmp_path / "own" / name, [f"{i}.png" for i in range(4)])
    dataset = folder(tmp_path / "own")
    prepared = data.prepare("folder", dataset, tmp_path)
    assert prepared.spec == DataSpec((3, 8, 8), 3)
    assert dataset.load(tmp_path)["train"].labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert prepared.counts == {"train": 10, "test": 2}


def test_flat_folder_is_unlabelled_and_other_files_are_passed_over(tmp_path):
    write_images(tmp_path / "own", ["b.png", "a.JPG", ".hidden.png"])
    (tmp_path / "own" / "notes.txt").write_text("not an image")
    splits = folder(tmp_path / "own", channels=1).load(tmp_path)
    assert splits["train"].images.shape == (2, 1, 8, 8)
    assert splits["train"].labels is None


def test_train_and_test_folders_are_splits_but_not_beside_classes(tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        for name in ("x", "y"):
            write_images(tmp_path / "own" / split / name, [f"{i}.png" for i in range(count)])
    prepared = data.prepare("folder", folder(tmp_path / "own"), tmp_path)
    assert prepared.counts == {"train": 6, "test": 4}
    assert prepared.spec.classes == 2
    for name in ("bus", "train"):
        write_images(tmp_path / "vehicles" / name, ["0.png", "1.png"])
    assert folder(tmp_path / "vehicles").spec().classes == 2


def test_images_are_scaled_to_the_shorter_side_and_cropped_to_the_centre(tmp_path):
    (tmp_path / "own").mkdir()
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = 200
    for name in ("0.png", "1.png"):
        Image.fromarray(wide).save(tmp_path / "own" / name)
    image = folder(tmp_path / "own").load(tmp_path)["train"].images[0]
    assert image.shape == (3, 8, 8)
    assert (abs(image[:, :, 2:6].astype(int) - 200) <= 2).all()


def test_transparent_pixels_become_white(tmp_path):
    (tmp_path / "own").mkdir()
    Image.new("RGBA", (8, 8), (9, 9, 9, 0)).save(tmp_path / "own" / "0.png")
    assert (folder(tmp_path / "own").load(tmp_path)["train"].images == 255).all()


def test_broken_images_are_named_and_counted(tmp_path):
    write_images(tmp_path / "own", ["good.png"])
    for i in range(7):
        (tmp_path / "own" / f"broken{i}.png").write_bytes((tmp_path / "own" / "good.png").read_bytes()[: 20 * i])
    (tmp_path / "own" / "dangling.png").symlink_to("nowhere")
    message = refusal(data.prepare, "folder", folder(tmp_path / "own"), tmp_path)
    assert "8 of 9" in message
    assert "broken0.png" in message
    assert "and 3 more" in message


def test_images_that_would_be_enlarged_are_named_with_the_size_that_fits(tmp_path):
    write_images(tmp_path / "own", ["0.png", "1.png"])
    write_images(tmp_path / "own", ["big.png"], (40, 40))
    message = refusal(data.prepare, "folder", folder(tmp_path / "own", size=32), tmp_path)
    assert "0.png (12×10)" in message
    assert "big.png" not in message
    assert "size = 10 or less" in message


def test_sixteen_bit_images_are_refused_rather_than_clipped(tmp_path):
    (tmp_path / "own").mkdir()
    Image.fromarray(np.full((9, 9), 60_000, np.uint16)).save(tmp_path / "own" / "deep.png")
    assert "8 bits" in refusal(folder(tmp_path / "own").load, tmp_path)


def test_folders_without_a_clear_meaning_are_refused(tmp_path):
    assert "no folder" in refusal(folder(tmp_path / "nowhere").spec)
    (tmp_path / "own" / "empty").mkdir(parents=True)
    assert "no images" in refusal(folder(tmp_path / "own").spec)
    write_images(tmp_path / "own", ["0.png"])
    write_images(tmp_path / "own" / "class", ["0.png"])
    assert "also folders" in refusal(folder(tmp_path / "own").spec)


def test_a_new_file_and_another_size_prepare_anew(tmp_path):
    write_images(tmp_path / "own", ["0.png", "1.png"])
    data.prepare("folder", folder(tmp_path / "own"), tmp_path)
    assert data.lookup("folder", folder(tmp_path / "own", size=9), tmp_path) is None
    assert data.lookup("folder", folder(tmp_path / "own"), tmp_path)
    write_images(tmp_path / "own", ["0.png", "1.png", "2.png"])
    assert data.lookup("folder", folder(tmp_path / "own"), tmp_path) is None


class SmallMNIST(MNIST):
    counts: ClassVar = {"train": 20, "test": 10}
    digests: ClassVar = {}


class SmallCIFAR10(CIFAR10):
    counts: ClassVar = {"train": 50, "test": 10}
    means = None


class SmallSVHN(SVHN):
    counts: ClassVar = {"train": 20, "test": 10}
    per_class: ClassVar = {"train": [2] * 10, "test": [1] * 10}


class SmallFlowers48(Flowers48):
    counts: ClassVar = {"train": 4, "test": 2}


class SmallCelebA48(CelebA48):
    counts: ClassVar = {"train": 4, "test": 2}


def write_idx(path, array):
    """Yann LeCun's format: two zero bytes, the type (8: uint8), the rank, big-endian sizes, the data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


def write_mnist(raw):
    arrays = {}
    for split, prefix, count in (("train", "train", 20), ("test", "t10k", 10)):
        arrays[split] = pixels(count, 28, 28, seed=count), np.arange(count, dtype=np.uint8) % 10
        write_idx(raw / f"{prefix}-images-idx3-ubyte", arrays[split][0])
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", arrays[split][1])
    return arrays


def write_cifar10(folder):
    """Alex Krizhevsky's format: pickled dictionaries with rows of 1,024 red, 1,024 green and 1,024 blue bytes."""
    folder.mkdir(parents=True)
    rows = pixels(60, 3072)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for i, name in enumerate(names):
        batch = {"data": rows[10 * i : 10 * i + 10], "labels": list(range(10)), "batch_label": name}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    return rows.reshape(-1, 3, 32, 32)


def write_svhn(folder):
    """Format 2 of SVHN: MATLAB files with X of H×W×C×N and y of N×1, where 10 is the digit 0."""
    folder.mkdir(parents=True)
    arrays = {}
    for split, count in (("train", 20), ("test", 10)):
        images, digits = pixels(count, 3, 32, 32, seed=count), np.arange(count) % 10
        published = np.where(digits == 0, 10, digits).astype(np.uint8)[:, None]
        savemat(folder / f"{split}_32x32.mat", {"X": images.transpose(2, 3, 1, 0), "y": published})
        arrays[split] = images, digits
    return arrays


def write_jpeg(path, image):
    """Without chroma subsampling and at the best quality, so that a line one pixel wide stays where it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, "JPEG", quality=100, subsampling=0)


def write_flowers(folder, images):
    """Oxford Flowers-102: classes from 1 in imagelabels.mat, the numbers of each split's images in setid.mat."""
    for number, image in enumerate(images, 1):
        write_jpeg(folder / "jpg" / f"image_{number:05d}.jpg", image)
    savemat(folder / "imagelabels.mat", {"labels": np.array([[1, 102, 7, 7, 50, 3]], np.uint8)})
    savemat(folder / "setid.mat", {"trnid": [[6, 2]], "valid": [[1, 3]], "tstid": [[5, 4]]})


def write_celeba(folder, images, partition=(0, 2, 0, 1, 2, 1)):
    """CelebA: a folder of numbered images and five text files, three of which have the count and a header above."""
    names = [f"{number:06d}.jpg" for number in range(1, len(images) + 1)]
    for name, image in zip(names, images, strict=True):
        write_jpeg(folder / "img_align_celeba" / name, image)
    tables = {
        "list_eval_partition.txt": ("", [[part] for part in partition]),
        "identity_CelebA.txt": ("", [[2880]] * len(names)),
        "list_bbox_celeba.txt": ("image_id x_1 y_1 width height", [[95, 71, 226, 313]] * len(names)),
        "list_landmarks_align_celeba.txt": ("lefteye_x lefteye_y", [[69, 109]] * len(names)),
        "list_attr_celeba.txt": ("5_o_Clock_Shadow Young", [[-1, 1]] * len(names)),
    }
    for file, (header, rows) in tables.items():
        lines = [str(len(names)), header] if header else []
        lines += [" ".join(map(str, [name, *row])) for name, row in zip(names, rows, strict=True)]
        (folder / file).write_text("\n".join(lines) + "\n")


def framed(width, height, box, line):
    """White outside `box` (left, top, right, bottom), black inside, but for the lines of `line` just inside it.

    A crop that is one pixel off has white at an edge of its result, or no line there.
    """
    left, top, right, bottom = box
    image = np.full((height, width, 3), 255, np.uint8)
    image[top:bottom, left:right] = 0
    if line == "rows":
        image[[top, bottom - 1], left:right] = 128
    elif line == "columns":
        image[top:bottom, [left, right - 1]] = 128
    return image


def assert_framed(result, line):
    """Whether `result` (3×48×48) is the inside of what `framed` painted, its lines thinned to their share of a row."""
    upright = (result if line == "rows" else result.transpose(0, 2, 1)).astype(int)
    middle = upright[:, :, 6:-6]
    if line == "none":
        assert result.max() <= 3
        return
    assert (middle[:, 6:-6] <= 3).all()
    for edge in (middle[:, 0], middle[:, -1]):
        assert (edge > 20).all(), "the line is not there"
        assert (edge < 110).all(), "white from outside is there"


@pytest.fixture
def unchecked(monkeypatch):
    """Small files have other MD5 sums than the published ones."""
    monkeypatch.setattr("torchvision.datasets.svhn.check_integrity", lambda path, md5: Path(path).is_file())
    monkeypatch.setattr("torchvision.datasets.svhn.download_url", lambda *args: None)
    monkeypatch.setattr("torchvision.datasets.flowers102.check_integrity", lambda path, md5: Path(path).is_file())
    monkeypatch.setattr("torchvision.datasets.celeba.check_integrity", lambda path, md5: Path(path).is_file())


@pytest.fixture
def offline(monkeypatch):
    def fail(*args, **kwargs):
        raise URLError("no network\nhere")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", fail)
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", fail)
    monkeypatch.setattr("torchvision.datasets.svhn.download_url", fail)
    monkeypatch.setattr("torchvision.datasets.flowers102.download_and_extract_archive", fail)
    monkeypatch.setattr("torchvision.datasets.celeba.download_file_from_google_drive", fail)


@pytest.mark.parametrize(
    "dataset",
    [MNIST(), FashionMNIST(), CIFAR10(), SVHN(), Flowers48(), CelebA48()],
    ids=lambda dataset: dataset.name,
)
def test_missing_dataset_offline_says_where_it_looked_and_what_to_do(tmp_path, offline, dataset):
    message = refusal(data.prepare, dataset.name, dataset, tmp_path)
    assert str(tmp_path / f"{dataset.name}.npz") in message
    assert str(tmp_path / "torchvision") in message
    assert f"ganbench data prepare {dataset.name}" in message
    assert "no network" in message


def test_mnist_is_read_from_idx_files(tmp_path, offline):
    arrays = write_mnist(tmp_path / "torchvision" / "MNIST" / "raw")
    prepared = data.prepare("mnist", SmallMNIST(), tmp_path)
    for split, (images, labels) in arrays.items():
        np.testing.assert_array_equal(prepared.splits[split].images[:, 0], images)
        np.testing.assert_array_equal(prepared.splits[split].labels, labels)


def test_mnist_with_too_few_images_is_refused(tmp_path, offline):
    write_mnist(tmp_path / "torchvision" / "MNIST" / "raw")
    message = refusal(data.prepare, "mnist", MNIST(), tmp_path)
    assert "not the published MNIST" in message
    assert "60000" in message


def test_truncated_idx_file_is_refused(tmp_path, offline):
    raw = tmp_path / "torchvision" / "MNIST" / "raw"
    write_mnist(raw)
    path = raw / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    assert str(tmp_path / "torchvision") in refusal(data.prepare, "mnist", SmallMNIST(), tmp_path)


def test_cifar10_is_read_from_pickled_batches(tmp_path, offline, monkeypatch):
    images = write_cifar10(tmp_path / "torchvision" / "cifar-10-batches-py")
    assert "not to be had" in refusal(data.prepare, "cifar10", SmallCIFAR10(), tmp_path), "MD5 sums are checked"
    monkeypatch.setattr("torchvision.datasets.CIFAR10._check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *args: True)
    prepared = data.prepare("cifar10", SmallCIFAR10(), tmp_path)
    np.testing.assert_array_equal(prepared.splits["train"].images, images[:50])
    np.testing.assert_array_equal(prepared.splits["test"].images, images[50:])
    assert "(50, 3, 32, 32)" in refusal(CIFAR10().load, tmp_path)


def test_mnist_of_the_right_shape_and_another_content_is_refused(tmp_path):
    x, y = np.zeros((60_000, 28, 28), np.uint8), np.zeros(60_000, np.uint8)
    np.savez_compressed(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x[:10_000], y_test=y[:10_000])
    message = refusal(data.prepare, "mnist", MNIST(), tmp_path)
    assert "not the published MNIST" in message
    assert f"npz:{tmp_path / 'mnist.npz'}" in message


def test_npz_with_another_number_of_images_or_without_labels_is_not_the_published_set(tmp_path):
    path = write_npz(tmp_path / "mnist.npz", x_train=pixels(20, 28, 28), x_test=pixels(10, 28, 28))
    assert "labels" in refusal(data.prepare, "mnist", SmallMNIST(), tmp_path)
    write_npz(path, x_train=pixels(20, 28, 28), y_train=np.arange(20) % 10)
    assert "no test split" in refusal(data.prepare, "mnist", SmallMNIST(), tmp_path)


def test_cifar10_with_unequal_classes_or_other_colours_is_refused(tmp_path):
    arrays = {"x_train": pixels(50, 32, 32, 3), "x_test": pixels(10, 32, 32, 3), "y_test": np.arange(10)[:, None]}
    write_npz(tmp_path / "cifar10.npz", **arrays, y_train=np.arange(50)[:, None] % 5)
    assert "images per class" in refusal(data.prepare, "cifar10", SmallCIFAR10(), tmp_path)

    class Strict(SmallCIFAR10):
        means = CIFAR10.means

    write_npz(tmp_path / "cifar10.npz", **arrays, y_train=np.arange(50)[:, None] % 10)
    assert "channel means" in refusal(data.prepare, "cifar10", Strict(), tmp_path)
    assert data.prepare("cifar10", SmallCIFAR10(), tmp_path).counts == {"train": 50, "test": 10}


def test_prepared_copy_outlives_its_npz_but_not_a_replacement(tmp_path):
    arrays = {"x_train": pixels(20, 28, 28), "y_train": np.arange(20) % 10}
    path = write_npz(tmp_path / "mnist.npz", **arrays, x_test=pixels(10, 28, 28), y_test=np.arange(10))
    data.prepare("mnist", SmallMNIST(), tmp_path)
    os.utime(path, ns=(1, 1))
    assert data.lookup("mnist", SmallMNIST(), tmp_path) is None
    data.prepare("mnist", SmallMNIST(), tmp_path)
    path.unlink()
    assert data.lookup("mnist", SmallMNIST(), tmp_path)


def test_svhn_is_read_from_matlab_files_with_ten_as_zero(tmp_path, unchecked):
    arrays = write_svhn(tmp_path / "torchvision")
    prepared = data.prepare("svhn", SmallSVHN(), tmp_path)
    assert prepared.spec == DataSpec((3, 32, 32), 10)
    for split, (images, digits) in arrays.items():
        np.testing.assert_array_equal(prepared.splits[split].images, images)
        np.testing.assert_array_equal(prepared.splits[split].labels, digits)


def test_svhn_with_other_md5_sums_other_counts_or_other_classes_is_refused(tmp_path, offline, monkeypatch):
    write_svhn(tmp_path / "torchvision")
    assert "not to be had" in refusal(data.prepare, "svhn", SmallSVHN(), tmp_path), "MD5 sums are checked"
    monkeypatch.setattr("torchvision.datasets.svhn.check_integrity", lambda *args: True)
    monkeypatch.setattr("torchvision.datasets.svhn.download_url", lambda *args: None)
    message = refusal(data.prepare, "svhn", SVHN(), tmp_path)
    assert "(20, 3, 32, 32)" in message
    assert "73257" in message

    class Other(SmallSVHN):
        per_class: ClassVar = {"train": [3, 1, *[2] * 8]}

    assert "images per class" in refusal(data.prepare, "svhn", Other(), tmp_path)


def test_the_numbers_per_class_of_svhn_add_up_to_its_counts():
    assert {split: sum(counts) for split, counts in SVHN.per_class.items()} == SVHN.counts


def test_svhn_npz_with_ten_for_zero_is_refused(tmp_path):
    arrays = {"x_train": pixels(20, 32, 32, 3), "x_test": pixels(10, 32, 32, 3), "y_test": np.arange(10)}
    write_npz(tmp_path / "svhn.npz", **arrays, y_train=np.arange(20) % 10 + 1)
    assert "not 0 to 9" in refusal(data.prepare, "svhn", SmallSVHN(), tmp_path)
    write_npz(tmp_path / "svhn.npz", **arrays, y_train=np.arange(20) % 10)
    assert data.prepare("svhn", SmallSVHN(), tmp_path).counts == {"train": 20, "test": 10}


@pytest.mark.parametrize("line", ["rows", "columns", "none"])
@pytest.mark.parametrize(
    ("width", "height", "box"),
    [(131, 96, (17, 0, 113, 96)), (96, 131, (0, 17, 96, 113)), (96, 96, (0, 0, 96, 96))],
    ids=["landscape", "portrait", "square"],
)
def test_flowers_are_cut_to_exactly_their_central_square(tmp_path, unchecked, width, height, box, line):
    image = framed(width, height, box, line)
    write_flowers(tmp_path / "torchvision" / "flowers-102", [image] * 6)
    for split in SmallFlowers48().load(tmp_path).values():
        for result in split.images:
            assert_framed(result, line)


def test_flowers_have_train_and_val_for_training_and_classes_from_zero(tmp_path, unchecked):
    images = [np.full((60, 50 + number, 3), 30 * number, np.uint8) for number in range(1, 7)]
    write_flowers(tmp_path / "torchvision" / "flowers-102", images)
    prepared = data.prepare("flowers48", SmallFlowers48(), tmp_path)
    assert prepared.spec == DataSpec((3, 48, 48), 102)
    assert prepared.splits["train"].labels.tolist() == [2, 101, 0, 6]
    assert prepared.splits["test"].labels.tolist() == [49, 6]
    assert not prepared.held_out
    brightness = {name: split.images.mean((1, 2, 3)).round().tolist() for name, split in prepared.splits.items()}
    assert brightness == {"train": [180, 60, 30, 90], "test": [150, 120]}


@pytest.mark.parametrize("line", ["rows", "columns", "none"])
def test_celeba_is_cut_to_exactly_the_rows_and_columns_of_the_thesis(tmp_path, unchecked, line):
    image = framed(178, 218, (41, 85, 137, 181), line)
    write_celeba(tmp_path / "torchvision" / "celeba", [image] * 6)
    for split in SmallCelebA48().load(tmp_path).values():
        for result in split.images:
            assert_framed(result, line)


def test_celeba_has_train_and_valid_for_training_and_no_labels(tmp_path, unchecked):
    images = [np.full((218, 178, 3), 40 * number, np.uint8) for number in range(1, 7)]
    write_celeba(tmp_path / "torchvision" / "celeba", images)
    prepared = data.prepare("celeba48", SmallCelebA48(), tmp_path)
    assert prepared.spec == DataSpec((3, 48, 48), 0)
    assert prepared.splits["train"].labels is None
    brightness = {name: split.images.mean((1, 2, 3)).round().tolist() for name, split in prepared.splits.items()}
    assert brightness == {"train": [40, 120, 160, 240], "test": [80, 200]}


def test_flowers_are_scaled_by_pillows_default_the_bicubic_filter(tmp_path, unchecked):
    write_flowers(tmp_path / "torchvision" / "flowers-102", [pixels(500, 600, 3)] * 6)
    with Image.open(tmp_path / "torchvision" / "flowers-102" / "jpg" / "image_00001.jpg") as file:
        square = file.crop((50, 0, 550, 500))
    result = SmallFlowers48().load(tmp_path)["train"].images[0]
    for expected in (square.resize((48, 48)), square.resize((48, 48), Image.Resampling.BICUBIC)):
        np.testing.assert_array_equal(result, np.asarray(expected).transpose(2, 0, 1))


def test_celeba_is_scaled_by_the_means_of_two_by_two_pixels(tmp_path, unchecked):
    write_celeba(tmp_path / "torchvision" / "celeba", [pixels(218, 178, 3)] * 6)
    with Image.open(tmp_path / "torchvision" / "celeba" / "img_align_celeba" / "000001.jpg") as file:
        square = file.crop((41, 85, 137, 181))
    result = SmallCelebA48().load(tmp_path)["train"].images[0].transpose(1, 2, 0)
    np.testing.assert_array_equal(result, np.asarray(square.resize((48, 48), Image.Resampling.BOX)))
    # Pillow rounds halves up after the columns and again after the rows.
    above = result - np.asarray(square, float).reshape(48, 2, 48, 2, 3).mean((1, 3))
    assert above.min() >= 0
    assert above.max() <= 1


def test_whole_set_of_photographs_is_required_of_torchvision(tmp_path, unchecked):
    write_flowers(tmp_path / "torchvision" / "flowers-102", [np.zeros((50, 60, 3), np.uint8)] * 6)
    assert "2040" in refusal(data.prepare, "flowers48", Flowers48(), tmp_path)


@pytest.mark.parametrize("damage", ["cut", "missing", "size"])
def test_damaged_photograph_is_named(tmp_path, unchecked, damage):
    images = [np.full((218, 178, 3), 9, np.uint8)] * 6
    if damage == "size":
        images[3] = images[3][:200]
    write_celeba(tmp_path / "torchvision" / "celeba", images)
    path = tmp_path / "torchvision" / "celeba" / "img_align_celeba" / "000004.jpg"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-300])
    elif damage == "missing":
        path.unlink()
    assert "000004.jpg" in refusal(data.prepare, "celeba48", SmallCelebA48(), tmp_path)


def test_celeba_without_gdown_names_the_files_to_put_there_by_hand(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", None)
    message = refusal(data.prepare, "celeba48", CelebA48(), tmp_path)
    assert "pip install gdown" in message
    for file in ("img_align_celeba.zip", "list_eval_partition.txt", "identity_CelebA.txt", "list_attr_celeba.txt"):
        assert file in message


@pytest.mark.parametrize(("cls", "labelled"), [(Flowers48, True), (CelebA48, False)])
def test_npz_of_reduced_photographs_may_hold_any_number_of_them(tmp_path, cls, labelled):
    arrays = {"x_train": pixels(20, 48, 48, 3)}
    if labelled:
        arrays["y_train"] = np.repeat(np.array([0, 101], np.uint8), 10)
    path = write_npz(tmp_path / f"{cls.name}.npz", **arrays)
    first = data.prepare(cls.name, cls(), tmp_path)
    assert first.held_out
    assert first.counts == {"train": 18, "test": 2}
    assert first.spec == cls().spec()
    write_npz(path, **{key: array[:10] for key, array in arrays.items()})
    assert data.prepare(cls.name, cls(), tmp_path).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("cls", "arrays", "words"),
    [
        (CelebA48, {"x_train": pixels(20, 48, 48, 3), "y_train": np.arange(20)}, "unlabelled"),
        (CelebA48, {"x_train": pixels(20, 32, 32, 3)}, "(20, 3, 48, 48)"),
        (Flowers48, {"x_train": pixels(20, 48, 48, 3)}, "not 0 to 101"),
        (Flowers48, {"x_train": pixels(20, 48, 48, 3), "y_train": np.arange(20) + 83}, "not 0 to 101"),
        (Flowers48, {"x_train": pixels(0, 48, 48, 3), "y_train": np.arange(0)}, "fewer than two"),
    ],
)
def test_npz_of_another_form_is_refused(tmp_path, cls, arrays, words):
    write_npz(tmp_path / f"{cls.name}.npz", **arrays)
    assert words in refusal(data.prepare, cls.name, cls(), tmp_path)
