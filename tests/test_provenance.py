"""Every record and every row of the tables says which component of which distribution made it; old ones say less."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from test_bad_plugins import records, run

from ganbench import space
from ganbench.plugins import installed
from ganbench.provenance import of_unit
from ganbench.report.files import parquet
from ganbench.store import Store
from ganbench.testing.records import Records

WHAT = ("id", "version", "distribution", "distribution_version")


def made(name: str, distribution: str = "acme", version: str = "0.2") -> dict[str, str]:
    return dict(zip(WHAT, (f"acme/{name}", "3", distribution, version), strict=True))


COMPONENTS = {
    "variant": made("gan"),
    "dataset": made("data"),
    "metrics": {"fcd": made("fcd"), "cs": made("cs")},
    "extractors": {"classifier": made("classifier")},
}


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Store:
    folder = tmp_path_factory.mktemp("provenance")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANBENCH_DATA", str(data_root))
        patch.setattr(space, "estimate", lambda *arguments: None)
        assert run(folder) == {"done": 1}
    assert records(folder)
    return Store(folder / "results/mini")


def ours(id: str) -> dict[str, str]:
    return dict(zip(WHAT, (id, "1", "ganbench", "0.1.0"), strict=True))


def test_a_cell_and_a_dataset_say_what_they_are_made_by(mini: Store) -> None:
    (cell,) = mini.cells()
    parts: dict[str, Any] = {
        "dataset": ours("data/digits"),
        "metrics": {name: ours(f"metrics/{name}") for name in ("cs", "fcd")},
        "extractors": {"classifier": ours("metrics/classifier")},
    }
    assert cell.manifest["components"] == {"variant": ours("gans/mlp-gan"), **parts}
    assert mini.reference("digits").manifest["components"] == parts
    assert "components" not in cell.task
    names = mini.run()["components"]
    assert names["variants"] == {"mlp-gan": ours("gans/mlp-gan")}
    assert set(names) == {"variants", "datasets", "metrics"}


def test_every_row_of_the_tables_says_it_too(mini: Store) -> None:
    tables = mini.tables()
    path = mini.root / "results.parquet"
    path.write_bytes(parquet(tables))
    rows = pd.read_parquet(path)
    assert len(rows) == 8
    for role, id in (("variant", "gans/mlp-gan"), ("dataset", "data/digits")):
        assert {tuple(row) for row in rows[[f"{role}_{what}" for what in WHAT]].to_numpy()} == {
            tuple(ours(id).values())
        }
    assert all(rows["metric_id"] == "metrics/" + rows["metric"])
    assert set(rows["metric_distribution_version"]) == {"0.1.0"}
    references = tables.references
    assert all(references["metric_id"] == "metrics/" + references["metric"])
    assert set(references["metric_version"]) == {"1"}
    assert tables.datasets["components"][0]["dataset"] == ours("data/digits")


def test_records_from_before_say_what_they_can(tmp_path: Path) -> None:
    old = Records(tmp_path)
    identity = {"protocol": 1, "variant": "gans/dcgan", "variant_version": "2", "dataset": "data/digits"}
    old.cell("dcgan", 0, {"fcd": 1.0, "cs": 2.0}, task={"identity": identity}, metric_versions={"fcd": "4"})
    old.cell("wgan", 0, None, status="failed", reason="no")
    old.dataset(real={"fcd": 0.1})
    tables = old.written().tables()
    first, second = tables.cells["components"]
    assert first["variant"] == {"id": "gans/dcgan", "version": "2"}
    assert second == {}
    rows = pd.read_parquet(_written(tmp_path, tables)).set_index(["variant", "point", "metric"])
    row = rows.loc[("dcgan", "best", "fcd")]
    assert (row["variant_id"], row["variant_version"], row["metric_version"]) == ("gans/dcgan", "2", "4")
    assert row[["variant_distribution", "metric_id", "metric_distribution_version"]].isna().all()
    assert tables.references["metric_id"].isna().all()


def test_cells_of_several_versions_keep_their_own_and_planned_ones_have_the_plans(tmp_path: Path) -> None:
    study = Records(tmp_path, components={"variants": {"gan": made("gan", version="9")}, "metrics": {"fcd": made("m")}})
    newer = {**COMPONENTS, "metrics": {"fcd": made("fcd", version="0.3")}}
    study.cell("gan", 0, {"fcd": 1.0}, components=COMPONENTS)
    study.cell("gan", 1, {"fcd": 2.0}, components=newer)
    study.cell("gan", 2, None, skip="needs labels")
    tables = study.written().tables()
    rows = pd.read_parquet(_written(tmp_path, tables))
    best = rows[rows["point"] == "best"].set_index("seed")
    assert best["metric_distribution_version"].to_dict() == {0: "0.2", 1: "0.3"}
    skipped = rows[rows["status"] == "skipped"].iloc[0]
    assert (skipped["variant_id"], skipped["variant_distribution_version"]) == ("acme/gan", "9")
    assert pd.isna(skipped["metric_id"])


def test_what_is_the_same_in_many_cells_is_kept_once(tmp_path: Path) -> None:
    study = Records(tmp_path)
    for seed in range(3):
        study.cell("gan", seed, {"fcd": 1.0}, components=COMPONENTS)
    assert len({id(each) for each in study.written().tables().cells["components"]}) == 1


def test_damaged_components_are_a_damaged_record(tmp_path: Path) -> None:
    study = Records(tmp_path)
    study.cell("gan", 0, {"fcd": 1.0}, components={"variant": {"id": ["x"]}})
    (reason,) = study.written().tables().cells["reason"]
    assert reason == "its manifest.json is damaged: components.variant.id should be a valid string"


def test_components_that_are_gone_are_left_out(tmp_path: Path) -> None:
    task = {
        "variant_id": "gone/gan",
        "dataset_id": "data/folder:x",
        "metrics": {"fcd": "1"},
        "extractors": {"a": "b/c"},
    }
    found = of_unit(task, installed())
    assert found == {"dataset": ours("data/folder:x"), "metrics": {"fcd": ours("metrics/fcd")}}


def _written(folder: Path, tables: Any) -> Path:
    path = folder / "rows.parquet"
    path.write_bytes(parquet(tables))
    return path
