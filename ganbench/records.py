"""What the records of a results folder must be for the report to rely on them, wherever the folder came from.

Keys that are not named here may hold anything: newer versions write more. Scores may be infinite or not a number.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError, core_schema

from ganbench.errors import UserError
from ganbench.store import Record, Status, Store

_LARGEST = 2**53  # the largest number up to which every integer is a float too
_LARGEST_SCORE = 1e150  # its square, and so its variance over seeds, is a number still


def _score(value: float) -> float:
    if math.isfinite(value) and abs(value) > _LARGEST_SCORE:
        raise PydanticCustomError("score", "Input should be a number whose square is finite, or infinite")
    return value


class _Scalar:
    """What a parameter can be. In pydantic's own terms, since a function of ours would be called for each of them."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        members = [
            # JSON can name halves of characters, which no file can hold; only with a limit are they refused.
            core_schema.str_schema(max_length=2**28, strict=True),
            core_schema.float_schema(allow_inf_nan=False, strict=True),  # which takes integers too
            core_schema.bool_schema(strict=True),
        ]
        said = "Input should be a finite number, a text, or true or false"
        choice = core_schema.union_schema([*members], mode="left_to_right")
        return core_schema.custom_error_schema(choice, custom_error_type="scalar", custom_error_message=said)


#: With a limit, because only then pydantic refuses halves of characters, as in `_Scalar`.
Text = Annotated[str, Field(max_length=100_000)]
Name = Annotated[str, Field(min_length=1, max_length=300)]
#: The names of metrics stand in headings, plots and file names, so they are as plain as those that plugins register.
Metric = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,99}$")]
#: The names of probes and of what they find, which are names of files too.
_SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
#: Longer, since the name of a dataset can end in the path of a folder.
DatasetName = Annotated[str, Field(min_length=1, max_length=5000)]
Count = Annotated[int, Field(ge=0, le=_LARGEST)]
Amount = Annotated[float, Field(ge=0, le=_LARGEST)]
Number = Annotated[float, Field(ge=0, le=_LARGEST_SCORE)]
Score = Annotated[float, AllowInfNan(True), AfterValidator(_score)]
Scalar = Annotated[Any, _Scalar]
Kind = Literal["cell", "reference"]
#: Stands for what a record lacks: records are only checked, and to copy an empty one takes as long as a check.
_ABSENT: Any = None


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class Budget(_Record):
    unit: Literal["generator_updates", "epochs", "images", "minutes"]
    amount: Amount


class Evaluate(_Record):
    times: Count = 0
    samples: Count


class Ranking(_Record):
    metric: Metric
    at: Literal["best", "last"]


class Direction(_Record):
    direction: Literal["lower", "higher"]


class _Conditions(_Record):
    """What a cell's task says, else the plan's word on the cell, else the run's."""

    budget: Budget | None = None
    evaluate: Evaluate | None = None
    precision: Name | None = None


class Made(_Record):
    """Which component of which distribution stands behind a number; older records know less of it."""

    id: DatasetName | None = None
    version: Text | None = None
    distribution: Text | None = None
    distribution_version: Text | None = None


class MadeBy(_Record):
    """The same for all components of a unit."""

    variant: Made | None = None
    dataset: Made | None = None
    metrics: dict[Metric, Made] = _ABSENT
    extractors: dict[Name, Made] = _ABSENT


class Planned(_Record):
    """The same by name, for cells that have no record of their own yet."""

    variants: dict[Name, Made] = _ABSENT
    datasets: dict[DatasetName, Made] = _ABSENT
    metrics: dict[Metric, Made] = _ABSENT


class Outline(_Conditions):
    """What ``run.json`` says of a cell."""

    key: Name
    variant: Name
    dataset: DatasetName
    seed: Count
    params: dict[Name, Scalar]
    symbols: dict[Name, Text]
    labels: dict[Name, Text] = _ABSENT
    overrides: dict[Name, Scalar]
    skip: Text | None = None


class Run(_Conditions):
    """``run.json``."""

    name: Name
    rank: Ranking
    metrics: dict[Metric, Direction]
    cells: dict[str, Outline]
    train_on: Text | None = None
    components: Planned = _ABSENT

    @model_validator(mode="after")
    def _keys_are_distinct(self) -> Run:
        if len({cell.key for cell in self.cells.values()}) < len(self.cells):
            raise PydanticCustomError("keys", "Input should have another key for every cell")
        return self


