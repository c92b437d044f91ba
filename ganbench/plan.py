"""From a benchmark to its cells. Pure: the same file, components and fingerprints give the same plan. No torch."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ganbench.config import Benchmark, Budget, DatasetEntry, Evaluate, Grid, Location, Source
from ganbench.contracts import Dataset, DataSpec, Metric, Variant
from ganbench.errors import DatasetError, ParamError, UserError, did_you_mean, shown
from ganbench.params import Params, Value
from ganbench.plugins import Component, Plugins, recorded
from ganbench.store import slug

#: Raised whenever the training loop, the evaluation or the key itself changes what the same cell's numbers are.
PROTOCOL = 1
#: More cells in one file are refused: they would take gigabytes to plan and years to train.
MAX_CELLS = 100_000


@dataclass(frozen=True)
class ChosenDataset:
    """A dataset as a grid names it: component, argument, parameters; `error` where its shape cannot be told."""

    name: str
    component: Component
    dataset: Dataset
    spec: DataSpec | None
    error: str = ""

    @property
    def id(self) -> str:
        """The canonical name, argument included: ``data/folder:PATH``."""
        return self.component.id + (f":{self.dataset.argument}" if self.dataset.argument else "")


@dataclass(frozen=True)
class ChosenProbe:
    """A probe with its parameters."""

    component: Component
    params: Params

    @property
    def name(self) -> str:
        return self.component.name


@dataclass(frozen=True)
class ChosenExecutor:
    """An executor with its parameters."""

    component: Component
    params: Params


@dataclass(frozen=True)
class Row:
    """One configuration on one dataset: cells but for their seeds. `name` is the variant's."""

    name: str
    component: Component
    variant: Variant
    data: ChosenDataset
    params: Params
    overrides: Mapping[str, Value]
    budget: Budget
    evaluate: Evaluate

    @property
    def start(self) -> str:
        """How the names of its cells' directories begin."""
        return f"{slug(self.name, 30)}-{slug(self.data.name, 30)}"

    @cached_property
    def values(self) -> dict[str, Value]:
        return self.params.to_dict()

    @cached_property
    def symbols(self) -> dict[str, str]:
        return {name: info.symbol for name, (_, _, info) in self.params.fields().items()}

    @cached_property
    def labels(self) -> dict[str, str]:
        return self.params.labels()

    @cached_property
    def skip(self) -> str:
        """Why the variant cannot be trained on the dataset; empty where it can."""
        return (self.variant.refusal(self.data.spec, self.params) or "") if self.data.spec else ""


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One training: a row of the plan with a seed. `skip` says why it makes no sense.

    It holds nothing that is the same for all seeds of its row, since there can be a hundred thousand of it.
    """

    row: Row
    seed: int
    key: str
    #: Name of the cell's directory: readable, and unique by its key.
    directory: str
    fingerprint: str
    device: str
    plan: Plan = field(repr=False)

    @property
    def variant(self) -> str:
        return self.row.name

    @property
    def variant_id(self) -> str:
        return self.row.component.id

    @property
    def dataset(self) -> str:
        return self.row.data.name

    @property
    def params(self) -> Mapping[str, Value]:
        return self.row.values

    @property
    def labels(self) -> Mapping[str, str]:
        return self.row.labels

    @property
    def skip(self) -> str:
        return self.row.skip

    @property
    def task(self) -> dict[str, Any]:
        """The unit of work that trains it: what ``cell.json`` says."""
        return self.plan.cell_task(self)

    def outline(self) -> dict[str, Any]:
        """What ``run.json`` says of the cell."""
        row = self.row
        return {
            "key": self.key,
            "variant": self.variant,
            "dataset": self.dataset,
            "seed": self.seed,
            "params": row.values,
            "symbols": row.symbols,
            "labels": row.labels,
            "overrides": dict(row.overrides),
            "budget": _budget(row.budget),
            "evaluate": row.evaluate.model_dump(),
            "precision": self.plan.benchmark.precision,
            "skip": row.skip,
        }


@dataclass(frozen=True)
class Plan:
    """A benchmark, its names resolved to components, ready to be expanded into cells."""

    benchmark: Benchmark
    metrics: Mapping[str, Component]
    metric_classes: Mapping[str, type[Metric]]
    rank_metric: str
    extractors: Mapping[str, Component]
    datasets: Mapping[str, ChosenDataset]
    rows: tuple[Row, ...]
    plugins: Plugins = field(repr=False)
    probes: tuple[ChosenProbe, ...] = ()
    executor: ChosenExecutor | None = None

    def executor_called(self, name: str | None) -> ChosenExecutor:
        """The executor of that name, with the file's parameters if it is the file's; without a name, the file's own.

        Raises `UserError` where there is none of that name.
        """
        component = self.plugins.find("executors", name) if name else None
        if self.executor and component in (None, self.executor.component):
            return self.executor
        component = component or self.plugins.find("executors", "process")
        return ChosenExecutor(component, component.load().Params())

    @property
    def rank(self) -> dict[str, str]:
        at, metric = self.benchmark.rank.at, self.rank_metric
        return {"metric": metric, "at": at, "direction": self.metric_classes[metric].direction}

    @property
    def metric_versions(self) -> dict[str, str]:
        """The protocol version of every metric asked for."""
        return {name: metric.version for name, metric in self.metric_classes.items()}

    def cells(self, fingerprints: Mapping[str, str], device: str = "cpu") -> list[Cell]:
        """Every cell once, seeds outermost, so that each seed's cells together are a whole (smaller) benchmark.

        `fingerprints` maps dataset names to content fingerprints; a dataset without one has not been prepared.
        """
        rows = []
        for row in self.rows:
            fingerprint = fingerprints.get(row.data.name, "")
            rows.append((row, fingerprint, f"{row.start}-s", _Keys(self._identity(row, fingerprint))))
        cells: dict[str, Cell] = {}
        for seed in self.benchmark.seed_list:
            for row, fingerprint, start, keys in rows:
                key = keys.of(seed)
                name = f"{start}{seed}-{key[:12]}"
                if name not in cells:
                    cells[name] = Cell(row, seed, key, name, fingerprint, device, self)
        return list(cells.values())

    def _identity(self, row: Row, fingerprint: str) -> dict[str, Any]:
        """Everything that determines the numbers of the cells of `row`, but for their seeds."""
        return {
            "protocol": PROTOCOL,
            "variant": row.component.id,
            "variant_version": row.variant.version,
            "params": row.values,
            "dataset": row.data.component.id,
            "dataset_version": row.data.dataset.version,
            "dataset_params": row.data.dataset.params.to_dict(),
            "fingerprint": fingerprint,
            "budget": _budget(row.budget),
            "precision": self.benchmark.precision,
            "evaluate": row.evaluate.model_dump(),
            "train_on": self.benchmark.train_on,
            "reference": self.benchmark.reference,
            # The ranked metric chooses the snapshot that is kept; the other metrics can be added later.
            "rank": {
                "metric": self.metrics[self.rank_metric].id,
                "version": self.metric_classes[self.rank_metric].version,
            },
            # Only replacements: a metric that is added later brings its usual extractor and changes no key.
            "extractors": {asked: self.extractors[asked].id for asked in self.benchmark.extractors},
        }

    def cell_task(self, cell: Cell) -> dict[str, Any]:
        """The unit of work that trains a cell of this plan."""
        row = cell.row
        identity = {**self._identity(row, cell.fingerprint), "seed": cell.seed}
        return {
            "unit": "cell",
            "key": cell.key,
            "variant": row.name,
            "variant_id": row.component.id,
            "params": identity["params"],
            **self._dataset_task(row.data),
            "fingerprint": cell.fingerprint,
            "seed": cell.seed,
            "budget": identity["budget"],
            "precision": self.benchmark.precision,
            "evaluate": identity["evaluate"],
            "train_on": self.benchmark.train_on,
            "rank": self.rank,
            **self._scoring_task(),
            "device": cell.device,
            "cuda_graphs": self.benchmark.cuda_graphs,
            **self._plugins_task(row.data, row.component),
            "identity": identity,
        }

    def reference_task(self, chosen: ChosenDataset, device: str) -> dict[str, Any]:
        """The unit of work that prepares a dataset: its arrays, extractors, references and real rows."""
        return {
            "unit": "reference",
            **self._dataset_task(chosen),
            **self._scoring_task(),
            "device": device,
            **self._plugins_task(chosen),
        }

    def _scoring_task(self) -> dict[str, Any]:
        return {
            "metrics": self.metric_versions,
            "extractors": {asked: component.id for asked, component in self.extractors.items()},
            "reference": self.benchmark.reference,
        }

    def _plugins_task(self, chosen: ChosenDataset, *variant: Component) -> dict[str, Any]:
        """The files and optional plugins that the unit needs; nothing where it needs none."""
        needed = recorded(self.plugins, [*variant, chosen.component, *self.metrics.values(), *self.extractors.values()])
        return {"plugins": needed} if needed else {}

    def _dataset_task(self, chosen: ChosenDataset) -> dict[str, Any]:
        return {
            "dataset": chosen.name,
            "dataset_id": chosen.id,
            "dataset_params": chosen.dataset.params.to_dict(),
        }


def distinctions(cells: Sequence[Cell]) -> dict[str, str]:
    """Cell directory -> the parameters in which it differs from others of its variant and dataset (``BS=16 BN=No``)."""
    groups: dict[tuple[str, str], dict[int, Row]] = {}
    for cell in cells:
        groups.setdefault((cell.variant, cell.dataset), {})[id(cell.row)] = cell.row
    texts = {}
    for rows in groups.values():
        first = next(iter(rows.values()))
        names = [name for name in first.values if len({row.values[name] for row in rows.values()}) > 1]
        for number, row in rows.items():
            texts[number] = " ".join(row.labels[name] for name in names if row.labels[name])
    return {cell.directory: texts[id(cell.row)] for cell in cells}


def key(identity: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of canonical JSON: sorted keys, no white space, so that order in the file does not matter."""
    return hashlib.sha256(_canonical(identity).encode()).hexdigest()


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class _Keys:
    """The `key` of an identity that lacks its seed, for any seed: what stands before that is hashed once."""

    def __init__(self, seedless: Mapping[str, Any]) -> None:
        before, after = ({name: seedless[name] for name in seedless if (name > "seed") == late} for late in (0, 1))
        self._before = hashlib.sha256((_canonical(before).removesuffix("}") + ',"seed":').encode())
        self._after = ("," + _canonical(after).removeprefix("{")).encode()

    def of(self, seed: int) -> str:
        digest = self._before.copy()
        digest.update(b"%d%b" % (seed, self._after))
        return digest.hexdigest()


