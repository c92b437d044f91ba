"""A paragraph on methods and references in BibTeX, ready for a paper; only what the records say."""

from __future__ import annotations

from ganbench.contracts import Tables
from ganbench.report.page.about import Facts
from ganbench.report.words import clean, listed

#: What the shipped metrics are, in words for a paper. Others are named alone.
_METRICS = {
    "cs": "the classifier score (CS), the formula of the Inception score on the predictions of a classifier trained on "
    "each dataset [salimans2016]",
    "fcd": "the Fréchet classifier distance (FCD), the Fréchet distance between Gaussians fitted to the features that "
    "a classifier trained on each dataset has of real and of generated images [heusel2017]",
    "is": "the Inception score (IS) [salimans2016]",
    "fid": "the Fréchet Inception distance (FID) [heusel2017]",
}
_BIBTEX = {
    "goodfellow2014": (
        "inproceedings", "Generative Adversarial Nets",
        "Goodfellow, Ian and Pouget-Abadie, Jean and Mirza, Mehdi and Xu, Bing and Warde-Farley, David and Ozair, "
        "Sherjil and Courville, Aaron and Bengio, Yoshua", "Advances in Neural Information Processing Systems", "2014",
        "1406.2661",
    ),
    "mirza2014": (
        "misc", "Conditional Generative Adversarial Nets", "Mirza, Mehdi and Osindero, Simon", "", "2014", "1411.1784",
    ),
    "radford2016": (
        "inproceedings", "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
        "Radford, Alec and Metz, Luke and Chintala, Soumith", "International Conference on Learning Representations",
        "2016", "1511.06434",
    ),
    "arjovsky2017": (
        "inproceedings", "Wasserstein Generative Adversarial Networks",
        "Arjovsky, Martin and Chintala, Soumith and Bottou, L{\\'e}on", "International Conference on Machine Learning",
        "2017", "1701.07875",
    ),
    "gulrajani2017": (
        "inproceedings", "Improved Training of {Wasserstein} {GANs}",
        "Gulrajani, Ishaan and Ahmed, Faruk and Arjovsky, Martin and Dumoulin, Vincent and Courville, Aaron",
        "Advances in Neural Information Processing Systems", "2017", "1704.00028",
    ),
    "salimans2016": (
        "inproceedings", "Improved Techniques for Training {GANs}",
        "Salimans, Tim and Goodfellow, Ian and Zaremba, Wojciech and Cheung, Vicki and Radford, Alec and Chen, Xi",
        "Advances in Neural Information Processing Systems", "2016", "1606.03498",
    ),
    "heusel2017": (
        "inproceedings",
        "{GANs} Trained by a Two Time-Scale Update Rule Converge to a Local {Nash} Equilibrium",
        "Heusel, Martin and Ramsauer, Hubert and Unterthiner, Thomas and Nessler, Bernhard and Hochreiter, Sepp",
        "Advances in Neural Information Processing Systems", "2017", "1706.08500",
    ),
}  # fmt: skip
#: Which work a variant of such a name is of; other variants need a reference of their own.
_VARIANTS = {
    "mlp-gan": "goodfellow2014",
    "gan": "goodfellow2014",
    "cgan": "mirza2014",
    "dcgan": "radford2016",
    "wgan": "arjovsky2017",
    "wgan-gp": "gulrajani2017",
}
_MANY = 12  # more names than this are counted


def paragraph(facts: Facts, tables: Tables) -> str:
    """What was done, in sentences with references in square brackets."""
    variants = [f"{name} [{_reference(name)}]" if _reference(name) else name for name in facts.variants]
    few = len(variants) <= _MANY
    said = [
        f"We trained {listed(variants) if few else f'{len(variants)} variants'} on "
        f"{listed(facts.datasets) if len(facts.datasets) <= _MANY else f'{len(facts.datasets)} datasets'} "
        f"with ganbench {' and '.join(facts.versions.get('ganbench', ['(version not on record)']))}"
        + (f" (PyTorch {' and '.join(facts.versions['torch'])})" if "torch" in facts.versions else "")
        + (f", each for {listed(facts.budgets)}" if facts.budgets else "")
        + f" with {_count(len(facts.seeds), 'seed')} per configuration."
    ]
    if facts.times:
        said.append(
            f"Every run was evaluated {listed(facts.times)} times during training on "
            f"{listed([f'{count:,}' for count in facts.samples])} generated images by "
            f"{listed([_METRICS.get(metric, metric) for metric in facts.metrics])}."
        )
    said += _classifiers(tables)
    metric, _, at = facts.ranked_by.rpartition(" at ")
    if at == "best":
        said.append(
            f"Of every run we report the snapshot with the best {metric} during training, scored again on fresh "
            "samples, since the score by which a snapshot is chosen is biased."
        )
    else:
        said.append("Of every run we report the end of training.")
    if len(facts.seeds) > 1:
        said.append(
            "Scores are means over seeds with 95% Student t intervals of the mean; n is stated where it is not "
            f"{len(facts.seeds)}."
        )
    else:
        said.append("Scores are of a single seed and have no interval.")
    said.append("Test images of each dataset, scored as if they had been generated, are given as a bound.")
    done = facts.statuses.get("done", 0)
    others = [f"{count:,} {status}" for status, count in facts.statuses.items() if status not in ("done", "skipped")]
    said.append(
        f"{done:,} of {_count(facts.planned, 'planned run')} finished"
        + (f" ({', '.join(others)}); means over fewer seeds than planned are marked." if others else ".")
    )
    return " ".join(said)


def bibtex(facts: Facts) -> str:
    """The references of `paragraph`, and ganbench itself."""
    keys = {_reference(name) for name in facts.variants}
    keys |= {"salimans2016"} if {"cs", "is"} & set(facts.metrics) else set()
    keys |= {"heusel2017"} if {"fcd", "fid"} & set(facts.metrics) else set()
    version = " and ".join(facts.versions.get("ganbench", [])) or "unknown"
    own = (
        "@software{ganbench,\n  title   = {ganbench: benchmarks of generative adversarial networks},\n"
        f"  author  = {{{{The ganbench developers}}}},\n  version = {{{_tex(version)}}}\n}}"
    )
    return "\n\n".join([own, *(_entry(key) for key in sorted(keys - {""}))])


def _entry(key: str) -> str:
    kind, title, authors, venue, year, arxiv = _BIBTEX[key]
    fields = {"title": title, "author": authors, "booktitle": venue, "year": year, "eprint": arxiv}
    fields["archiveprefix"] = "arXiv"
    width = max(map(len, fields))
    lines = [f"  {name:<{width}} = {{{value}}}" for name, value in fields.items() if value]
    return f"@{kind}{{{key},\n" + ",\n".join(lines) + "\n}"


def _reference(variant: str) -> str:
    return _VARIANTS.get(variant.rpartition("/")[2], "")


def _classifiers(tables: Tables) -> list[str]:
    texts = []
    for row in tables.datasets.to_dict("records"):
        accuracy = ((row["extractors"] or {}).get("classifier") or {}).get("test_accuracy")
        if isinstance(accuracy, (int, float)):
            texts.append(f"{accuracy:.4g} on {clean(row['dataset'])}")
    return [f"The classifier has a test accuracy of {listed(texts)}."] if 0 < len(texts) <= _MANY else []


def _count(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _tex(text: str) -> str:
    return text.translate({ord(c): f"\\{c}" for c in "&%$#_{}"} | {ord("\\"): "\\textbackslash{}"})
