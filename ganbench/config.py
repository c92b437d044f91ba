"""benchmark.toml: read, validated, and every mistake in it reported as one sentence with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ganbench.errors import UserError, did_you_mean

DEVICE = r"^(auto|cpu|cuda(:\d+)?)$"
Scalar = bool | int | float | str
Images = Literal["train", "train+test"]
Location = tuple[int | str, ...]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Budget(_Model):
    """How long each cell trains: exactly one unit."""

    generator_updates: int | None = Field(None, gt=0)
    epochs: float | None = Field(None, gt=0, allow_inf_nan=False)
    images: int | None = Field(None, gt=0)
    minutes: float | None = Field(None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _exactly_one(self) -> Budget:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("budget takes exactly one of generator_updates, epochs, images, minutes")
        return self

    @property
    def unit(self) -> str:
        return next(iter(self.model_dump(exclude_none=True)))

    @property
    def amount(self) -> float:
        return next(iter(self.model_dump(exclude_none=True).values()))


class Evaluate(_Model):
    """How often, at even points of the budget, and on how many samples each cell is scored."""

    times: int = Field(default=10, ge=1, le=10_000)
    samples: int = Field(default=10_000, ge=2, le=10_000_000)


class Timeout(_Model):
    """How long an attempt at a cell may take by the clock, evaluation included. No part of what a cell is."""

    minutes: float = Field(gt=0, allow_inf_nan=False)


class Retries(_Model):
    """How often a cell is tried again within a run, by what became of it; `lost`: its process was killed from outside.

    What failed starts anew, the others go on from their last checkpoint.
    """

    lost: int = Field(default=1, ge=0, le=100)
    oom: int = Field(default=0, ge=0, le=100)
    timeout: int = Field(default=0, ge=0, le=100)
    failed: int = Field(default=0, ge=0, le=100)


class Rank(_Model):
    """The metric that leaderboards are sorted by, at the best (scored again) or the last evaluation."""

    metric: str = "fcd"
    at: Literal["best", "last"] = "best"


class DatasetEntry(_Model):
    """A dataset with parameters of its own: ``{ name = "folder:pictures", params = { size = 64 } }``."""

    name: str
    params: dict[str, Scalar] = {}


class Grid(_Model):
    """Variants x datasets x the product of `params` (a list is swept, a scalar is fixed) x `configs` (exact rows).

    `budget` and `evaluate` stand in for those of the whole file.
    """

    variants: list[str] = Field(min_length=1)
    datasets: list[str | DatasetEntry] = Field(min_length=1)
    params: dict[str, Scalar | list[Scalar]] = {}
    configs: list[dict[str, Scalar]] = Field([{}], min_length=1)
    budget: Budget | None = None
    evaluate: Evaluate | None = None

    @field_validator("params")
    @classmethod
    def _no_empty_list(cls, params: dict[str, Scalar | list[Scalar]]) -> dict[str, Scalar | list[Scalar]]:
        for name, values in params.items():
            if values == []:
                raise ValueError(f"params.{name} is an empty list, so the grid has no cells")
        return params


class Benchmark(_Model):
    """The content of a benchmark file.

    `train_on` and `reference` say which images the GANs learn from and which the distances compare with. `extractors`
    puts another extractor in the place of the one that metrics ask for: ``{ classifier = "hoeckler-mnist" }``.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    seeds: int | list[int] = 1
    budget: Budget
    metrics: list[str] = Field(["cs", "fcd"], min_length=1)
    evaluate: Evaluate = Evaluate()
    rank: Rank = Rank()
    train_on: Images = "train"
    reference: Images = "train"
    extractors: dict[str, str] = {}
    device: str = Field("auto", pattern=DEVICE)
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    slots_per_gpu: int = Field(default=1, ge=1, le=100)
    timeout: Timeout | None = None
    retries: Retries = Retries()
    grid: list[Grid] = Field(min_length=1)

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, seeds: int | list[int]) -> int | list[int]:
        wanted = list(range(seeds)) if isinstance(seeds, int) else seeds
        if not wanted:
            raise ValueError("seeds is empty, so there is nothing to train")
        for seed in wanted:
            if not 0 <= seed < 2**31:
                raise ValueError(f"seed {seed} is not between 0 and 2147483647")
            if wanted.count(seed) > 1:
                raise ValueError(f"seed {seed} is there twice")
        return seeds

    @model_validator(mode="after")
    def _ranked_metric_is_measured(self) -> Benchmark:
        if self.rank.metric not in self.metrics:
            raise ValueError(f"rank.metric is {self.rank.metric!r}, which is not among the metrics {self.metrics}")
        return self

    @property
    def seed_list(self) -> list[int]:
        return list(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds


class Source:
    """The text of a benchmark file, able to say on which line something stands."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text

    def error(self, message: str, location: Location = (), value: str = "") -> UserError:
        """A `UserError` that begins with the file and, where it can be told, the line (of `value` in a list)."""
        line = self.line_of_value(value, location) if value else self.line(location)
        return UserError(f"{self.path}{f', line {line}' if line else ''}: {message}")

    def line(self, location: Location) -> int | None:
        """The line of a key such as ``("grid", 1, "params", "batch_size")``, or None.

        tomllib keeps no positions, so this looks for the key's text: below the right ``[[table]]`` header, the first
        line where the key, or a dotted or inline form that ends in it, is assigned; else the line of its parent.
        """
        lines = self.text.splitlines()
        start = 0
        keys = list(location)
        if len(keys) >= 2 and isinstance(keys[1], int):
            headers = [i for i, line in enumerate(lines) if re.match(rf"\s*\[\[\s*{keys[0]}\s*\]\]", line)]
            if keys[1] >= len(headers):
                return None
            start, keys = headers[keys[1]], keys[2:]
        named = [str(key) for key in keys if isinstance(key, str)]
        for depth in range(len(named), 0, -1):
            pattern = re.compile(rf"(^|[\s.{{,\[\"']){re.escape(named[depth - 1])}[\"']?\s*(=|\]|\.)")
            for i, line in enumerate(lines[start:], start):
                if i > start and line.lstrip().startswith("[[") and start:
                    break
                if pattern.search(line.partition("#")[0]):
                    return i + 1
        return start + 1 if start else None

    def line_of_value(self, value: str, location: Location) -> int | None:
        """The line of a string inside the list at `location`, or that of the list."""
        first = self.line(location)
        if first is None:
            return None
        for i, line in enumerate(self.text.splitlines()[first - 1 :], first):
            if f'"{value}"' in line or f"'{value}'" in line:
                return i
        return first


def read(path: Path) -> tuple[Benchmark, Source]:
    """The benchmark in `path`. Raises `UserError` when the file cannot be read or is not one."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give the path of a benchmark.toml") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8; give the path of a benchmark.toml") from error
    source = Source(path, text)
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    return validate(content, source), source


