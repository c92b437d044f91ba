"""benchmark.toml: read, validated, and every mistake in it reported as one sentence with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ganbench.errors import UserError, did_you_mean, shown

DEVICE = r"^(auto|cpu|cuda(:[0-9]{1,4})?)$"
#: More characters than anybody writes: what is longer was given by mistake, and would take long to read.
_LONGEST = 1_000_000
#: A bound for every budget that no computer reaches, so that what is reckoned from it stays a number.
_ENDLESS = 10**12
_FOLDER_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")
#: Windows keeps these for devices, whatever follows the dot and in any case of letters.
_DEVICE_NAME = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
Scalar = bool | int | float | str
Images = Literal["train", "train+test"]
Location = tuple[int | str, ...]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Budget(_Model):
    """How long each cell trains: exactly one unit."""

    generator_updates: int | None = Field(None, gt=0, le=_ENDLESS)
    epochs: float | None = Field(None, gt=0, le=_ENDLESS, allow_inf_nan=False)
    images: int | None = Field(None, gt=0, le=_ENDLESS)
    minutes: float | None = Field(None, gt=0, le=_ENDLESS, allow_inf_nan=False)

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


class ProbeEntry(_Model):
    """A probe with parameters of its own: ``{ name = "inpaint", params = { steps = 500 } }``."""

    name: str
    params: dict[str, Scalar] = {}


class ExecutorEntry(_Model):
    """An executor with parameters of its own: ``{ name = "ray", params = { cpus = 2 } }``."""

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


class Benchmark(_Model):
    """The content of a benchmark file.

    `train_on` and `reference` say which images the GANs learn from and which the distances compare with. `extractors`
    puts another extractor in the place of the one that metrics ask for: ``{ classifier = "hoeckler-mnist" }``.
    `probes` are carried out on the best cell of every variant on every dataset.
    `executor` is where cells run, which is no part of what they are.
    `requires` are bounds on the versions of distributions (PEP 508), `plugins` files and optional plugins to load.
    """

    name: str
    requires: list[str] = []
    plugins: list[str] = []
    seeds: int | list[int] = 1
    budget: Budget
    metrics: list[str] = Field(["cs", "fcd"], min_length=1)
    evaluate: Evaluate = Evaluate()
    rank: Rank = Rank()
    train_on: Images = "train"
    reference: Images = "train"
    extractors: dict[str, str] = {}
    probes: list[str | ProbeEntry] = []
    device: str = Field("auto", pattern=DEVICE)
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    cuda_graphs: bool = True
    executor: str | ExecutorEntry = "process"
    slots_per_gpu: Annotated[int, Field(ge=1, le=100)] | Literal["auto"] = 1
    timeout: Timeout | None = None
    retries: Retries = Retries()
    grid: list[Grid] = Field(min_length=1)

    @field_validator("name")
    @classmethod
    def _is_a_folder_name(cls, name: str) -> str:
        if not _FOLDER_NAME.fullmatch(name):
            rule = "at most 100 letters, digits, dots, hyphens and underscores, a letter or digit first, no dot last"
            raise ValueError(f"name = {shown(name)} is not a folder name of {rule}")
        if _DEVICE_NAME.fullmatch(name):
            raise ValueError(f"name = {name!r} is a device on Windows and cannot name a folder there; choose another")
        return name

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, seeds: int | list[int]) -> int | list[int]:
        if seeds in (0, []):
            raise ValueError("seeds is empty, so there is nothing to train")
        if isinstance(seeds, int):
            if seeds < 0:
                raise ValueError(f"seeds = {shown(seeds)} is less than one; it takes how many there are, or a list")
            return seeds  # not made into a list here: how many are too many is for the plan to say
        seen = set()
        for seed in seeds:
            if not 0 <= seed < 2**31:
                raise ValueError(f"seed {shown(seed)} is not between 0 and 2147483647")
            if seed in seen:
                raise ValueError(f"seed {seed} is there twice; leave one")
            seen.add(seed)
        return seeds

    @property
    def executor_name(self) -> str:
        return self.executor if isinstance(self.executor, str) else self.executor.name

    @property
    def seed_list(self) -> list[int]:
        return list(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds


class Source:
    """The text of a benchmark file, able to say on which line something stands."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text
        self._lines = text.split("\n")  # not splitlines, to which other characters too end a line

    def error(self, message: str, location: Location = (), value: str = "") -> UserError:
        """A `UserError` that begins with the file and, where it can be told, the line (of `value` in a list)."""
        line = self.line_of_value(value, location) if value else self.line(location)
        return UserError(f"{self.path}{f', line {line}' if line else ''}: {message}")

    def line(self, location: Location) -> int | None:
        """The line of a key such as ``("grid", 1, "params", "batch_size")``, or None.

        tomllib keeps no positions, so this looks for the keys' text: below the right ``[[table]]`` header, the first
        line where the table, from there the first where the key, or a dotted or inline form that ends in it, is
        assigned; where a key is not found, the line of its parent.
        """
        lines = self._lines
        start, end, keys = 0, len(lines), list(location)
        if len(keys) >= 2 and isinstance(keys[1], int):
            headers = [i for i, line in enumerate(lines) if re.match(rf"\s*\[\[\s*{keys[0]}\s*\]\]", line)]
            if keys[1] < len(headers):  # else an inline list: its tables have no headers
                start, end = [*headers, end][keys[1] : keys[1] + 2]
                keys = keys[2:]
        found = start + 1 if start else None
        if keys and isinstance(keys[-1], int):
            keys.pop()  # an entry of a list has no key
        for depth, key in enumerate(keys):
            if isinstance(key, int):
                # Rows of `configs` hold no tables, so each begins with the next brace, or with a header.
                rows = [i for i in range(start, end) for _ in re.findall(r"\{|\[\[", lines[i].partition("#")[0])]
                if keys[depth - 1] == "configs" and key < len(rows):
                    start, found = rows[key], rows[key] + 1
                continue
            # From the line of its table on, for other tables may have a key of the same name. A table begins a line.
            before = r"(^|[\s.{,\[\"'])" if depth else r"^\s*(\[+([^\]=]*[\s.\"'])?)?[\"']?"
            pattern = re.compile(rf"{before}{re.escape(key)}[\"']?\s*(=|\]|\.)")
            for i, line in enumerate(lines[start:end], start):
                if pattern.search(line.partition("#")[0]):
                    start, found = i, i + 1
                    break
        return found

    def line_of_value(self, value: str, location: Location) -> int | None:
        """The line of a string inside the list at `location`, or that of the list."""
        first = self.line(location)
        if first is None:
            return None
        for i, line in enumerate(self._lines[first - 1 :], first):
            if f'"{value}"' in line or f"'{value}'" in line:
                return i
        return first