class Identity(_Record):
    protocol: int | None = None
    variant: Name | None = None
    variant_version: Text = ""
    dataset: DatasetName | None = None
    dataset_version: Text = ""


class CellTask(_Conditions):
    """``cell.json``."""

    unit: Literal["cell"]
    key: Name
    variant: Name
    dataset: DatasetName
    seed: Count
    params: dict[Name, Scalar]
    identity: Identity = _ABSENT


class ReferenceTask(_Record):
    """``task.json``."""

    unit: Literal["reference"]
    dataset: DatasetName
    metrics: dict[Metric, Text] = _ABSENT
    extractors: dict[Name, Text] = _ABSENT
    reference: Text | None = None


class Event(_Record):
    """A line of ``events.jsonl``, and `best` and `last` of a manifest."""

    event: Literal["evaluation"] = "evaluation"
    generator_updates: Count
    images: Count
    epochs: Amount
    seconds: Amount
    metrics: dict[Metric, Score]


class Seconds(_Record):
    total: Amount | None = None
    train: Amount | None = None
    evaluate: Amount | None = None


class Speed(_Record):
    """What `ganbench.counters` counted of a cell."""

    machine: Text = ""
    images_per_second: Number | None = None
    updates_per_second: Number | None = None
    flops_per_round: Number | None = None
    flops_per_image: Number | None = None
    flops_per_second: Number | None = None
    train_share: Number | None = None
    evaluate_share: Number | None = None
    checkpoint_share: Number | None = None
    data_share: Number | None = None
    rest_share: Number | None = None
    host_bytes: Number | None = None
    device_bytes: Number | None = None


class _Manifest(_Record):
    status: Status
    reason: Text | None = None
    attempt: Count = 0
    seconds: Seconds = _ABSENT
    unavailable: dict[Metric, Text] = _ABSENT
    inapplicable: dict[Metric, Text] = _ABSENT
    pid: Count | None = None
    host: Text | None = None
    cause: Text | None = None
    files: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] | None = None
    seal: Text | None = None
    code: dict[str, Text] | None = None
    components: MadeBy = _ABSENT


Share = Annotated[float, Field(ge=0, le=1)]


class Classes(_Record):
    """Shares per class among the samples of a cell and in its training data."""

    samples: list[Share] = []
    train: list[Share] = []

    @model_validator(mode="after")
    def _are_of_the_same_classes(self) -> Classes:
        if len(self.samples) != len(self.train):
            raise PydanticCustomError("classes", "Input should have as many samples as train")
        return self


class CellManifest(_Manifest):
    """``manifest.json`` of a cell."""

    generator_updates: Count | None = None
    images: Count | None = None
    epochs: Amount | None = None
    conditional: bool = False
    metric_versions: dict[Metric, Text] = _ABSENT
    speed: Speed | None = None
    classes: Classes | None = None
    best: Event | None = None
    last: Event | None = None
    last_evaluation: Event | None = None

    @model_validator(mode="after")
    def _done_has_its_scores(self) -> CellManifest:
        for point in ("best", "last"):
            if self.status == "done" and getattr(self, point) is None:
                raise PydanticCustomError("done", "Input should have {point}, as its status is done", {"point": point})
        return self


class Extractor(_Record):
    test_accuracy: float | None = None
    hash: Text | None = None


class Real(_Record):
    value: Score
    samples: Count


class ReferenceManifest(_Manifest):
    """``manifest.json`` of a dataset made ready."""

    shape: Annotated[list[Count], Field(min_length=1, max_length=3)] | None = None
    classes: Count | None = None
    train: Count | None = None
    test: Count | None = None
    fingerprint: Text | None = None
    extractors: dict[Name, Extractor] | None = None
    real: dict[Metric, Real] = _ABSENT
    baselines: dict[Name, dict[Metric, Real]] = _ABSENT


class Probed(_Record):
    """``task.json`` and ``manifest.json`` of a probe as one: what a report shows of it."""

    name: Annotated[str, Field(pattern=_SLUG)]
    params: dict[Name, Scalar] = {}
    snapshot: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    status: Status
    reason: Text | None = None
    finished: Text | None = None
    numbers: Annotated[dict[Annotated[str, Field(pattern=_SLUG)], Score], Field(max_length=200)] = {}
    pictures: Annotated[list[Annotated[str, Field(pattern=_SLUG)]], Field(max_length=50)] = []
    note: Text = ""


