"""HTML pages from the templates beside this file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from xcat import __version__
from xcat.atomic import writing
from xcat.errors import XcatError
from xcat.output import words


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
    page = (
        _environment(is_html=True)
        .get_template(template)
        .render(version=__version__, stylesheet=_stylesheet(), **values)
    )
    with writing(folder / "index.html") as part:
        part.write_text(page, encoding="utf-8")
    return folder / "index.html"


def text(template: str, **values: Any) -> str:
    """A page of plain text from a template."""
    return _environment(is_html=False).get_template(template).render(version=__version__, **values)


@cache
def _stylesheet() -> Markup:
    return Markup((Path(__file__).with_name("static") / "xcat.css").read_text(encoding="utf-8"))


def _environment(is_html: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("xcat.output"),
        autoescape=is_html,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=not is_html,
    )
    environment.filters |= words.FILTERS if is_html else {"count": lambda value: f"{value:,}"}
    return environment
