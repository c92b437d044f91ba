"""Hyper-parameters: frozen dataclasses whose fields know their symbol, range and the paper's value."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, Literal, Self

from ganbench.errors import ParamError, did_you_mean, shown

Value = int | float | bool | str
Notation = Literal["shortest", "decimal", "scientific"]


@dataclasses.dataclass(frozen=True)
class Info:
    """What is known about one parameter beyond its default."""

    help: str
    symbol: str = ""
    min: float | None = None
    max: float | None = None
    choices: tuple[Value, ...] = ()
    paper: Value | None = None
    off: Value | None = None
    notation: Notation = "shortest"

    def label(self, name: str, value: Value) -> str:
        """The parameter in the name of a configuration: ``BS=32``, ``BN=No``, ``η=5e-5``; empty at `off`."""
        if self.off is not None and value == self.off:
            return ""
        return f"{self.symbol or name}={self._text(value)}"

    def _text(self, value: Value) -> str:
        if isinstance(value, bool):
            return "Yes" if value else "No"
        if not isinstance(value, float):
            return str(value)
        if self.notation == "scientific" and value:
            mantissa, exponent = f"{value:.11e}".split("e")
            return f"{float(mantissa):.12g}e{int(exponent)}"
        text = f"{value:.12g}"
        return text + ".0" if self.notation == "decimal" and text.lstrip("-").isdigit() else text

    @property
    def range(self) -> str:
        """The admissible values in words: ``one of normal, uniform``, ``0 to 1``, ``at least 1``."""
        if self.choices:
            return "one of " + ", ".join(str(choice) for choice in self.choices)
        if self.min is not None and self.max is not None:
            return f"{self.min:g} to {self.max:g}"
        if self.min is not None:
            return f"at least {self.min:g}"
        return f"at most {self.max:g}" if self.max is not None else "any"


def param(
    default: Any,
    help: str,
    *,
    symbol: str = "",
    min: float | None = None,
    max: float | None = None,
    choices: tuple[Value, ...] = (),
    paper: Value | None = None,
    off: Value | None = None,
    notation: Notation = "shortest",
) -> Any:
    """Declare one hyper-parameter of a `Params` dataclass.

    `symbol` is its short name on plots (``BS``), `min`, `max` and `choices` its admissible values (bounds included),
    `paper` the value that the variant's paper used, where that differs from or confirms `default`.
    In names of configurations it is left out at `off` (the value that means "not used"), and floats are written in
    `notation`: 0.0005, 2 (``shortest``), 0.0005, 2.0 (``decimal``) or 5e-4, 2e0 (``scientific``).
    """
    info = Info(help, symbol, min, max, choices, paper, off, notation)
    return dataclasses.field(default=default, metadata={"ganbench": info})


@dataclasses.dataclass(frozen=True)
class Params:
    """Base of all parameter dataclasses. Subclasses are frozen dataclasses whose fields are made by `param`."""

    @classmethod
    def fields(cls) -> dict[str, tuple[type, Any, Info]]:
        """Name -> (type, default, `Info`), in the order of definition."""
        return dict(_fields(cls))

    @classmethod
    def resolve(cls, values: Mapping[str, Any], *, owner: str = "") -> Self:
        """Defaults overridden by `values`, each checked for name, type and range.

        Raises `ParamError` naming the parameter, what is wrong with it, its range and the paper's value.
        """
        fields, of = _fields(cls), f" of {owner}" if owner else ""
        checked = {}
        for name, value in values.items():
            if name not in fields:
                known = ", ".join(fields) or "none"
                unknown = f"unknown parameter {name!r}{of}{did_you_mean(name, fields)} (known: {known})"
                raise ParamError(name, unknown)
            kind, default, info = fields[name]
            checked[name] = _check(name, of, value, kind, default, info)
        return cls(**checked)

    def to_dict(self) -> dict[str, Value]:
        """The values by name, ready for JSON."""
        return {name: getattr(self, name) for name in _fields(type(self))}

    def labels(self) -> dict[str, str]:
        """Each parameter as names of configurations show it (``BS=32``); empty where it is left out of them."""
        values = self.to_dict()
        return {name: info.label(name, values[name]) for name, (_, _, info) in _fields(type(self)).items()}


_Fields = dict[str, tuple[type, Any, Info]]
_known: dict[type, _Fields] = {}  # a class does not change, and its type hints take long to work out


def _fields(cls: type[Params]) -> _Fields:
    if cls not in _known:
        types = typing.get_type_hints(cls)
        _known[cls] = {
            field.name: (types[field.name], field.default, field.metadata.get("ganbench", Info("")))
            for field in dataclasses.fields(cls)
        }
    return _known[cls]


def _check(name: str, of: str, value: Any, kind: type, default: Any, info: Info) -> Value:
    """`value` as `kind`, or a `ParamError`. An integer is taken where a float is wanted, never the reverse."""
    # An integer beyond 64 bits fits nowhere: neither float nor the tables of results hold it.
    large = isinstance(value, int) and abs(value) >= 2**63
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and not large:
        value = float(value)
    fits = not large and isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if fits and info.choices:
        fits = value in info.choices
    if fits and kind in (int, float):
        # Written so that NaN, which compares false with everything, does not fit.
        fits = (info.min is None or value >= info.min) and (info.max is None or value <= info.max)
        fits = fits and abs(value) != float("inf")
    if fits:
        return typing.cast(Value, value)
    wanted = info.range if info.choices else f"{kind.__name__}, {info.range}"
    paper = f"; the paper uses {info.paper!r}" if info.paper is not None else ""
    raise ParamError(
        name, f"{name}{of} = {shown(value)} is not admissible: it takes {wanted} (default {default!r}{paper})"
    )
