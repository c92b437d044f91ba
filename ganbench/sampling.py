"""Images of a trained cell, drawn as its evaluations draw theirs, and written as a folder of PNGs or an .npz file."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ganbench import streams
from ganbench.contracts import Features, Split
from ganbench.data import data_root
from ganbench.errors import UserError, did_you_mean, shown
from ganbench.evaluate import FRESH, Evaluator
from ganbench.plugins import installed
from ganbench.store import write_atomically
from ganbench.train import evaluating
from ganbench.trained import Trained


def class_names(trained: Trained) -> list[str]:
    """What the classes of the cell's dataset are called, numbers where they have no names; by label."""
    dataset = installed().dataset(trained.task["dataset_id"], trained.task["dataset_params"])
    return list(dataset.class_names()) or [str(number) for number in range(trained.data.spec.classes)]


def label_of(text: str, trained: Trained) -> int:
    """The label of a class that is given by its name, or by its number from 0.

    Raises `UserError` where the dataset has no such class, or the cell is not conditional.
    """
    task, names = trained.task, class_names(trained)
    if not trained.game.conditional:
        raise UserError(f"{task['variant']} is not conditional, so it cannot be asked for a class: leave --class away")
    if text in names:
        return names.index(text)
    if text.isascii() and text.isdigit() and int(text) < len(names):
        return int(text)
    known = f"0 to {len(names) - 1}" + ("" if names[0] == "0" else f", or {', '.join(names)}")
    raise UserError(f"{task['dataset']} has no class {shown(text)}{did_you_mean(text, names)}; it has {known}")


def draw(trained: Trained, n: int, *, label: int | None = None, seed: int | None = None) -> Split:
    """`n` images, with the labels that they were asked for of a conditional generator: those of `label` alone, or
    classes as frequent as in the train split.

    Of a game that translates, the translations of the first `n` test sources. Without a `seed` the first of those that
    the score on record is of. A `label` is for conditional cells only.
    """
    game, task = trained.game, trained.task
    evaluator = Evaluator(
        trained.data,
        [],
        extractors={},
        reference=task.get("reference", "train"),
        device=task["device"],
        root=data_root(),
        say=lambda message: None,
    )
    if label is not None:
        evaluator.frequencies = torch.eye(trained.data.spec.classes, dtype=torch.int64)[label]
    if seed is None:
        start = (task["seed"] << 32) + (FRESH if trained.at == "best" else 0)
    else:  # spread over 32 bits, since torch's generator of the CPU takes no more: draws begin at every 250th number
        start = int.from_bytes(hashlib.sha256(f"sample {seed}".encode()).digest()[:4])
    images, labels = [], []
    with evaluating(game):
        blocks = _translated(trained, n) if game.translates else evaluator.generated_blocks(game, n, start)
        for block in blocks:
            images.append(block.images.cpu().numpy())
            labels += [] if block.labels is None else [block.labels.cpu().numpy()]
    return Split(np.concatenate(images), np.concatenate(labels) if labels else None)


def _translated(trained: Trained, n: int) -> Iterator[Features]:
    test, paired = trained.data.splits["test"], trained.data.spec.paired
    assert test.sources is not None
    if n > len(test.sources):
        raise UserError(
            f"{trained.task['variant']} translates, and {trained.task['dataset']} has {len(test.sources)} test "
            f"sources: ask for -n {len(test.sources)} at most"
        )
    return streams.translated(trained.game, test, n, trained.task["device"], paired=paired)


def check_target(path: Path) -> None:
    """Raise `UserError` where nothing new can be written to `path`."""
    if path.suffix.lower() == ".npz" and not path.exists():
        return
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} is there already, and nothing is overwritten; give another name, or delete it")


def write(split: Split, path: Path, names: Sequence[str]) -> None:
    """Write to an .npz file (``x_train`` and, where there are labels, ``y_train``), else to PNGs in a folder.

    Labelled images go into a sub-folder per class, called by `names`. Both can be read back as datasets (``npz:PATH``,
    ``folder:PATH``). Raises `UserError` where that is not possible.
    """
    try:
        if path.suffix.lower() == ".npz":
            arrays = {"x_train": split.images} | ({} if split.labels is None else {"y_train": split.labels})
            buffer = io.BytesIO()
            np.savez_compressed(buffer, allow_pickle=False, **arrays)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, buffer.getvalue())
        else:
            _write_folder(split, path, names)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}); choose another place") from error


def _write_folder(split: Split, path: Path, names: Sequence[str]) -> None:
    if split.images.ndim != 4 or split.images.shape[1] not in (1, 3):
        shape = "×".join(map(str, split.images.shape[1:]))
        raise UserError(f"samples of {shape} are no grey or coloured images for PNGs; write them to a file: NAME.npz")
    wide = len(str(max(len(names) - 1, 0)))
    # Numbers of one width, so that the order of the folders is that of the labels.
    folders = [path / (name.zfill(wide) if name.isdigit() else name.replace("/", "-")) for name in names]
    digits = len(str(len(split.images) - 1))
    for number, image in enumerate(split.images):
        folder = path if split.labels is None else folders[split.labels[number]]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        Image.fromarray(pixels).save(folder / f"{number:0{digits}d}.png")
