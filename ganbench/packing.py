"""The files of a unit of work as few objects: zip files, the same bytes for the same files, checked when unpacked."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from ganbench.errors import UserError
from ganbench.store import Unit, write_atomically

#: What belongs to a machine or a moment and does not travel; the manifest travels beside the parcels.
_LEFT = {"progress.json", "manifest.json"}
_LARGEST = 2**32  # bytes that one parcel may unpack to
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file can name


def pack(unit: Unit, *, done: bool) -> Iterator[tuple[str, bytes]]:
    """Name and content of each parcel of a unit: ``checkpoint-<hash>.zip`` (of what is not done), ``generators-…``,
    ``records-…``.

    The checkpoint is read first: it must not know of an evaluation whose snapshot is not in the parcel after it.
    """
    if not done and (kept := _checkpoint(unit)):
        yield _named("checkpoint", _zipped(kept, zipfile.ZIP_STORED))
    found = {path.relative_to(unit.directory).as_posix(): path for path in files(unit)}
    generators = {name: path for name, path in found.items() if name.startswith("generator-")}
    if generators:
        yield _named("generators", _zipped(_read(generators), zipfile.ZIP_STORED))
    records = {name: path for name, path in found.items() if name not in generators}
    yield _named("records", _zipped(_read(records), zipfile.ZIP_DEFLATED))


def files(unit: Unit) -> Iterator[Path]:
    """The files of a unit that travel, but for checkpoints: no locks, and no probes, which are units themselves."""
    for path in sorted(unit.directory.rglob("*")):
        parts = path.relative_to(unit.directory).parts
        hidden = any(part.startswith(".") for part in parts)
        if hidden or parts[0] in _LEFT or parts[0] == "probes" or path.suffix == ".pt":
            continue
        if path.is_file() and not path.is_symlink():
            yield path


def unpack(content: bytes, digest: str, folder: Path, where: str) -> None:
    """Write the files of a parcel into `folder`. Raises `UserError` where it is not what its `digest` says."""
    if hashlib.sha256(content).hexdigest() != digest:
        raise UserError(f"{where} does not fit its checksum: it was damaged or changed; delete it and its manifest")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > _LARGEST:
                raise UserError(
                    f"{where} would unpack to more than {_LARGEST >> 30} GiB, and is not what ganbench wrote"
                )
            for member in members:
                path = PurePosixPath(member.filename)
                if path.is_absolute() or not path.parts or any(p.startswith(".") or "\\" in p for p in path.parts):
                    raise UserError(f"{where} holds {member.filename[:60]!r}, which is no file of a cell")
                target = folder.joinpath(*path.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(target, archive.read(member), durable=False)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise UserError(f"{where} is no parcel of files ({error}); delete it and its manifest") from None


def _checkpoint(unit: Unit) -> dict[str, bytes]:
    """The newest checkpoint; nothing where there is none."""
    while paths := unit.checkpoints():
        if found := _read({paths[0].name: paths[0]}):
            return found  # else a newer one has just taken its place
    return {}


def _read(paths: Mapping[str, Path]) -> dict[str, bytes]:
    found = {}
    for name, path in paths.items():
        try:
            found[name] = path.read_bytes()
        except FileNotFoundError:  # the worker has just deleted it
            continue
    return found


def _zipped(contents: Mapping[str, bytes], compression: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in contents.items():
            member = zipfile.ZipInfo(name, _EPOCH)
            stored = name.endswith((".png", ".pt"))  # compressed, or without use
            member.compress_type = zipfile.ZIP_STORED if stored else compression
            archive.writestr(member, content)
    return buffer.getvalue()


def _named(what: str, content: bytes) -> tuple[str, bytes]:
    return f"{what}-{hashlib.sha256(content).hexdigest()[:16]}.zip", content
