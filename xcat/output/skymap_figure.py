"""A sky map as a picture: its credible regions, and the sources in them by class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.projections  # noqa: F401  makes "mollweide" known without pyplot
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xcat.arrays import FloatArray
from xcat.output import style
from xcat.sky import geometry
from xcat.sky.skymap import Region, SkyMap

if TYPE_CHECKING:
    from astropy.table import Table

_CENTRE_DEG = 180.0  # right ascension in the middle; it grows to the left
_LARGEST_CLOSE_UP_DEG = 40.0
_LINES = ("-", (0, (4, 2)))
_SHADE = LinearSegmentedColormap.from_list("shade", ["#ffffff", "#9aa7b5"])
_N_NUMBERED, _APART = 10, 0.07
_RING_DEG = np.linspace(0, 360, 721)


def draw(skymap: SkyMap, regions: Sequence[Region], sources: Table, path: Path) -> Path:
    """Draw to a .png, .pdf or .svg: the whole sky, and the region in close-up where it is small enough.

    Parameters
    ----------
    regions : sequence of Region
        Those to draw, the smaller first.
    sources : Table
        With ra, dec and class, in the order of their numbers in the picture.
    """
    with style.settings():
        return style.save(figure(skymap, regions, sources), path, dpi=170)


def figure(skymap: SkyMap, regions: Sequence[Region], sources: Table) -> Figure:
    """Make the figure."""
    place = _close_up(skymap, regions[-1])
    fig = Figure(figsize=(10.4 if place else 7.2, 4.3))
    width = 6.5 / 10.4 if place else 0.92
    _whole_sky(fig.add_axes((0.035, 0.14, width, 0.72), projection="mollweide"), skymap, regions, sources)
    if place:
        _near(fig.add_axes((0.735, 0.17, 0.245, 0.245 * 10.4 / 4.3)), skymap, regions, sources, *place)
    name = str(skymap.facts.get("object", skymap.facts.get("file", "")))
    fig.text(0.02, 0.94, f"{name}  {str(skymap.facts.get('date_obs', ''))[:19]}", fontsize=10.5, fontweight="bold")
    _legend(fig, regions, sources)
    return fig


def _legend(fig: Figure, regions: Sequence[Region], sources: Table) -> None:
    names = np.asarray(sources["class"]).astype(str)
    handles = [
        Line2D([], [], color=style.INK, lw=1.1, ls=line, label=f"{r.level:.3g} region, {r.area_deg2:,.4g} deg$^2$")
        for r, line in zip(regions, _LINES, strict=False)
    ]
    handles += [
        Line2D([], [], color=look.colour, marker=look.marker, lw=0, ms=5, label=f"{name} ({(names == name).sum():,})")
        for name, look in style.of_classes(sorted(set(names))).items()
    ]
    fig.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.012, 0.0), ncols=len(handles), fontsize=7.5)


def _whole_sky(axes: Axes, skymap: SkyMap, regions: Sequence[Region], sources: Table) -> None:
    lon, lat = np.radians(np.arange(-179.75, 180, 0.5)), np.radians(np.arange(-89.75, 90, 0.5))
    x, y = np.meshgrid(lon, lat)
    _shade(axes, skymap, regions, x, y, (_CENTRE_DEG - np.degrees(x)) % 360.0, np.degrees(y))
    ra, dec = geometry.from_galactic(_RING_DEG, np.zeros_like(_RING_DEG))
    plane = _to_map(ra)
    order = np.argsort(plane)
    axes.plot(plane[order], np.radians(dec)[order], color=style.GREY, lw=0.6, ls=(0, (1, 2)), zorder=2)
    _scatter(axes, sources, _to_map(np.asarray(sources["ra"], float)), np.radians(np.asarray(sources["dec"], float)))
    axes.grid(color=style.GREY, lw=0.4, alpha=0.35)
    ticks = np.array([300, 240, 180, 120, 60])
    axes.set_xticks(_to_map(ticks.astype(float)), [f"{t}°" for t in ticks])
    axes.set_yticks(np.radians([-60, -30, 0, 30, 60]), ["-60°", "-30°", "0°", "30°", "60°"])
    axes.tick_params(labelsize=6.5)


def _to_map(ra_deg: FloatArray) -> FloatArray:
    return np.asarray(-np.radians((ra_deg - _CENTRE_DEG + 180.0) % 360.0 - 180.0))


def _near(
    axes: Axes, skymap: SkyMap, regions: Sequence[Region], sources: Table, centre: FloatArray, size: float
) -> None:
    """The region in the plane that touches the sphere in its middle; a unit of the axes is a degree there."""
    ra, dec = (float(v[0]) for v in geometry.to_position(centre[None]))
    east = np.array([-np.sin(np.radians(ra)), np.cos(np.radians(ra)), 0.0])
    north = np.cross(centre, east)
    x, y = np.meshgrid(np.linspace(-size, size, 600), np.linspace(-size, size, 600))
    plane = centre + np.tan(np.radians(np.hypot(x, y)))[..., None] * _unit(x[..., None] * east + y[..., None] * north)
    _shade(axes, skymap, regions, x, y, *geometry.to_position(plane))
    vector = geometry.to_vector(np.asarray(sources["ra"], float), np.asarray(sources["dec"], float))
    away = np.degrees(np.arccos(np.clip(vector @ centre, -1, 1)))
    along = _unit(np.stack([vector @ east, vector @ north], axis=-1)) * away[:, None]
    near = np.abs(along).max(axis=1, initial=0.0) <= size
    _scatter(axes, sources[near], along[near, 0], along[near, 1], 22.0)
    numbered: list[int] = []
    for i in np.flatnonzero(near[:_N_NUMBERED]):
        if not numbered or np.abs(along[numbered] - along[i]).max(axis=1).min() > _APART * size:  # else illegible
            numbered.append(int(i))
            axes.annotate(str(i + 1), along[i], (4, 3), textcoords="offset points", fontsize=7, color=style.INK)
    axes.set(xlim=(size, -size), ylim=(-size, size), aspect="equal")
    axes.set_xlabel(f"degrees east of RA {ra:.2f}°", labelpad=2)
    axes.set_ylabel(f"degrees north of Dec {dec:.2f}°", labelpad=0)
    if numbered:
        axes.set_title("numbers: the first places of the list", loc="left", **style.NOTE)


def _unit(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1.0))


def _shade(
    axes: Axes, skymap: SkyMap, regions: Sequence[Region], x: FloatArray, y: FloatArray, ra: FloatArray, dec: FloatArray
) -> None:
    """Density and edges of the regions, on a grid of places."""
    cell = skymap.cell_of(ra.ravel(), dec.ravel()).reshape(x.shape)
    denser = np.where(cell >= 0, skymap.denser[cell], 1.0)
    look: Any = {"cmap": _SHADE, "vmin": 0.0, "vmax": 1.0, "rasterized": True, "shading": "nearest", "zorder": 0}
    axes.pcolormesh(x, y, 1 - denser, **look)
    for region, line in zip(regions, _LINES, strict=False):
        inside = denser < region.level
        if 0 < inside.sum() < inside.size:
            axes.contour(x, y, denser, [region.level], colors=style.INK, linewidths=0.7, linestyles=[line], zorder=3)


def _scatter(axes: Axes, sources: Table, x: FloatArray, y: FloatArray, size: float = 0.0) -> None:
    names = np.asarray(sources["class"]).astype(str)
    for name, look in style.of_classes(sorted(set(names))).items():
        of_class = names == name
        area = size or float(np.clip(6000 / max(len(sources), 1), 2.0, 12.0))
        dots: Any = {"color": look.colour, "marker": look.marker, "lw": 0.3, "edgecolors": "white", "rasterized": True}
        axes.scatter(x[of_class], y[of_class], area, zorder=4, **dots)


def _close_up(skymap: SkyMap, region: Region) -> tuple[FloatArray, float] | None:
    """Middle of a region, as a unit vector, and how far it reaches from there in degrees; None if that is too far."""
    import astropy.units as u
    from astropy_healpix import healpix_to_lonlat

    inside = skymap.is_in(region.level)
    order, first = skymap.order[inside], skymap.first[inside]
    lon, lat = healpix_to_lonlat(first >> 2 * (29 - order), 2**order, order="nested")
    at = lon.to_value(u.deg), lat.to_value(u.deg)
    vector = geometry.to_vector(*(geometry.from_galactic(*at) if skymap.is_galactic else at))
    centre = (vector * skymap.probability[inside][:, None]).sum(axis=0)
    if np.linalg.norm(centre) < 1e-6:
        return None
    centre = _unit(centre)
    reach = np.degrees(np.arccos(np.clip(vector @ centre, -1, 1))) + 60 / 2.0**order
    return (centre, float(reach.max()) * 1.08) if reach.max() < _LARGEST_CLOSE_UP_DEG else None
