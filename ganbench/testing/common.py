"""Checks of components of every kind: what they say of themselves, and what importing them costs."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from ganbench.errors import ParamError
from ganbench.params import Info, Params
from ganbench.testing.cases import Case
from ganbench.testing.outcomes import NotApplicable, Violation

_LONGEST = 140  # characters of a summary


def has_a_summary(case: Case) -> None:
    """The class's own docstring begins with a line that says what it is: `ganbench list` and `show` print it."""
    line, _, rest = (case.cls.__doc__ or "").strip().partition("\n")
    if not line or (rest.strip() and rest.partition("\n")[0].strip()):
        seen = f"the docstring begins with {line!r} and goes on in the next line" if line else "the class has none"
        raise Violation(
            seen,
            wanted="a docstring whose first line is a summary, with an empty line after it",
            do=f"write one below `class {case.cls.__name__}`",
        )
    if len(line) > _LONGEST:
        raise Violation(
            f"the summary has {len(line)} characters",
            wanted=f"at most {_LONGEST}, as it is a line of a table",
            do="shorten it and say the rest below",
        )


def imports_no_torch(case: Case) -> None:
    """Importing the module that registers it and the module of its class imports no torch.

    `ganbench list`, `plan` and shell completion import both; torch would make each of them wait for seconds.
    """
    answers = case.asked
    if answers["error"]:
        raise Violation(
            f"in a new process its modules cannot be imported ({answers['error']})",
            wanted="modules that import by themselves",
            do="import what they need in them, and install them with the package",
        )
    if answers["torch"]:
        raise Violation(
            f"importing {' and '.join(answers['torch'])} imports torch",
            wanted="modules that are light to import",
            do="move `import torch` into the functions that use it (types: below `if TYPE_CHECKING:`)",
        )


def _fields(case: Case) -> dict[str, tuple[type, Any, Info]]:
    params = case.cls.Params
    if not (isinstance(params, type) and issubclass(params, Params) and dataclasses.is_dataclass(params)):
        raise Violation(
            f"Params is {params!r}",
            wanted="a frozen dataclass that is a subclass of ganbench.api.Params",
            do="write `@dataclass(frozen=True) class MyParams(Params)` and `Params = MyParams`",
        )
    if not (fields := params.fields()):
        raise NotApplicable("it has no parameters")
    return fields


def defaults_are_admissible(case: Case) -> None:
    """Every parameter's default is of its type and within its own range, so that the component can be used as it is."""
    for name, (_, default, info) in _fields(case).items():
        try:
            case.cls.Params.resolve({name: default})
        except ParamError as error:
            raise Violation(
                f"the default {default!r} of {name} is refused ({error})",
                wanted=f"a default within its range ({info.range})",
                do="change the default or the range",
            ) from None


def every_parameter_has_a_help_text(case: Case) -> None:
    """Every parameter says what it is: `ganbench show` and the messages about wrong values print it."""
    silent = [name for name, (_, _, info) in _fields(case).items() if not info.help.strip()]
    if silent:
        raise Violation(
            f"no help text for {', '.join(silent)}",
            wanted="one for every parameter",
            do=f'write `{silent[0]}: ... = param(default, "what it is")`',
        )


def params_round_trip_through_json(case: Case) -> None:
    """Parameters are the same after JSON, at their defaults, at each bound and with each choice.

    Cells are stored as JSON, and their keys are hashes of it; workers resolve what they read there.
    """
    for name, (kind, _, info) in _fields(case).items():
        bounds = [kind(bound) for bound in (info.min, info.max) if bound is not None]
        for value in (..., *bounds, *info.choices):
            try:
                params = case.cls.Params.resolve({} if value is ... else {name: value})
            except ParamError as error:
                raise Violation(
                    f"{name} does not take {value!r}, one of its own bounds or choices ({error})",
                    wanted=f"all of its range ({info.range}) to be admissible",
                    do="give bounds and choices of the parameter's type",
                ) from None
            try:
                again = case.cls.Params.resolve(json.loads(json.dumps(params.to_dict())))
            except (TypeError, ValueError, ParamError) as error:
                raise Violation(
                    f"with {name} = {getattr(params, name)!r} they do not come back from JSON ({error})",
                    wanted="parameters that JSON holds",
                    do="use int, float, bool or str, and no computed fields",
                ) from None
            if again != params:
                raise Violation(
                    f"{params!r} comes back from JSON as {again!r}",
                    wanted="the same parameters",
                    do="do not change values in `__post_init__`",
                )