def _budget(budget: Budget) -> dict[str, Any]:
    return {"unit": budget.unit, "amount": float(budget.amount)}


def resolve(benchmark: Benchmark, source: Source, plugins: Plugins) -> Plan:
    """Look every name up and check every parameter. Raises `UserError` with the line of the first mistake."""
    _refuse_too_many(benchmark, source)
    metrics: dict[str, Component] = {}
    for name in benchmark.metrics:
        component = _find(plugins, source, "metrics", name, ("metrics",))
        if component in metrics.values():
            raise source.error(f"metric {plugins.name(component)!r} is there twice; leave one", ("metrics",), name)
        metrics[plugins.name(component)] = component
    ranked = plugins.name(_find(plugins, source, "metrics", benchmark.rank.metric, ("rank", "metric")))
    if ranked not in metrics:
        where: Location = ("rank", "metric") if "rank" in benchmark.model_fields_set else ("metrics",)
        missing = f"rank.metric is {ranked!r}, which is not among the metrics {list(metrics)}"
        raise source.error(f"{missing}; add it to them, or rank by one of them", where)
    classes: dict[str, type[Metric]] = {name: component.load() for name, component in metrics.items()}
    for name, metric in classes.items():
        for where, evaluate in _evaluations(benchmark):
            if evaluate.samples < metric.minimum_samples:
                few = f"evaluate.samples = {evaluate.samples} is too few: {name} needs {metric.minimum_samples}"
                raise source.error(few, where)
    extractors = _extractors(benchmark, source, plugins, classes)
    datasets: dict[str, ChosenDataset] = {}  # by name
    rows: list[Row] = []
    rows_by: dict[tuple[str, str, Params], Row] = {}
    for number, grid in enumerate(benchmark.grid):
        where = ("grid", number, "variants")
        chosen: dict[str, ChosenDataset] = {}  # by canonical name
        variants: set[Component] = set()
        settings = _rows(source, number, grid)
        for entry in grid.datasets:
            found = _dataset(plugins, source, number, entry)
            known = datasets.setdefault(found.name, found)
            if known.dataset.params != found.dataset.params:
                different = f"dataset {found.name!r} is used with different params; use one file for each"
                raise source.error(different, ("grid", number, "datasets"), found.name)
            if found.id in chosen:
                raise source.error(
                    f"dataset {found.name!r} is there twice; leave one", ("grid", number, "datasets"), found.name
                )
            chosen[found.id] = known
        for name in grid.variants:
            component = _find(plugins, source, "variants", name, where)
            if component in variants:
                raise source.error(f"variant {plugins.name(component)!r} is there twice; leave one", where, name)
            variants.add(component)
            variant: Variant = component.load()()
            for overrides in settings:
                params = _params(source, number, component, variant, overrides, grid)
                short = plugins.name(component)
                budget, evaluate = grid.budget or benchmark.budget, grid.evaluate or benchmark.evaluate
                for data in chosen.values():
                    row = Row(short, component, variant, data, params, overrides, budget, evaluate)
                    twin = rows_by.setdefault((component.id, data.name, params), row)
                    if twin is not row and (twin.budget, twin.evaluate) != (budget, evaluate):
                        again = f"{short} on {data.name} is there twice with the same parameters and another budget"
                        raise source.error(f"{again} or evaluate; they would share a line of the leaderboard", where)
                    rows.append(row)
    probes, executor = _probes(benchmark, source, plugins), _executor(benchmark, source, plugins)
    return Plan(benchmark, metrics, classes, ranked, extractors, datasets, tuple(rows), plugins, probes, executor)


