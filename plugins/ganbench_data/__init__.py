"""The datasets that ship with ganbench."""

from __future__ import annotations

from ganbench.api import Register, hookimpl


@hookimpl
def register_datasets(register: Register) -> None:
    register("digits", "ganbench_data.digits:Digits")
    register("mnist", "ganbench_data.published:MNIST")
    register("mnist32", "ganbench_data.enlarged:MNIST32")
    register("fashion-mnist", "ganbench_data.published:FashionMNIST")
    register("cifar10", "ganbench_data.published:CIFAR10")
    register("svhn", "ganbench_data.published:SVHN")
    register("flowers48", "ganbench_data.reduced:Flowers48")
    register("celeba48", "ganbench_data.reduced:CelebA48")
    register("npz", "ganbench_data.npz:Npz")
    register("folder", "ganbench_data.folder:Folder")
