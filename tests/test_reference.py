"""docs/hooks.md and docs/api.md say what is there, all of it."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ganbench
import ganbench.api
import ganbench.testing
from ganbench import hookspecs

ROOT = Path(__file__).parent.parent
HOOKS: dict[str, Callable[..., Any]] = {
    name: value for name, value in vars(hookspecs).items() if hasattr(value, "ganbench_spec")
}


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["hooks.md", "api.md"])
def test_the_page_is_current(page: str, reference: ModuleType) -> None:
    """If it is not: ``python docs/reference.py``."""
    assert (ROOT / "docs" / page).read_text() == reference.current(page)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_with_all_its_arguments(hook: str) -> None:
    text = inspect.getdoc(HOOKS[hook]) or ""
    assert len(text.split()) > 5
    for argument in inspect.signature(HOOKS[hook]).parameters:
        assert f"`{argument}`" in text, f"{hook} does not explain {argument}"
    page = (ROOT / "docs" / "hooks.md").read_text()
    assert f"\n### `{hook}`\n" in page


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_implemented_by_a_test(hook: str) -> None:
    """In the source of a plugin that a test makes, which is a string there, so it is text that is looked through."""
    implementation = re.compile(rf"@hookimpl\n *def {hook}\(")
    tests = [path for path in (ROOT / "tests").glob("*.py") if implementation.search(path.read_text())]
    assert tests, f"no test has a plugin that implements {hook}"


@pytest.mark.parametrize("module", [ganbench.api, ganbench.testing])
def test_every_public_name_is_on_the_page(module: ModuleType) -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    _, _, section = page.partition(f"\n## {module.__name__}\n")
    for name in module.__all__:
        assert re.search(rf"^- \*\*`{name}\b.*: \S", section.partition("\n## ")[0], re.MULTILINE), name
    public = {name for name, value in vars(module).items() if getattr(value, "__module__", "").startswith("ganbench.")}
    assert {name for name in public if not name.startswith("_")} <= set(module.__all__)


def test_the_public_surface_is_importable_without_torch_and_pytest() -> None:
    program = "import sys, ganbench.api, ganbench.testing; assert not {'torch', 'pytest'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_promise_names_the_version_and_the_bounds() -> None:
    from ganbench.scaffold import bounds

    page = (ROOT / "docs" / "api.md").read_text()
    assert f"`{bounds(ganbench.__version__)}`" in page
    for word in ("API_VERSION", "MAJOR", "MINOR"):
        assert word in page
        assert word in str(ganbench.api.__doc__)


def test_what_is_cited_is_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [ganbench.__version__]
    page = (ROOT / "docs" / "api.md").read_text()
    assert re.findall(r"version = \{(.*)\}", page) == [ganbench.__version__]