def _probes(benchmark: Benchmark, source: Source, plugins: Plugins) -> tuple[ChosenProbe, ...]:
    chosen: list[ChosenProbe] = []
    for entry in benchmark.probes:
        name, values = (entry, {}) if isinstance(entry, str) else (entry.name, entry.params)
        component = _find(plugins, source, "probes", name, ("probes",))
        try:
            probe = ChosenProbe(component, component.load().Params.resolve(values, owner=component.name))
        except ParamError as error:
            raise source.error(str(error), ("probes",), name) from None
        if probe in chosen:
            raise source.error(f"probe {name!r} is there twice with the same parameters; leave one", ("probes",), name)
        chosen.append(probe)
    return tuple(chosen)


def _executor(benchmark: Benchmark, source: Source, plugins: Plugins) -> ChosenExecutor | None:
    """What the file says of where cells run; None where it says nothing."""
    if "executor" not in benchmark.model_fields_set:
        return None
    entry = benchmark.executor
    name, values = (entry, {}) if isinstance(entry, str) else (entry.name, entry.params)
    component = _find(plugins, source, "executors", name, ("executor",))
    try:
        return ChosenExecutor(component, component.load().Params.resolve(values, owner=f"executor {name!r}"))
    except ParamError as error:
        raise source.error(str(error), ("executor", "params", error.name)) from None


