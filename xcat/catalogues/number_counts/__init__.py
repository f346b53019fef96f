"""Published numbers of X-ray sources of each class per square degree, by flux and place in the Galaxy.

The populations, with their citations, are in ``published.yaml``. All fluxes are in 0.2-12 keV, erg / (s cm2), converted
from the band of each paper by `Definition.standard_flux_factor`. The numbers of AGN are in SQL, too: xcat.agn_per_deg2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from pydantic import Field

from xcat.arrays import FloatArray
from xcat.catalogues.definition import Definition
from xcat.catalogues.grammar import Strict

_FILE = Path(__file__).with_name("published.yaml")
_STEP_DEX = 1e-4  # of the numerical derivative


class Galactic(Strict):
    """How a number depends on the place: far + near exp(-abs(b) / scale_b) exp(-abs(l) / scale_l)."""

    far: float = Field(ge=0)
    near: float = Field(default=0.0, ge=0)
    scale_b_deg: float = Field(default=1.0, gt=0)
    scale_l_deg: float | None = Field(default=None, gt=0)

    def factor(self, abs_b_deg: FloatArray, glon_deg: FloatArray | None) -> FloatArray:
        """Factor at places, (N,); without longitudes the mean over all of them."""
        near = self.near * np.exp(-abs_b_deg / self.scale_b_deg)
        if self.scale_l_deg is not None:
            s = self.scale_l_deg
            mean = s / 180.0 * -np.expm1(-180.0 / s)
            # distance from the Galactic centre in longitude, 0 to 180 deg
            near = near * (mean if glon_deg is None else np.exp(-np.abs((glon_deg + 180.0) % 360.0 - 180.0) / s))
        return np.asarray(self.far + near)


class Population(Strict):
    """A population of sources with published counts; see the head of ``published.yaml``."""

    name: str
    classes: tuple[str, ...]
    citation: str
    band_kev: tuple[float, float]
    formula: Literal["power_law", "broken_power_law", "smooth"]
    numbers: dict[str, float]
    galaxy: Galactic = Galactic(far=1.0)
    absorbed: bool = False
    valid_cgs: tuple[float, float]
    certainty: str

    @property
    def share_of_standard(self) -> float:
        """Flux in the band of the paper over the flux in 0.2-12 keV."""
        return 1.0 / Definition.model_construct(flux_band_kev=self.band_kev).standard_flux_factor()

    def brighter_per_deg2(
        self,
        flux_std_cgs: FloatArray,
        abs_b_deg: FloatArray,
        glon_deg: FloatArray | None = None,
        log_nh: FloatArray | None = None,
    ) -> FloatArray:
        """Sources per square degree that are brighter than a flux in 0.2-12 keV, (N,).

        Parameters
        ----------
        flux_std_cgs, abs_b_deg : (N,) array
        glon_deg : (N,) array, optional
            Galactic longitudes; without them the mean over all longitudes.
        log_nh : (N,) array, optional
            Galactic column, log cm-2; NaN or None: that of a plane layer of gas.
        """
        flux = np.asarray(flux_std_cgs, dtype=np.float64)
        if self.absorbed:
            flux = flux / passing(columns(abs_b_deg, log_nh))
        return self.unabsorbed_per_deg2(flux) * self.galaxy.factor(abs_b_deg, glon_deg)

    def unabsorbed_per_deg2(self, flux_std_cgs: FloatArray) -> FloatArray:
        """The published formula alone: N(> S) per square degree, (N,)."""
        n, s = self.numbers, np.asarray(flux_std_cgs, dtype=np.float64) * self.share_of_standard
        if self.formula == "power_law":
            return np.asarray(n["per_deg2"] * (s / n["at_cgs"]) ** -n["slope"])
        if self.formula == "smooth":
            shape = s ** n["steep"] + n["break_cgs"] ** (n["steep"] - n["flat"]) * s ** n["flat"]
            return np.asarray(n["per_deg2"] * n["at_cgs"] ** n["steep"] / shape)
        x, faint, bright = s / n["at_cgs"], n["faint"] - 1.0, n["bright"] - 1.0
        below = 1.0 + bright / faint * (np.minimum(x, 1.0) ** -faint - 1.0)
        return np.asarray(n["per_deg2"] * np.where(x < 1.0, below, x**-bright))


@cache
def _published() -> Mapping[str, object]:
    content: Mapping[str, object] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return content


@cache
def populations() -> tuple[Population, ...]:
    """All populations with published counts."""
    listed = _published()["populations"]
    assert isinstance(listed, list)
    return tuple(Population.model_validate(entry) for entry in listed)


def columns(abs_b_deg: FloatArray, log_nh: FloatArray | None = None) -> FloatArray:
    """Galactic column, log cm-2, (N,): as given, or that of a plane layer of gas where it is not."""
    layer = _absorption()
    sine = np.sin(np.radians(np.maximum(np.asarray(abs_b_deg, dtype=np.float64), 1e-3)))
    of_layer = np.log10(np.minimum(layer["pole_cm2"] / sine, layer["most_cm2"]))
    return of_layer if log_nh is None else np.where(np.isfinite(log_nh), log_nh, of_layer)


def passing(log_nh: FloatArray) -> FloatArray:
    """Share of the 0.2-12 keV flux of an AGN that passes a column of gas, (N,)."""
    return np.asarray(np.interp(log_nh, _absorption()["log_nh"], _absorption()["share"]))


@cache
def _absorption() -> Mapping[str, FloatArray]:
    content = _published()["absorption"]
    assert isinstance(content, dict)
    return {name: np.asarray(value) for name, value in content.items() if not isinstance(value, str)}


def counted(classes: Sequence[str]) -> tuple[bool, ...]:
    """Which of the classes have published counts."""
    return tuple(any(_has(population, name) for population in populations()) for name in classes)


def counted_as(kinds: Sequence[str], part_of: Sequence[str]) -> list[str]:
    """Names by which kinds of classes are counted: their own if a kind of the class has counts, or that of the class.

    Counts of LMXB and HMXB are of the Galaxy. They say nothing of a kind that is called otherwise, as binaries of other
    galaxies.
    """
    by_kind = {of for has, of in zip(counted(kinds), part_of, strict=True) if has}
    return [kind if of in by_kind else of for kind, of in zip(kinds, part_of, strict=True)]


def citations(classes: Sequence[str]) -> list[str]:
    """What counts are used for these classes, one line per population."""
    return [
        f"{', '.join(c for c in classes if _has(each, c))}: {each.name} ({each.citation})"
        for each in populations()
        if any(_has(each, c) for c in classes)
    ]


def _has(population: Population, name: str) -> bool:
    return name.casefold() in {each.casefold() for each in population.classes}


def brighter_per_deg2(
    classes: Sequence[str],
    priors: FloatArray,
    flux_std_cgs: FloatArray,
    abs_b_deg: FloatArray,
    glon_deg: FloatArray | None = None,
    log_nh: FloatArray | None = None,
) -> FloatArray:
    """Published number of each class per square degree above fluxes in 0.2-12 keV, (N, K).

    Classes of one population share it by their priors, (K,). A class without published counts has NaN. For the other
    parameters see `Population.brighter_per_deg2`.
    """
    flux = np.asarray(flux_std_cgs, dtype=np.float64)
    number = np.zeros((flux.size, len(classes)))
    number[:, ~np.array(counted(classes), dtype=bool)] = np.nan
    for population in populations():
        members = [k for k, name in enumerate(classes) if _has(population, name)]
        if members:
            share = np.asarray(priors, dtype=np.float64)[members]
            of_all = population.brighter_per_deg2(flux, abs_b_deg, glon_deg, log_nh)
            number[:, members] += of_all[:, None] * share / share.sum()
    return number


def per_deg2_and_dex(
    classes: Sequence[str],
    priors: FloatArray,
    flux_std_cgs: FloatArray,
    abs_b_deg: FloatArray,
    glon_deg: FloatArray | None = None,
    log_nh: FloatArray | None = None,
) -> FloatArray:
    """Published number of each class per square degree and dex of flux, (N, K); see `brighter_per_deg2`."""
    flux, half = np.asarray(flux_std_cgs, dtype=np.float64), 10.0 ** (_STEP_DEX / 2)
    faint, bright = (
        brighter_per_deg2(classes, priors, each, abs_b_deg, glon_deg, log_nh) for each in (flux / half, flux * half)
    )
    return np.asarray((faint - bright) / _STEP_DEX)