def validate(content: Mapping[str, Any], source: Source) -> Benchmark:
    """The parsed file as a `Benchmark`. Raises `UserError` with the line of the first mistake."""
    try:
        return Benchmark.model_validate(content)
    except ValidationError as error:
        # Unknown keys first: a misspelt key is the cause of the missing one that is also reported.
        details = sorted(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
        detail = details[0]
        location = tuple(part for part in detail["loc"] if not _is_type_tag(part))
        raise source.error(_sentence(detail, location), location) from None


def _is_type_tag(part: int | str) -> bool:
    """Whether pydantic put `part` into a location to name a member of a union; no key of ours looks like that."""
    return isinstance(part, str) and (part in ("bool", "int", "float", "str", "DatasetEntry") or "[" in part)


def _sentence(detail: Any, location: Location) -> str:
    name = _dotted(location)
    kind, given = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        known = _keys(location[:-1])
        return f"unknown key {name!r}{did_you_mean(str(location[-1]), known)} (known here: {', '.join(known)})"
    if kind == "missing":
        return f"{name!r} is missing"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if location == ("name",) and kind == "string_pattern_mismatch":
        return f"name = {given!r} is not a folder name of letters, digits, dots, hyphens and underscores"
    message: str = detail["msg"]
    return f"{name} = {_short(given)} is not admissible: {message[0].lower() + message[1:]}"


def _dotted(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location if isinstance(part, str)) or "the file"


def _keys(location: Location) -> list[str]:
    """The keys known in the table at `location`."""
    models: dict[str, type[BaseModel]] = {
        "budget": Budget,
        "evaluate": Evaluate,
        "rank": Rank,
        "timeout": Timeout,
        "retries": Retries,
        "grid": Grid,
        "datasets": DatasetEntry,
    }
    names = [part for part in location if isinstance(part, str)]
    return list(models[names[-1]].model_fields if names else Benchmark.model_fields)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
