"""Scores of images that were not trained here, by the protocol of a run, or that of a plain benchmark file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganbench import streams
from ganbench.config import Benchmark, Evaluate
from ganbench.contracts import DataSpec
from ganbench.data import Prepared, data_root, prepare
from ganbench.errors import UserError, did_you_mean, on_one_line, shown
from ganbench.evaluate import Evaluator, real_rows
from ganbench.foreign import Foreign, read
from ganbench.inspection import UNREADABLE
from ganbench.inspection import record as inspected
from ganbench.plugins import installed
from ganbench.provenance import of_unit
from ganbench.records import check_scored, sound_run
from ganbench.store import FORMAT, Record, Store, now
from ganbench.tables import trusted
from ganbench.trained import use_named

DEFAULT_METRICS: tuple[str, ...] = tuple(Benchmark.model_fields["metrics"].default)
_NEEDED = ("dataset_id", "dataset_params", "metrics", "extractors", "reference")


@dataclass(frozen=True)
class Protocol:
    """How images are scored against a dataset.

    `task` is as that of a run's reference: ``dataset, dataset_id, dataset_params, metrics`` (name -> version),
    ``extractors, reference``. `samples` is how many images are scored at most. Of a run's protocol `known` is what the
    run recorded of the dataset: hashes of extractors and real rows.
    """

    task: Record
    samples: int | None = None
    known: Record = field(default_factory=dict)


def usual(dataset: str, metrics: Sequence[str], reference: str = "train") -> Protocol:
    """The protocol of a benchmark file that says nothing else. Raises `UserError` for unknown names."""
    plugins = installed()
    plugins.dataset(dataset)
    component = plugins.find("datasets", dataset)
    _, _, argument = dataset.partition(":")
    found = {plugins.name(each): each for each in (plugins.find("metrics", name) for name in metrics)}
    classes = {name: each.load() for name, each in found.items()}
    task = {
        "dataset": dataset,
        "dataset_id": component.id + (f":{argument}" if argument else ""),
        "dataset_params": {},
        "metrics": {name: metric.version for name, metric in classes.items()},
        "extractors": {
            metric.extractor: plugins.find("extractors", metric.extractor).id
            for metric in classes.values()
            if metric.extractor
        },
        "reference": reference,
    }
    return Protocol(task)


def of_run(store: Store, dataset: str | None, metrics: Sequence[str]) -> Protocol:
    """The protocol that the run of `store` scores its cells on `dataset` by; of a single dataset the name may be None.

    Raises `UserError` where the run does not have the dataset or the metrics, did not get it ready, or was scored with
    other versions of metrics than today's.
    """
    run = sound_run(store)
    outlines = run["cells"].values()
    names = list(dict.fromkeys(outline["dataset"] for outline in outlines))
    if dataset is None and len(names) != 1:
        raise UserError(f"{store.root} has the datasets {', '.join(names) or '(none)'}; say which with --dataset")
    name = names[0] if dataset is None else dataset
    if name not in names:
        hint = did_you_mean(name, names)
        raise UserError(f"{store.root} has no dataset {shown(name)}{hint}; it has {', '.join(names) or 'none'}")
    task, manifest, _ = trusted(store, store.reference(name), "reference")
    if manifest["status"] != "done":
        reason = on_one_line(manifest.get("reason") or "") or "see `ganbench doctor`"
        raise UserError(f"{store.root} did not get {name} ready ({manifest['status']}: {reason}); `ganbench run` does")
    if lacking := [field for field in _NEEDED if task.get(field) is None]:
        raise UserError(f"{store.root} does not say the {lacking[0]} of {name}; `ganbench run` writes its task anew")
    use_named(task)
    chosen: dict[str, str] = {}
    for metric in metrics or task["metrics"]:
        if metric not in task["metrics"]:
            hint = did_you_mean(metric, task["metrics"])
            raise UserError(f"{store.root} is not scored by {shown(metric)}{hint}; it has {', '.join(task['metrics'])}")
        chosen[metric] = task["metrics"][metric]
        today = installed().find("metrics", metric).load().version
        if today != chosen[metric]:
            raise UserError(
                f"the cells of {store.root} are scored by {metric} version {chosen[metric]}, and this is version "
                f"{today}, whose numbers do not compare; `ganbench run` scores them again"
            )
    evaluates = [each.get("evaluate") or run.get("evaluate") for each in outlines if each["dataset"] == name]
    samples = max((each["samples"] for each in evaluates if each), default=Evaluate().samples)
    return Protocol({**task, "metrics": chosen}, samples, manifest)


class Scorer:
    """Scores images by one protocol."""

    def __init__(self, protocol: Protocol, *, device: str, say: Callable[[str], None]) -> None:
        """Make the dataset ready. Raises `UserError` where its content is not what the run has recorded."""
        self.protocol, self.device, self._say = protocol, device, say
        task = protocol.task
        self.dataset = installed().dataset(task["dataset_id"], task["dataset_params"])
        self.data: Prepared = prepare(task["dataset"], self.dataset, data_root(), say=say)
        if self.data.fingerprint != protocol.known.get("fingerprint", self.data.fingerprint):
            raise UserError(
                f"{task['dataset']} is not what the run was scored against (its content has changed), so the numbers "
                "would not compare"
            )

    def read(self, path: Path, *, which: str | None = None, samples: int | None = None) -> Foreign:
        """The images at `path`; see `foreign.read`. Raises `UserError` where a metric needs more of them."""
        spec: DataSpec = self.data.spec
        names = list(self.dataset.class_names()) or [str(number) for number in range(spec.classes)]
        found = read(path, spec, names, data_root(), which=which, samples=samples, most=self.protocol.samples)
        for name in self.protocol.task["metrics"]:
            least = installed().find("metrics", name).load().minimum_samples
            if found.samples < least:
                raise UserError(f"{path} has too few images for {name}: {found.samples}, and it needs {least}")
        return found

    def open(self) -> None:
        """Get extractors and references. Raises `UserError` where none of the metrics can be had, or where the
        extractors are not those of the run.
        """
        task = self.protocol.task
        self.evaluator = Evaluator(
            self.data,
            list(task["metrics"]),
            extractors=task["extractors"],
            reference=task["reference"],
            device=self.device,
            root=data_root(),
            say=self._say,
        )
        if not self.evaluator.metrics:
            reasons = "; ".join(dict.fromkeys(self.evaluator.unavailable.values()))
            raise UserError(f"{', '.join(task['metrics'])} cannot be had on {task['dataset']}: {reasons}")
        recorded = self.protocol.known.get("extractors") or {}
        for name, found in self.evaluator.hashes.items():
            known = (recorded.get(name) or {}).get("hash", found)
            if known != found:
                raise UserError(
                    f"the {name} of {task['dataset']} is not the one that the run was scored with ({found[:12]} "
                    f"instead of {known[:12]}), so the numbers would not compare; restore its file below "
                    f"{data_root() / 'extractors'}"
                )

    def real(self) -> Mapping[str, Mapping[str, Any]]:
        """Metric -> ``value`` and ``samples`` of the real test images: those on record, else scored now."""
        known = self.protocol.known.get("real")
        return known if known is not None else real_rows(self.evaluator, self.data)

    def score(self, images: Foreign, name: str) -> Record:
        """The record of one set of images, called `name`."""
        from ganbench.environment import environment

        task, evaluator = self.protocol.task, self.evaluator
        values = evaluator.score(streams.real(images.split, self.device), images.samples)
        metrics = {}
        for metric, value in values.items():
            asked = evaluator.metrics[metric].extractor
            seen = {"extractor": asked, "hash": evaluator.extractors[asked].hash} if asked else {}
            metrics[metric] = {"value": value, "version": task["metrics"][metric], **seen}
        return {
            "format": FORMAT,
            "name": name,
            "dataset": task["dataset"],
            "fingerprint": self.data.fingerprint,
            "reference": task["reference"],
            "source": images.path.resolve().name,
            "sha256": images.digest,
            "available": images.available,
            "samples": images.samples,
            "resized": images.resized,
            "metrics": metrics,
            "unavailable": dict(evaluator.unavailable),
            "components": of_unit(task, installed(), values),
            "environment": environment(self.device),
            "scored": now(),
        }


def check_free(store: Store, dataset: str, name: str, digest: str) -> None:
    """Raise `UserError` where the run has other images of that `name` on its leaderboard of `dataset` already."""
    for path in store.scored(dataset):
        with suppress(*UNREADABLE):  # `ganbench doctor` says what is wrong with it
            known = inspected(path, check_scored)
            if known["name"] == name and known["sha256"] != digest:
                raise UserError(
                    f"{store.root} has scores of other images called {name!r} on {dataset}; choose another --name, or "
                    f"delete {path}"
                )


def checked_name(text: str) -> str:
    """`text` as the name of a row. Raises `UserError`."""
    if not re.fullmatch(r"[^\x00-\x1f\x7f]{1,100}", text) or not text.strip():
        raise UserError(f"{shown(text)} cannot be a name: use 1 to 100 characters on one line")
    return text.strip()