def _refuse_too_many(benchmark: Benchmark, source: Source) -> None:
    """Count the cells without making them."""
    seeds = benchmark.seeds if isinstance(benchmark.seeds, int) else len(benchmark.seeds)
    total = 0
    for number, grid in enumerate(benchmark.grid):
        cells = seeds * len(grid.variants) * len(grid.datasets) * len(grid.configs)
        for values in grid.params.values():
            cells *= len(values) if isinstance(values, list) else 1
        total += cells
        if total > MAX_CELLS:
            many = f"this makes more than {MAX_CELLS:,} cells (seeds × variants × datasets × params × configs)"
            where: Location = ("seeds",) if seeds > MAX_CELLS else ("grid", number)
            raise source.error(f"{many}; sweep fewer values, or split the file", where)


def _evaluations(benchmark: Benchmark) -> list[tuple[Location, Evaluate]]:
    """The file's `evaluate` and those of its grids, each with the place of its number of samples."""
    found: list[tuple[Location, Evaluate]] = [(("evaluate", "samples"), benchmark.evaluate)]
    for number, grid in enumerate(benchmark.grid):
        if grid.evaluate:
            found.append((("grid", number, "evaluate", "samples"), grid.evaluate))
    return found


def _extractors(
    benchmark: Benchmark, source: Source, plugins: Plugins, metrics: Mapping[str, type[Metric]]
) -> dict[str, Component]:
    """What metrics ask for -> the extractor they get: the one of that name, or the one the file puts in its place."""
    asked = dict.fromkeys(metric.extractor for metric in metrics.values() if metric.extractor)
    for name in benchmark.extractors:
        if name not in asked:
            known = f"they ask for {', '.join(asked) or 'none'}"
            raise source.error(
                f"extractors.{name}{did_you_mean(name, asked)}: no metric asks for it ({known})", ("extractors", name)
            )
    return {
        name: _find(plugins, source, "extractors", benchmark.extractors.get(name, name), ("extractors", name))
        for name in asked
    }


