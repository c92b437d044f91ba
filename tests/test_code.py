"""A change of a component's code is noticed, and told in a phrase; a change beside it is not."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ganbench import code
from ganbench.code import changed
from ganbench.plugins import Component, Plugin, Plugins

Fingerprint = Callable[..., dict[str, str]]

PACKAGE = {
    "acme_gan/__init__.py": "HOOKS = 1\n",
    "acme_gan/gan.py": """
from typing import TYPE_CHECKING
import torch
from ganbench.api import Variant
from . import params
from .blocks.layers import Layer
from .sizes import *
if TYPE_CHECKING:
    from acme_gan.types_only import Thing

class GAN(Variant):
    def game(self, data, params):
        from acme_gan.networks import Generator
""",
    "acme_gan/params.py": "from acme_gan import gan  # a cycle\n",
    "acme_gan/networks.py": "Generator = 1  # one\n",
    "acme_gan/sizes.py": "SIZE = 1\n",
    "acme_gan/types_only.py": "class Thing: ...\n",
    "acme_gan/other.py": "OTHER = 1\n",
    "acme_gan/blocks/__init__.py": "",
    "acme_gan/blocks/layers.py": "from ..losses import cost\nLayer = 1\n",
    "acme_gan/losses.py": "def cost(): ...\n",
}
PARTS = [f"acme_gan/{name}.py" for name in ("blocks/layers", "gan", "losses", "networks", "params", "sizes")]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, source in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source)


@pytest.fixture
def fingerprint(monkeypatch: pytest.MonkeyPatch) -> Fingerprint:
    """The fingerprint that a new process would find of a plugin's component in the folders given."""

    def found(
        *folders: Path, target: str = "acme_gan.gan:GAN", owner: str = "ganbench-acme", version: str = "1.2"
    ) -> dict[str, str]:
        for cached in vars(code).values():
            if hasattr(cached, "cache_clear"):
                cached.cache_clear()
        plugins = Plugins([])
        plugins.plugins.append(Plugin("acme", owner, version))
        with monkeypatch.context() as patch:
            for folder in folders:
                patch.syspath_prepend(folder)
            answer = code.fingerprint(Component("variants", "acme-gan", target, "acme"), plugins)
            assert not [name for name in sys.modules if name.startswith("acme")], "nothing was executed"
        return answer

    return found


def test_a_variant_is_its_module_and_what_that_imports_of_its_package(tmp_path: Path, fingerprint: Fingerprint) -> None:
    write(tmp_path, PACKAGE)
    found = fingerprint(tmp_path)
    assert list(found) == ["ganbench-acme", *PARTS]
    assert found.pop("ganbench-acme") == "1.2"
    assert {len(value) for value in found.values()} == {16}


@pytest.mark.parametrize(
    ("file", "noticed"),
    [
        ("acme_gan/gan.py", "gan.py of acme_gan changed"),
        ("acme_gan/networks.py", "networks.py of acme_gan changed"),
        ("acme_gan/losses.py", "losses.py of acme_gan changed"),
        ("acme_gan/blocks/layers.py", "layers.py of acme_gan/blocks changed"),
        ("acme_gan/other.py", ""),
        ("acme_gan/types_only.py", ""),
        ("acme_gan/__init__.py", ""),
    ],
)
def test_a_changed_comment_is_noticed_where_the_file_counts_and_nowhere_else(
    file: str, noticed: str, tmp_path: Path, fingerprint: Fingerprint
) -> None:
    write(tmp_path, PACKAGE)
    then = fingerprint(tmp_path)
    (tmp_path / file).write_text(PACKAGE[file] + "# another comment\n")
    assert changed(then, fingerprint(tmp_path)) == noticed


def test_a_package_counts_where_a_name_is_imported_from_it(tmp_path: Path, fingerprint: Fingerprint) -> None:
    write(tmp_path, PACKAGE)
    (tmp_path / "acme_gan/networks.py").write_text("from acme_gan import HOOKS\n")
    assert "acme_gan/__init__.py" in fingerprint(tmp_path)


def test_line_ends_of_a_checkout_are_no_change(tmp_path: Path, fingerprint: Fingerprint) -> None:
    write(tmp_path, PACKAGE)
    then = fingerprint(tmp_path)
    source = (tmp_path / "acme_gan/gan.py").read_bytes()
    (tmp_path / "acme_gan/gan.py").write_bytes(source.replace(b"\n", b"\r\n"))
    assert fingerprint(tmp_path) == then


