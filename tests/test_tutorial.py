"""docs/tutorial.md followed to the letter, in a fresh environment."""

from __future__ import annotations

import re
from pathlib import Path

from environments import Environment

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "tutorial.md").read_text()
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def files() -> dict[str, str]:
    """What the reader writes: blocks whose first line names a file."""
    named = [(re.match(r"# (\S+)\n", body), body) for language, body in BLOCKS if language in ("python", "toml")]
    assert all(name for name, _ in named)
    return {name[1]: body for name, body in named if name}


def written(text: str) -> list[str]:
    """Lines of code: neither empty nor a comment alone."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_the_reader_writes_less_than_sixty_lines_and_the_page_says_how_many() -> None:
    assert list(files()) == ["my_gan.py", "benchmark.toml"]
    count = sum(len(written(text)) for text in files().values())
    assert count < 60
    readme = (ROOT / "README.md").read_text()
    said = re.findall(r"write (\d+) lines", PAGE) + re.findall(r"(\d+) lines of your own", readme)
    assert said == [str(count)] * 2


def test_its_commands_lead_from_a_file_to_a_wheel(environment: Environment, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    for name, text in files().items():
        (folder / name).write_text(text)
    commands = [body for language, body in BLOCKS if language == "bash"]
    printed = environment.run("".join(commands), folder)
    shown = [body for language, body in BLOCKS if language == "text"]
    counts, board = shown
    assert counts.strip() in printed.splitlines()
    ranked = re.findall(r"^ +\d  (\S+) ", printed, re.MULTILINE)
    assert ranked[:2] == re.findall(r"^ +\d  (\S+) ", board, re.MULTILINE)
    assert sorted(ranked[:2]) == ["dcgan", "my-gan"]
    assert (folder / "results" / "tutorial" / "leaderboard.md").exists()
    assert "Geometric GAN (Lim & Ye 2017" in printed
    assert re.search(r"^=+ \d+ passed, \d+ skipped in ", printed, re.MULTILINE)
    assert (folder / "ganbench-my-gan" / "dist" / "ganbench_my_gan-0.1.0-py3-none-any.whl").exists()