def _rows(source: Source, number: int, grid: Grid) -> list[dict[str, Value]]:
    """The parameter settings of a grid: every exact row crossed with the product of the swept lists."""
    swept = {name: values if isinstance(values, list) else [values] for name, values in grid.params.items()}
    for name, values in swept.items():
        where = ("grid", number, "params", name)
        if not values:
            raise source.error(f"params.{name} is an empty list, so the grid has no cells", where)
        seen: set[tuple[type, Value]] = set()
        for value in values:
            if (type(value), value) in seen:
                raise source.error(f"params.{name} has {shown(value)} twice; leave one", where)
            seen.add((type(value), value))
    products = [dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values())]
    return [{**product, **row} for row in grid.configs for product in products]


def _find(plugins: Plugins, source: Source, kind: str, name: str, location: Location) -> Component:
    try:
        return plugins.find(kind, name)
    except UserError as error:
        raise source.error(str(error), location, name) from None


def _dataset(plugins: Plugins, source: Source, number: int, entry: str | DatasetEntry) -> ChosenDataset:
    name, values = (entry, {}) if isinstance(entry, str) else (entry.name, entry.params)
    component = _find(plugins, source, "datasets", name, ("grid", number, "datasets"))
    try:
        dataset = plugins.dataset(name, values)
    except UserError as error:
        raise source.error(str(error), ("grid", number, "datasets")) from None
    try:
        return ChosenDataset(name, component, dataset, dataset.spec())
    except DatasetError as error:
        # Not the file's mistake: the dataset's cells fail with this reason, the others go on.
        return ChosenDataset(name, component, dataset, None, str(error))
    except Exception as error:  # a path that is none (~nobody, a thousand characters), or a plugin's mistake
        why = f"dataset {shown(name)} cannot be looked at ({type(error).__name__}: {error}); check its name and path"
        raise source.error(why, ("grid", number, "datasets"), name) from error


def _params(
    source: Source, number: int, component: Component, variant: Variant, overrides: Mapping[str, Value], grid: Grid
) -> Params:
    try:
        return variant.Params.resolve(overrides, owner=component.name)
    except ParamError as error:
        where: Location = ("grid", number, "params", error.name)
        for index, row in enumerate(grid.configs):
            if error.name in row and row[error.name] is overrides[error.name]:
                where = ("grid", number, "configs", index, error.name)
                break
        raise source.error(str(error), where) from None
