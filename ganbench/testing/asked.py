"""What can only be seen in a process of its own: what a component's modules import, and what is there without torch.

``python -m ganbench.testing.asked`` reads a question (JSON) from its standard input and prints the answers.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MARK = "ganbench-asked:"
_PATIENCE = 300.0  # seconds: a dataset is loaded there


def ask(cls: type[Any], plugin: str, **question: Any) -> dict[str, Any]:
    """Put a question about a component to a new process, in which strings have other hashes and torch is not imported.

    The answers: ``error`` (why its modules could not be imported, empty if they could), ``torch`` (which of them import
    torch), and those of the function of this module that `question` names as ``then``.
    """
    question |= {"path": sys.path, "plugin": _place(plugin), "module": _place(cls.__module__), "cls": cls.__qualname__}
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    command = [sys.executable, "-m", "ganbench.testing.asked"]
    try:
        done = subprocess.run(
            command, input=json.dumps(question), capture_output=True, text=True, timeout=_PATIENCE, env=environment
        )
    except subprocess.TimeoutExpired:
        return {"error": f"a new process did not import it within {_PATIENCE:.0f} s", "torch": []}
    _, found, answer = done.stdout.rpartition(_MARK)
    if not found:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        return {"error": f"a new process ended with code {done.returncode}: {last}", "torch": []}
    answers: dict[str, Any] = json.loads(answer)
    return answers


def _place(module: str) -> dict[str, str]:
    """A module, and where it lies should it not be found by its name."""
    return {"name": module, "file": str(getattr(sys.modules.get(module), "__file__", None) or "")}


def _import(place: Mapping[str, str]) -> Any:
    """Import a module by its name, else (``__main__``, a file that is a plugin) from its file."""
    name, file = place["name"], place["file"]
    try:
        if name != "__main__":
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name or not file:
            raise
    name = "_asked_main" if name == "__main__" else name
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _answers(question: dict[str, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = {"error": "", "torch": []}
    sys.path[:] = question["path"]
    found: Any = None
    for place in (question["plugin"], question["module"]):
        if place["name"]:
            before = "torch" in sys.modules
            try:
                found = _import(place)
            except Exception as error:
                return {**answers, "error": f"{place['name']}: {type(error).__name__}: {error}"}
            if "torch" in sys.modules and not before:
                answers["torch"].append(place["name"])
    for name in question["cls"].split("."):
        found = getattr(found, name, None)
    if found is None:
        return {**answers, "error": f"{question['module']['name']} has no {question['cls']}"}
    then = {"": lambda cls, question: {}, "suitability": suitability, "dataset": dataset}[question.get("then", "")]
    return answers | then(found, question)


def suitability(cls: Any, question: dict[str, Any]) -> dict[str, Any]:
    """``unsuitable``: what calling it raises where torch cannot be imported; empty if nothing."""
    from ganbench.contracts import DataSpec

    sys.modules["torch"] = None  # type: ignore[assignment]  # which makes `import torch` an ImportError
    try:
        params = cls.Params.resolve(question["params"])
        for spec in question["specs"]:
            facts: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in spec.items()}
            cls().refusal(DataSpec(**facts), params)
    except Exception as error:
        return {"unsuitable": f"{type(error).__name__}: {error}"}
    return {"unsuitable": ""}


def dataset(cls: Any, question: dict[str, Any]) -> dict[str, Any]:
    """``fingerprint`` of what the dataset loads, or ``raised`` with what it raises instead."""
    from ganbench.testing.datasets import fingerprint

    try:
        loaded = cls(question["argument"], cls.Params.resolve(question["params"])).load(Path(question["root"]))
        return {"fingerprint": fingerprint(loaded), "raised": ""}
    except Exception as error:
        return {"fingerprint": "", "raised": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    answered = _answers(json.load(sys.stdin))
    print(_MARK + json.dumps(answered))
