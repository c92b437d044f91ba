"""Fetches the JavaScript that the page brings along again, by npm package name: ``python fetch.py`` (needs npm).

``versions.json`` says which versions, and the SHA-256 of every file; another one is refused. To take a newer version,
change it there, run this with ``--accept``, and look at the page.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main(accept: bool) -> None:
    """Write every file that ``versions.json`` names beside it."""
    path = HERE / "versions.json"
    versions = json.loads(path.read_text())
    for package, about in versions.items():
        with tempfile.TemporaryDirectory() as folder:
            name = f"{package}@{about['version']}"
            done = subprocess.run(["npm", "pack", "--silent", name], cwd=folder, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"npm does not give {name}: {done.stderr.strip()}")
            with tarfile.open(Path(folder) / done.stdout.strip().splitlines()[-1]) as archive:
                for file in about["files"]:
                    member = archive.extractfile(f"package/{file['source']}")
                    content = member.read() if member else b""
                    digest = hashlib.sha256(content).hexdigest()
                    if digest != file["sha256"] and not accept:
                        sys.exit(f"{file['source']} of {name} has SHA-256 {digest}; versions.json has another")
                    file["sha256"] = digest
                    (HERE / file["file"]).write_bytes(content)
                    print(f"{file['file']}: {len(content):,} bytes of {name}")
    path.write_text(json.dumps(versions, indent=1) + "\n")


if __name__ == "__main__":
    main("--accept" in sys.argv[1:])
