"""The study of P. Hoeckler's thesis (2021): its five GANs and its classifiers, as its notebooks ran them.

The networks are the thesis's own. Where its code departs from the papers there is a parameter whose default is the
paper's choice; the files in ``studies/thesis`` set the thesis's.
"""

from __future__ import annotations

from ganbench.api import Register, hookimpl


@hookimpl
def register_variants(register: Register) -> None:
    register("hoeckler-gan", "ganbench_hoeckler.gan:GAN")
    register("hoeckler-dcgan", "ganbench_hoeckler.dcgan:DCGAN")
    register("hoeckler-cgan", "ganbench_hoeckler.cgan:CGAN")
    register("hoeckler-wgan", "ganbench_hoeckler.wgan:WGAN")
    register("hoeckler-wgan-gp", "ganbench_hoeckler.wgan_gp:WGANGP")


@hookimpl
def register_extractors(register: Register) -> None:
    register("hoeckler-mnist", "ganbench_hoeckler.classifier:MNISTClassifier")
    register("hoeckler-fashion", "ganbench_hoeckler.classifier:FashionClassifier")
    register("hoeckler-cifar10", "ganbench_hoeckler.classifier:CIFAR10Classifier")
