"""HTML pages from the templates beside this file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from xcat import __version__
from xcat.atomic import writing
from xcat.errors import XcatError
from xcat.output.terminal import number


def figures_folder(folder: Path) -> Path:
    """Make the folder of a page, with the one for its figures; gives the latter.

    Raises
    ------
    XcatError
        It cannot be made.
    """
    figures = folder / "figures"
    try:
        figures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise XcatError(f"{folder}: cannot be made ({error.strerror})") from error
    return figures


def write_page(folder: Path, template: str, **values: Any) -> Path:
    """Write ``index.html`` from a template; what the template asks for and is not given is an error."""
    page = _environment(is_html=True).get_template(template).render(version=__version__, **values)
    with writing(folder / "index.html") as part:
        part.write_text(page, encoding="utf-8")
    return folder / "index.html"


def text(template: str, **values: Any) -> str:
    """A page of plain text from a template."""
    return _environment(is_html=False).get_template(template).render(version=__version__, **values)


def _environment(is_html: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("xcat.output"),
        autoescape=is_html,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=not is_html,
    )
    environment.filters["number"] = lambda v: "-" if v is None else number(float(v))
    environment.filters["count"] = lambda v: "-" if v is None else f"{v:,}"
    environment.filters["percent"] = lambda v: f"{100 * v:.1f}"
    environment.filters["moment"] = lambda v: str(v)[:16].replace("T", " ")
    return environment