def read(path: Path) -> tuple[Benchmark, Source]:
    """The benchmark in `path`. Raises `UserError` when the file cannot be read or is not one."""
    give = "give the path of a benchmark.toml"
    try:
        with path.open(encoding="utf-8-sig") as file:  # with or without the byte order mark of Windows editors
            text = file.read(_LONGEST + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}); {give}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8; save it as one, or {give}") from error
    if len(text) > _LONGEST:
        raise UserError(f"{path} is longer than a benchmark file can be ({_LONGEST:,} characters); {give}")
    source = Source(path, text)
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise UserError(f"{path} is not valid TOML: its brackets are nested too deeply; is one left open?") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid TOML: {_toml_mistake(error)}") from None
    return validate(content, source), source


#: How tomllib begins to say what is wrong, and our words where a user needs others.
_TOML_WORDS = {
    "Cannot ": "a key or table is there twice",  # declare, mutate, overwrite or redefine it
    "Duplicate ": "a key is there twice",
    "Illegal character '\\n'": "a quote is not closed",
    "Invalid value": "a value is missing or is none (texts need quotes; yes and no are true and false)",
}


def _toml_mistake(error: ValueError) -> str:
    """What tomllib found wrong, and where."""
    if not isinstance(error, tomllib.TOMLDecodeError):  # Python's limit on the conversion of integers
        return "a number in it has too many digits"
    message = str(error)
    words = next((words for start, words in _TOML_WORDS.items() if message.startswith(start)), None)
    return words + message[message.rindex(" (at ") :] if words else message


