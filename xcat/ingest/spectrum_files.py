"""Spectra in the formats of OGIP: PHA files with their response (RMF), effective area (ARF) and background.

Arnaud & George 1992 (OGIP/92-007) for spectra, George et al. 1992 (CAL/GEN/92-002) for responses. The response and the
others are read from the folder of the spectrum, by the names that its header has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.time import Time

from xcat.errors import InputError
from xcat.ingest import product_files as files
from xcat.ingest.product_files import Floats, Product, Spectrum

#: Photon index of the power law that is drawn beside a spectrum: that of the factors between bands of missions.
INDEX = 1.7
LEAST_COUNTS = 20
"""Counts of a group of channels, at least."""
_SHOWN_KEV = (0.3, 10.0)
#: Telescopes whose RA_OBJ is the target of the pointing, whichever source of the field the spectrum is of.
_OF_FIELDS = ("XMM", "CHANDRA")
_PACKED = ("", ".gz", ".FTZ", ".ftz")


def read(path: Path, hdus: fits.HDUList) -> Product | None:
    """The spectrum of a PHA file, in groups of channels of at least 20 counts; None if it is a background.

    Raises
    ------
    InputError
        It cannot be used; names file, and row where there is one.
    """
    hdu = files.table(path, hdus, "SPECTRUM")
    header = hdu.header
    if str(header.get("HDUCLAS2", "")).strip() == "BKG":
        return None
    exposure_s = files.exposure(path, header)
    channel, counts, rows = _counts(path, hdu, exposure_s)
    named = {key: _named(path, header, key) for key in ("RESPFILE", "ANCRFILE", "BACKFILE")}
    response = named["RESPFILE"]
    if response is None:
        raise InputError(f"{path}: header: RESPFILE names no response; without it channels have no energies")
    with files.opened(response, files.content(response)) as opened:
        low, high, at = _energies(path, response, opened, channel, rows)
        expected = _folded(response, opened, named["ANCRFILE"], at)
    background, background_var = _background(path, header, named["BACKFILE"], exposure_s, channel)
    inside = _good(path, hdu) & (low >= _SHOWN_KEV[0]) & (high <= _SHOWN_KEV[1])
    order = np.flatnonzero(inside)[np.argsort(low[inside], kind="stable")]
    if not order.size or not counts[order].sum() > 0:
        raise InputError(f"{path}: there is no count in good channels between {_SHOWN_KEV[0]} and {_SHOWN_KEV[1]} keV")
    first = groups(counts[order])
    last = np.concatenate([first[1:], [order.size]]) - 1

    def total(values: Floats) -> Floats:
        return np.asarray(np.add.reduceat(values[order], first))

    low_kev, high_kev = low[order][first], high[order][last]
    made, behind, width = total(counts), total(background), high_kev - low_kev
    per = 1.0 / (exposure_s * width)
    model = total(expected)
    net = float((made - behind).sum())
    model *= net / model.sum() if model.sum() > 0 and net > 0 else np.nan
    error = np.sqrt(made + total(background_var)) * per
    spectrum = Spectrum(
        low_kev, high_kev, made, behind if named["BACKFILE"] else np.full(len(made), np.nan), (made - behind) * per,
        error, model * per,
    )  # fmt: skip
    telescope = str(header.get("TELESCOP", "?")).strip()
    header_facts: dict[str, Any] = {
        "name": str(header.get("OBJECT", "")).strip(),
        "pointing": files.place(header, ("RA_PNT", "DEC_PNT"), ("RA_NOM", "DEC_NOM")),
        "position": None if telescope in _OF_FIELDS else files.place(header, ("RA_OBJ", "DEC_OBJ")),
        "mjd": _start(header),
    }
    mission = {"CHANDRA": "Chandra", "SWIFT": "Swift", "XMM": "XMM-Newton"}.get(telescope, telescope)
    names = (str(header.get(key, "")).strip() or None for key in ("INSTRUME", "OBS_ID"))
    instrument, obs_id = names
    band = float(low_kev[0]), float(high_kev[-1])
    return Product(spectrum, mission, instrument, obs_id, band, exposure_s, header_facts)


def companions(path: Path, hdus: fits.HDUList) -> list[Path]:
    """Files that the spectrum of a PHA file needs, so that a change of one of them is a change of the spectrum."""
    header = files.table(path, hdus, "SPECTRUM").header
    there = (_named(path, header, key) for key in ("RESPFILE", "ANCRFILE", "BACKFILE"))
    return [each for each in there if each is not None]


def groups(counts: Floats, least: float = LEAST_COUNTS) -> Any:
    """First channel of each group of channels that have enough counts together; what is left over joins the last."""
    first, running = [0], 0.0
    for i, value in enumerate(counts):
        running += value
        if running >= least and i + 1 < len(counts):
            first.append(i + 1)
            running = 0.0
    if running < least and len(first) > 1:
        first.pop()
    return np.array(first)


def _counts(path: Path, hdu: fits.BinTableHDU, exposure_s: float) -> tuple[Any, Floats, Any]:
    names = {name.upper() for name in hdu.columns.names}
    channel = files.numbers(path, hdu, "CHANNEL")
    if channel.ndim != 1:
        raise InputError(f"{path}: holds several spectra (PHA type II); split it into files of one spectrum each")
    if not len(channel):
        raise InputError(f"{path}: the spectrum has no channels")
    rows = np.arange(1, len(channel) + 1)
    if "COUNTS" in names:
        counts = files.numbers(path, hdu, "COUNTS")
    else:
        counts = files.numbers(path, hdu, "RATE", "ct / s") * exposure_s
    refuse = files.refuse
    refuse(path, ~np.isfinite(channel), rows, lambda i: f"CHANNEL is {channel[i]}")
    refuse(path, ~np.isfinite(counts) | (counts < 0), rows, lambda i: f"there are {counts[i]:g} counts")
    return channel.astype(int), counts, rows


def _good(path: Path, hdu: fits.BinTableHDU) -> Any:
    if "QUALITY" in {name.upper() for name in hdu.columns.names}:
        return files.numbers(path, hdu, "QUALITY") == 0
    return np.full(len(hdu.data), int(hdu.header.get("QUALITY", 0)) == 0)


def _named(path: Path, header: fits.Header, key: str) -> Path | None:
    """The file beside a spectrum that its header names, packed or not."""
    name = Path(str(header.get(key, "") or "none").strip()).name
    if name.lower() in ("", "none"):
        return None
    bare = name.removesuffix(".gz")
    for end in _PACKED:
        there = path.parent / f"{bare}{end}"
        if there.is_file():
            return there
    raise InputError(f"{path}: its header names {key} {name}, which is not in its folder. Put it there")


def _energies(
    path: Path, response: Path, hdus: fits.HDUList, channel: Any, rows: Any
) -> tuple[Floats, Floats, tuple[Any, int]]:
    """Lower and upper energies of channels in keV, and where each is among those of the response."""
    bounds = files.table(response, hdus, "EBOUNDS")
    numbered = files.numbers(response, bounds, "CHANNEL").astype(int)
    order = np.argsort(numbered)
    at = np.clip(np.searchsorted(numbered[order], channel), 0, len(numbered) - 1)
    files.refuse(
        path, numbered[order][at] != channel, rows,
        lambda i: f"channel {channel[i]} is not in the response {response.name} ({numbered.min()} to {numbered.max()})",
    )  # fmt: skip
    ends = [files.numbers(response, bounds, name, "keV")[order] for name in ("E_MIN", "E_MAX")]
    low, high = np.minimum(*ends), np.maximum(*ends)
    files.refuse(response, ~(high > low), numbered[order], lambda i: f"E_MIN {low[i]:g} is not below E_MAX {high[i]:g}")
    return low[at], high[at], (channel - int(numbered.min()), len(numbered))


def _folded(response: Path, hdus: fits.HDUList, area: Path | None, at: tuple[Any, int]) -> Floats:
    """Counts of a power law of index 1.7 in every channel, up to a factor."""
    hdu = next((h for h in hdus if h.name in ("MATRIX", "SPECRESP MATRIX")), None)
    if hdu is None:
        raise InputError(f"{response}: there is no table MATRIX")
    low, high = (np.maximum(files.numbers(response, hdu, n, "keV"), 1e-3) for n in ("ENERG_LO", "ENERG_HI"))
    photons = low ** (1.0 - INDEX) - high ** (1.0 - INDEX)
    if area is not None:
        with files.opened(area, files.content(area)) as opened:
            effective = files.numbers(area, files.table(area, opened, "SPECRESP"), "SPECRESP", "cm2")
        if len(effective) != len(photons):
            raise InputError(f"{area}: has {len(effective)} energies, the response {response.name} {len(photons)}")
        photons = photons * effective
    index = {column.name.upper(): i for i, column in enumerate(hdu.columns, 1)}
    first = int(hdu.header.get(f"TLMIN{index.get('F_CHAN', 0)}", 1))
    channels, n = at
    out = np.zeros(n)
    data = hdu.data
    for i, (n_groups, starts, lengths, matrix) in enumerate(
        zip(data["N_GRP"], data["F_CHAN"], data["N_CHAN"], data["MATRIX"], strict=True)
    ):
        values, done = np.atleast_1d(matrix), 0
        for start, length in zip(np.atleast_1d(starts)[:n_groups], np.atleast_1d(lengths)[:n_groups], strict=True):
            a = int(start) - first
            if a < 0 or a + length > n or done + length > len(values):
                raise InputError(f"{response}: row {i + 1}: channels {start} to {start + length - 1} are not there")
            out[a : a + length] += photons[i] * values[done : done + length]
            done += int(length)
    return np.asarray(out[channels])


def _background(
    path: Path, header: fits.Header, background: Path | None, exposure_s: float, channel: Any
) -> tuple[Floats, Floats]:
    """Counts of the background in the area and exposure of the source, and their variance."""
    none = np.zeros(len(channel))
    if background is None:
        return none, none
    with files.opened(background, files.content(background)) as hdus:
        hdu = files.table(background, hdus, "SPECTRUM")
        behind_s = files.exposure(background, hdu.header)
        numbered, counts, _ = _counts(background, hdu, behind_s)
        scale = exposure_s / behind_s
        for key in ("BACKSCAL", "AREASCAL"):
            mine, its = (float(h.get(key, 1.0)) for h in (header, hdu.header))
            if mine <= 0 or its <= 0:
                raise InputError(f"{path if mine <= 0 else background}: header: {key} must be positive")
            scale *= mine / its
    of = dict(zip(numbered.tolist(), counts.tolist(), strict=True))
    made = np.array([of.get(c, 0.0) for c in channel.tolist()])
    return made * scale, made * scale**2


def _start(header: fits.Header) -> float | None:
    """Beginning of the observation, MJD."""
    if "MJD-OBS" in header:
        return float(header["MJD-OBS"])
    try:
        return float(Time(str(header["DATE-OBS"]).strip()).mjd)
    except (KeyError, ValueError):
        return None
