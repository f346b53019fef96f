"""Sphinx configuration: ``python -m sphinx -W -b html docs docs/_build``. Neither that nor the pages need a network."""

import sys
from pathlib import Path
from typing import Any

from docutils.utils.math.latex2mathml import tex2mathml

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

project = "xcat"
author = "The xcat developers"
copyright = "2026, The xcat developers"
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "xcat"
html_math_renderer = "mathml"
suppress_warnings = ["myst.xref_missing_absolute"]


def _inline(translator: Any, node: Any) -> None:
    translator.body.append(tex2mathml(node.astext()))
    raise _skip()


def _display(translator: Any, node: Any) -> None:
    translator.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>\n')
    raise _skip()


def _skip() -> Exception:
    from docutils.nodes import SkipNode

    return SkipNode()


def setup(app: Any) -> None:
    """Write the reference anew, and write formulas as MathML, which browsers draw without a script."""
    import generate

    generate.write(HERE / "reference")
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
