"""The tutorial about a remote service as a notebook, made from its page: ``python docs/notebook.py`` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from nbformat import v4

PAGE = Path(__file__).resolve().parent / "tutorial" / "remote.md"
NOTEBOOK = PAGE.with_suffix(".ipynb")
_BLOCK = re.compile(r"^<!-- \w+ -->\n```python\n(.*?)^```$", re.S | re.M)
_OF_PAGE_ALONE = re.compile(r"^The same as a notebook:.*?\n\n", re.S | re.M)


def made(page: str) -> str:
    """The notebook of a page: its words in cells of text, its blocks of Python in cells of code, without outputs."""
    cells = []
    for number, part in enumerate(_BLOCK.split(_OF_PAGE_ALONE.sub("", page))):
        make = v4.new_code_cell if number % 2 else v4.new_markdown_cell
        cells.append(make(part.strip(), id=f"cell-{number}"))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(made(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
