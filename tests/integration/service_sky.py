"""A sky and a pipeline as small as they can be: one mission, no counterparts, no classes; a second or two a run."""

from __future__ import annotations

from pathlib import Path

from xcat.simulate import simulate

NAME = "small"
PIPELINE = f"""
name: {NAME}
xray:
  - catalogue: sim_xmm
    files: [xmm_detections.fits]
definitions: [catalogues]
"""


def make(folder: Path) -> tuple[Path, Path]:
    """Pipeline file and folder of the data."""
    simulate(300, 5, folder / "sky")
    pipeline = folder / "small.yaml"
    pipeline.write_text(PIPELINE, encoding="utf-8")
    return pipeline, folder / "sky"