def joined(task: Record, manifest: Record) -> Record:
    """``task.json`` and ``manifest.json`` of a probe as one record of the form of `Probed`, not checked."""
    about, identity = (known if isinstance(known, dict) else {} for known in map(task.get, ("probe", "identity")))
    defaults: Record = {"reason": None, "finished": None, "numbers": {}, "pictures": [], "note": ""}
    return {
        "name": about.get("name"),
        "params": about.get("params", {}),
        "snapshot": identity.get("snapshot"),
        "status": manifest.get("status"),
        **{name: manifest.get(name, default) for name, default in defaults.items()},
    }


def check_probed(record: object) -> str:
    """What is wrong with the record of a probe as `joined` makes it; empty when nothing is."""
    return _wrong(Probed, record)


class ScoredValue(_Record):
    value: Score
    version: Text
    extractor: Name | None = None
    hash: Text | None = None


class Scored(_Record):
    """A record below ``scored/``."""

    name: Name
    dataset: DatasetName
    fingerprint: Text
    reference: Text
    source: Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    samples: Count
    resized: Count = 0
    metrics: dict[Metric, ScoredValue]


def check_run(record: object) -> str:
    """What is wrong with the content of ``run.json``; empty when it is fit to be reported on."""
    if isinstance(record, dict) and _all_outlines(record.get("cells")):
        record = {**record, "cells": {}}
    return _wrong(Run, record)


def _all_outlines(cells: object) -> bool:
    """Whether they are the cells of a `Run`. One by one, for checked together 100,000 of them are copied first."""
    if not isinstance(cells, dict) or not all(isinstance(name, str) for name in cells):
        return False
    is_outline = Outline.__pydantic_validator__.isinstance_python
    return all(map(is_outline, cells.values())) and len({cell["key"] for cell in cells.values()}) == len(cells)


def sound_run(store: Store) -> Record:
    """The content of the folder's ``run.json``. Raises `UserError` where there is none, or it is damaged."""
    run = store.run()
    if wrong := check_run(run):
        raise UserError(f"{store.place} has a damaged run.json: {wrong}; `ganbench doctor DIR` shows more")
    return run


def check_task(record: object, unit: Kind | None = None) -> str:
    """The same of ``cell.json`` and of ``task.json``; which one it should be says `unit`, else its own `unit`."""
    says_so = isinstance(record, dict) and record.get("unit") == "reference"
    return _wrong(ReferenceTask if (unit == "reference" if unit else says_so) else CellTask, record)


def check_manifest(record: object, unit: Kind | None = None) -> str:
    """The same of ``manifest.json``; without `unit` it is taken for a dataset's when it has a `shape`."""
    looks_so = isinstance(record, dict) and "shape" in record
    return _wrong(ReferenceManifest if (unit == "reference" if unit else looks_so) else CellManifest, record)


def check_scored(record: object) -> str:
    """The same of a record below ``scored/``."""
    return _wrong(Scored, record)


def check_event(record: object) -> str:
    """The same of one line of ``events.jsonl``."""
    return _wrong(Event, record)


class _Plain(Event):
    """An event whose scores are all finite, which is told without a function of ours."""

    metrics: dict[Metric, Annotated[float, Field(ge=-_LARGEST_SCORE, le=_LARGEST_SCORE)]]


def all_events(records: object) -> bool:
    """Whether it is plain that `check_event` finds nothing wrong with any of them: quicker than one by one."""
    return _EVENTS.validator.isinstance_python(records)


_EVENTS = TypeAdapter(list[_Plain])


def _wrong(model: type[_Record], record: object) -> str:
    """The first mistake as one short sentence in printable characters."""
    if not isinstance(record, dict):
        return "it is not a JSON object"
    try:
        model.model_validate(record)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in detail["loc"]) or "it"
        _, _, wanted = detail["msg"].partition(" should ")  # "Input should be a valid number"
        sentence = f"{where} is missing" if detail["type"] == "missing" else f"{where} should {wanted}"
        shown = sentence if len(sentence) <= 200 else f"{sentence[:100]} … {sentence[-99:]}"
        return "".join(c if c.isprintable() else "?" for c in shown)
    return ""
