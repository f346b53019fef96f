"""Run the commands of the pages again and put in what they print: ``python docs/refresh.py FOLDER``.

FOLDER is where the commands run. It has copies of examples/ and sql/queries/, and a simulated sky in demo/sky that was
run as the tutorial says, but none of the files that the commands write. The database is that of XCAT_HOME, which must
be set.

A block marked as ``console`` has commands (after ``$``) and their output. A block marked as ``python`` is a program;
its output is the block marked as ``text`` right after it. ``<!-- lines: 8 -->`` before a block keeps the first 8 lines
of each output; lines that are wider than a page end in "…". A block after ``<!-- served -->`` needs ``xcat serve``, and
is run by the tests of the service.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
_BLOCK = re.compile(
    r"(?:<!-- lines: (\d+) -->\n)?(?<!<!-- served -->\n)```(console|python)\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.S
)
_WIDTH = 120  # wider lines of output, such as whole tables, are cut where a page would break them
_TIMES = re.compile(r"^.*: \d+\.\d s\n|^seconds: .*\n|^peak memory.*\n", re.M)  # other numbers each time


def pages() -> list[Path]:
    """The pages whose commands run, in the order of the index."""
    names = re.findall(r"^((?:tutorial|howto)/[\w-]+)$", (HERE / "index.md").read_text(encoding="utf-8"), re.M)
    return [HERE / f"{name}.md" for name in names]


def commands(text: str) -> Iterator[list[str]]:
    """What the blocks of a page run, as arguments of a process, in order."""
    for _, language, code, _ in _BLOCK.findall(text):
        if language == "python":
            yield [sys.executable, "-W", "ignore", "-c", code]
        else:
            yield from (["bash", "-c", line[2:]] for line in code.splitlines() if line.startswith("$ "))


def _output(command: list[str], folder: Path, most: str | None) -> str:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{command[-1]}\n{done.stdout}")
    text = _TIMES.sub("", done.stdout).replace(os.environ["XCAT_HOME"], "/home/me/.local/share/xcat")
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    lines = [line if len(line) <= _WIDTH else f"{line[: _WIDTH - 2].rstrip()} …" for line in lines]
    if most is not None and len(lines) > int(most):
        lines = [*lines[: int(most)], "..."]
    return "".join(f"{line}\n" for line in lines)


def refreshed(text: str, folder: Path) -> str:
    """A page with the output of its commands as it is now."""

    def block(found: re.Match[str]) -> str:
        most, language, code, printed = found.groups()
        head = f"<!-- lines: {most} -->\n" if most else ""
        run = list(commands(f"```{language}\n{code}```\n"))
        if language == "python":
            shown = "" if printed is None else f"\n```text\n{_output(run[0], folder, most)}```\n"
            return f"{head}```python\n{code}```\n{shown}"
        return head + "```console\n" + "".join(f"$ {c[-1]}\n{_output(c, folder, most)}" for c in run) + "```\n"

    return _BLOCK.sub(block, text)


def main(folder: Path) -> None:
    """Refresh all pages, and copy the figures that the tutorial draws."""
    for page in pages():
        page.write_text(refreshed(page.read_text(encoding="utf-8"), folder), encoding="utf-8")
    for figure in folder.glob("*.png"):
        picture = Image.open(figure).convert("RGB")
        picture.thumbnail((1200, 1200))
        picture.quantize(64).save(HERE / "tutorial" / figure.name, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
