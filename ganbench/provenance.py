"""Who made what: the canonical id, version and distribution of every component behind a number, for its record.

No part of a cell's key, which holds the ids and versions of variant, dataset and ranked metric already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ganbench.errors import UserError
from ganbench.plugins import Component, Plugins

if TYPE_CHECKING:
    from ganbench.plan import Plan

Made = dict[str, Any]
#: What is said of a component (`about`), in this order.
FACTS = ("id", "version", "distribution", "distribution_version")


def about(component: Component, plugins: Plugins, *, id: str = "", version: str | None = None) -> Made:
    """``{"id": "acme/my-gan", "version": "1", "distribution": "ganbench-acme", "distribution_version": "0.2"}``.

    Of a plugin of one file the distribution is the file's name, and its version ``sha256:`` with the hash. `id` is
    the dataset's with its argument; `version` saves loading the component. Raises `UserError` where that fails.
    """
    plugin = plugins.plugin_of(component)
    source = (plugin.distribution, plugin.version) if plugin else ("", "")
    own = component.load().version if version is None else version
    return dict(zip(FACTS, (id or component.id, own, *source), strict=True))


def of_unit(task: Mapping[str, Any], plugins: Plugins, metrics: Iterable[str] | None = None) -> Made:
    """What a unit of work is made by, `metrics` of it or all; what cannot be found is left out, and fails it later."""

    def found(kind: str, name: str, **more: str) -> Made | None:
        try:
            return about(plugins.find(kind, name), plugins, **more)
        except UserError:
            return None

    def several(kind: str, names: Mapping[str, str]) -> Made:
        return {name: made for name, wanted in names.items() if (made := found(kind, wanted))}

    made = {
        "variant": found("variants", task["variant_id"]) if "variant_id" in task else None,
        "dataset": found("datasets", task["dataset_id"], id=task["dataset_id"]),
        "probe": found("probes", task["probe"]["id"]) if "probe" in task else None,
        "metrics": several("metrics", {name: name for name in (task["metrics"] if metrics is None else metrics)}),
        "extractors": several("extractors", task["extractors"]),
    }
    return {role: components for role, components in made.items() if components}


def of_plan(plan: Plan) -> Made:
    """The same for all names of a plan, once: what ``run.json`` says, for cells that have no record yet."""
    plugins = plan.plugins
    variants = {row.name: about(row.component, plugins, version=row.variant.version) for row in plan.rows}
    datasets = {
        name: about(chosen.component, plugins, id=chosen.id, version=chosen.dataset.version)
        for name, chosen in plan.datasets.items()
    }
    metrics = {
        name: about(component, plugins, version=plan.metric_classes[name].version)
        for name, component in plan.metrics.items()
    }
    return {"variants": variants, "datasets": datasets, "metrics": metrics}


def of_cell(outline: Mapping[str, Any], run: Mapping[str, Any]) -> Made:
    """What a cell without a record is going to be made by, as ``run.json`` says of its names."""
    known = run.get("components", {})
    made = {
        "variant": known.get("variants", {}).get(outline["variant"]),
        "dataset": known.get("datasets", {}).get(outline["dataset"]),
        "metrics": known.get("metrics"),
    }
    return {role: components for role, components in made.items() if components}


def of_old(task: Mapping[str, Any], manifest: Mapping[str, Any]) -> Made:
    """What the record of a cell says that was made before distributions were written down."""
    identity = task.get("identity", {})
    made: Made = {"metrics": {name: {"version": v} for name, v in manifest.get("metric_versions", {}).items()}}
    for role in ("variant", "dataset"):
        if identity.get(role):
            made[role] = {"id": identity[role], "version": identity.get(f"{role}_version", "")}
    return {role: components for role, components in made.items() if components}