def test_a_plugin_of_modules_is_its_modules(tmp_path: Path, fingerprint: Fingerprint) -> None:
    write(tmp_path, {"lone_gan.py": "import lone_layers, json, numpy\n", "lone_layers.py": "", "beside.py": ""})
    then = fingerprint(tmp_path, target="lone_gan:GAN")
    assert list(then) == ["ganbench-acme", "lone_gan.py", "lone_layers.py"]
    (tmp_path / "lone_layers.py").write_text("# more\n")
    assert changed(then, fingerprint(tmp_path, target="lone_gan:GAN")) == "lone_layers.py changed"


def installed(site: Path, files: dict[str, str], listed: bool, name: str = "ganbench-acme") -> None:
    """A distribution's metadata in `site`, and with `listed` its files beside it, as a wheel puts them."""
    info = site / f"{name.replace('-', '_')}-1.2.dist-info"
    record = [*files, f"{info.name}/METADATA"] if listed else ["__editable__.ganbench_acme.pth"]
    write(site, files if listed else {})
    write(info, {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n"})
    write(info, {"RECORD": "".join(f"{name},,\n" for name in record)})


def test_a_wheel_and_an_editable_install_have_the_same_fingerprint(tmp_path: Path, fingerprint: Fingerprint) -> None:
    gan = PACKAGE["acme_gan/gan.py"] + "import acme_common, somebody_elses\n"
    files = {**PACKAGE, "acme_gan/gan.py": gan, "acme_common.py": "SHARED = 1\n"}
    wheel, venv, source = tmp_path / "a/site-packages", tmp_path / "b/site-packages", tmp_path / "acme/src"
    for site in (wheel, venv):
        write(site, {"somebody_elses.py": ""})
    installed(wheel, files, listed=True)
    installed(venv, files, listed=False)
    write(source, files)
    found = fingerprint(wheel)
    assert found == fingerprint(venv, source)
    assert list(found) == ["ganbench-acme", "acme_common.py", *PARTS]


def test_without_a_list_of_files_what_is_installed_beside_it_is_not_its_own(
    tmp_path: Path, fingerprint: Fingerprint
) -> None:
    gan = PACKAGE["acme_gan/gan.py"] + "import somebody_elses\n"
    write(tmp_path / "site-packages", {**PACKAGE, "acme_gan/gan.py": gan, "somebody_elses.py": ""})
    assert list(fingerprint(tmp_path / "site-packages")) == ["ganbench-acme", *PARTS]


def test_of_what_ships_the_plugin_counts_and_neither_ganbench_nor_its_version(
    tmp_path: Path, fingerprint: Fingerprint
) -> None:
    site = tmp_path / "site-packages"
    gan = PACKAGE["acme_gan/gan.py"] + "import acme_common\n"
    files = {**PACKAGE, "acme_gan/gan.py": gan, "acme_common.py": "", "ganbench/api.py": ""}
    installed(site, files, listed=True, name="ganbench")
    assert list(fingerprint(site, owner="ganbench")) == ["acme_common.py", *PARTS]


@pytest.mark.parametrize("source", ["import acme_gan.gone", "from acme_gan.gone import x", "from .gone import x"])
def test_a_module_that_is_not_there_is_said_to_be_missing(
    source: str, tmp_path: Path, fingerprint: Fingerprint
) -> None:
    write(tmp_path, {**PACKAGE, "acme_gan/networks.py": f"try:\n    {source}\nexcept ImportError:\n    pass\n"})
    then = fingerprint(tmp_path)
    assert then["acme_gan/gone.py"] == "not found"
    write(tmp_path, {"acme_gan/gone.py": ""})
    assert changed(then, fingerprint(tmp_path)) == "gone.py of acme_gan changed"


def test_a_deleted_source_is_said_to_be_missing(tmp_path: Path, fingerprint: Fingerprint) -> None:
    write(tmp_path, PACKAGE)
    then = fingerprint(tmp_path)
    (tmp_path / "acme_gan/losses.py").unlink()
    now = fingerprint(tmp_path)
    assert now["acme_gan/losses.py"] == "not found"
    assert changed(then, now) == "losses.py of acme_gan changed"
    shutil.rmtree(tmp_path / "acme_gan")
    assert fingerprint(tmp_path) == {"ganbench-acme": "1.2", "acme_gan/gan.py": "not found"}


def test_a_module_deleted_after_it_was_imported_is_missing_too(
    tmp_path: Path, fingerprint: Fingerprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"lone_gan_once.py": ""})
    monkeypatch.syspath_prepend(tmp_path)
    __import__("lone_gan_once")
    (tmp_path / "lone_gan_once.py").unlink()
    assert fingerprint(target="lone_gan_once:GAN")["lone_gan_once.py"] == "not found"


def test_compiled_and_zipped_modules_count_by_their_bytes(tmp_path: Path, fingerprint: Fingerprint) -> None:
    fast = "fast.cpython-311-x86_64-linux-gnu.so" if sys.version_info[:2] == (3, 11) else "fast.abi3.so"
    write(tmp_path, {**PACKAGE, "acme_gan/networks.py": "from acme_gan import fast\n", f"acme_gan/{fast}": "1"})
    if sys.platform == "linux":
        then = fingerprint(tmp_path)
        write(tmp_path, {f"acme_gan/{fast}": "2"})
        assert changed(then, fingerprint(tmp_path)) == "fast.so of acme_gan changed"
    with zipfile.ZipFile(tmp_path / "acme.zip", "w") as archive:
        for name, source in PACKAGE.items():
            archive.writestr(name, source)
    write(tmp_path / "plain", PACKAGE)
    assert fingerprint(tmp_path / "acme.zip") == fingerprint(tmp_path / "plain")


@pytest.mark.parametrize("source", ["def broken(:\n", "x = '\0'\n", "from ...... import x\n", "import ..x\n"])
def test_source_that_python_refuses_is_hashed_all_the_same(
    source: str, tmp_path: Path, fingerprint: Fingerprint
) -> None:
    write(tmp_path, {**PACKAGE, "acme_gan/networks.py": source})
    assert len(fingerprint(tmp_path)["acme_gan/networks.py"]) == 16


def test_an_empty_record_and_an_equal_one_are_no_change() -> None:
    assert changed({}, {"a.py": "1"}) == ""
    assert changed({"a.py": "1"}, {"a.py": "1"}) == ""


def test_a_new_version_is_told_with_both(tmp_path: Path, fingerprint: Fingerprint) -> None:
    write(tmp_path, PACKAGE)
    then, now = fingerprint(tmp_path), fingerprint(tmp_path, version="1.3")
    assert changed(then, now) == "ganbench-acme 1.2 is now 1.3"
    assert changed(then, {**now, PARTS[0]: "0"}) == "ganbench-acme 1.2 is now 1.3, layers.py of acme_gan/blocks changed"
    assert changed(then, fingerprint(tmp_path, owner="acme")) == "acme 1.2 is new, ganbench-acme 1.2 is gone"


def test_at_most_three_files_are_named() -> None:
    def told(*files: str) -> str:
        return changed({"acme_gan/same.py": "0"}, {"acme_gan/same.py": "0", **dict.fromkeys(files, "1")})

    assert told("p/a.py", "p/b.py") == "a.py and b.py of p changed"
    assert told("p/a.py", "p/b.py", "p/c.py") == "a.py, b.py and c.py of p changed"
    assert told(*(f"p/{name}.py" for name in "abcdefg")) == "a.py, b.py, c.py and 4 more of p changed"
    assert told("p/a.py", "q/b.py", "lone.py") == "lone.py, a.py of p and b.py of q changed"
    assert told("p/a.py", "q/b.py", "q/c.py", "q/d.py") == "a.py of p, b.py of q, c.py of q and 1 more changed"


def test_what_ships_has_files_and_no_version_and_costs_no_import_of_torch() -> None:
    program = """
import sys, time
from ganbench.code import fingerprint
from ganbench.plugins import installed
variants = [component for component in installed().components if component.kind == "variants"]
gans = [component for component in variants if component.plugin == "gans"]
for component in variants:
    component.load()
started = time.perf_counter()
found = [fingerprint(component, installed()) for component in gans]
print(time.perf_counter() - started)
assert len(gans) >= 5
assert all(name.startswith("ganbench_gans/") for files in found for name in files), found
assert all("ganbench_gans/networks.py" in files for files in found)
of_two_packages = [fingerprint(c, installed()) for c in variants if c.plugin == "hoeckler"]
assert all("ganbench_gans/networks.py" in files for files in of_two_packages), "a package of the same distribution"
assert all(len(value) == 16 for files in found + of_two_packages for value in files.values())
core = next(component for component in installed().components if component.plugin == "core")
assert fingerprint(core, installed()) == {}
assert "torch" not in sys.modules
"""
    outcome = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 0, outcome.stderr
    assert float(outcome.stdout) < 0.5  # usually 0.015