def validate(content: Mapping[str, Any], source: Source) -> Benchmark:
    """The parsed file as a `Benchmark`. Raises `UserError` with the line of the first mistake."""
    try:
        return Benchmark.model_validate(content)
    except ValidationError as error:
        location, details = _first(error, content)
        missing = details[0]["type"] == "missing"
        raise source.error(_sentence(location, details), location[:-1] if missing else location) from None


def _first(error: ValidationError, content: Mapping[str, Any]) -> tuple[Location, list[Any]]:
    """The mistake to report: its place, and what every member of a union says that the value there might have been."""
    places: dict[Location, list[Any]] = {}
    for detail in error.errors(include_url=False):
        places.setdefault(_place(detail, content), []).append(detail)
    # Unknown keys first: a misspelt key is the cause of the missing one that is also reported.
    first = min(places, key=lambda place: places[place][0]["type"] != "extra_forbidden")
    for place in places:
        # Of a union, the member that found fault with a part of the value is the one that was meant.
        if len(place) > len(first) and place[: len(first)] == first:
            first = place
    return first, places[first]


def _place(detail: Any, content: Any) -> Location:
    """The location of a mistake without what pydantic put into it to name members of unions."""
    place: list[int | str] = []
    for part in detail["loc"]:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            continue
        place.append(part)
    return (*place, detail["loc"][-1]) if detail["type"] == "missing" else tuple(place)


#: What a key takes, by pydantic's name for the mistake.
_WANTED = {
    "bool_type": "true or false",
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "a text in quotes",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "finite_number": "a finite number",
    "greater_than": "greater than {gt:.15g}",
    "greater_than_equal": "at least {ge:.15g}",
    "less_than": "less than {lt:.15g}",
    "less_than_equal": "at most {le:.15g}",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "auto, cpu, cuda or cuda:N",
    "too_short": "a list with at least one entry",
}
_EXAMPLES = {
    "name": 'name = "mine"',
    "budget": "budget = { epochs = 10 }",
    "requires": 'requires = ["ganbench>=0.1"]',
    "plugins": 'plugins = ["./my_gan.py"]',
    "grid": "a [[grid]] with variants and datasets",
    "grid.variants": 'variants = ["dcgan", "wgan-gp"]',
    "grid.datasets": 'datasets = ["mnist"]',
    "grid.datasets.name": 'name = "folder:PATH"',
}


def _sentence(location: Location, details: Sequence[Any]) -> str:
    name, kind, given = _dotted(location), details[0]["type"], details[0]["input"]
    if kind == "extra_forbidden":
        return _unknown(name, location)
    if kind == "missing":
        return f"{name!r} is missing; write for example {_EXAMPLES.get(name, name)}"
    if kind == "value_error":
        return str(details[0]["ctx"]["error"])
    if name == "grid" and isinstance(given, dict):
        return "[grid] is one table, and there can be several; write [[grid]] in double brackets"
    *most, last = dict.fromkeys(map(_wanted, details))
    wanted = f"{', '.join(most)} or {last}" if most else last
    if isinstance(location[-1], int):
        return f"{name} holds {shown(given)}, and each entry should be {wanted}"
    example = f", such as {_EXAMPLES[name]}" if name in _EXAMPLES else ""
    return f"{name} = {shown(given)} is not admissible: it should be {wanted}{example}"


def _wanted(detail: Any) -> str:
    if detail["type"] in _WANTED:
        return _WANTED[detail["type"]].format(**detail.get("ctx", {}))
    return str(detail["msg"]).removeprefix("Input should be ")


def _unknown(name: str, location: Location) -> str:
    key, known = str(location[-1]), _keys(location[:-1])
    hint = did_you_mean(key, known)
    if len(location) == 1 and key in Grid.model_fields:
        hint = f"; {key!r} belongs below [[grid]]"
    elif len(location) > 1 and key in Benchmark.model_fields:
        hint = f"; {key!r} belongs above the first [table]"
    return f"unknown key {name!r}{hint} (known here: {', '.join(known)})"


def _dotted(location: Sequence[int | str]) -> str:
    return ".".join(part for part in location if isinstance(part, str)) if location else "the file"


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
        "executor": ExecutorEntry,
    }
    names = [part for part in location if isinstance(part, str)]
    return list(models[names[-1]].model_fields if names else Benchmark.model_fields)
