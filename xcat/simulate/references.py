"""A reference sample like those of the literature: bright, biased, and with errors.

Known AGN are optically bright and out of the plane, known X-ray binaries X-ray bright with old positions; one
label in a hundred is wrong, and a few objects are in two catalogues that contradict each other.
"""

from dataclasses import dataclass

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.simulate.counterparts import Magnitudes
from xcat.simulate.pointings import random_sky
from xcat.simulate.populations import AGN, CV, KIND_NAMES, STAR, XRB, Objects, kind_values
from xcat.simulate.rows import moved, numbered, sexagesimal
from xcat.simulate.write import Columns
from xcat.sky.geometry import offset, to_galactic

EPOCH_YR = 2000.0
CATALOGUES = ("ref_agn", "ref_star", "ref_xrb", "ref_cv", "ref_extended")
# Labelled objects per X-ray source of the sky: 9,000 AGN, 3,500 stars, 350 XRB, 200 CV of 60,000.
LABELLED_PER_SOURCE = (9_000 / 60_000, 3_500 / 60_000, 350 / 60_000, 200 / 60_000)
WRONG_FRACTION = 0.01
CONFLICT_FRACTION = 0.004
# Objects of the same catalogues outside all pointings, per object inside.
ELSEWHERE = 0.5
_DOUBTFUL = 0.02
_XRB_CATALOGUE, _CV_CATALOGUE = 2, 3
_CONFUSED_WITH = (1, 0, 3, 2)  # AGN with stars, X-ray binaries with CVs
_POSITION_ERROR_ARCSEC = (0.3, 0.1, 1.0, 0.5, 2.0)  # typical, 1 sigma per axis
# What each catalogue calls the kinds of its objects.
_TYPES: tuple[dict[str, tuple[str, ...]], ...] = (
    {"type 1": ("QSO", "Sy1"), "type 2": ("Sy2",), "blazar": ("BLLac",)},
    {"FGK star": ("Star",), "M dwarf": ("Flare",), "YSO": ("YSO",), "OB star": ("Em",)},
    {"LMXB": ("LMXB",), "HMXB": ("HMXB",), "extragalactic XRB": ("XB",)},
    {"non-magnetic CV": ("DN", "NL"), "magnetic CV": ("AM", "DQ")},
    {"galaxy cluster": ("Cluster",), "SNR": ("SNR",)},
)
# Of the extended objects, clusters of galaxies and supernova remnants, the brightest in X-rays are known.
_EXTENDED_KNOWN = 0.4


@dataclass(frozen=True)
class Labels:
    """Which objects each reference catalogue lists, right or wrong; index into the objects."""

    listed: tuple[IntArray, ...]
    n_wrong: int
    n_conflict: int


def choose(rng: np.random.Generator, objects: Objects, magnitudes: Magnitudes, best_snr: FloatArray) -> Labels:
    """Draw the labelled objects, without replacement, weighted by how well known such an object would be."""
    _, glat = to_galactic(objects.ra_deg, objects.dec_deg)
    log_flux = np.log10(objects.flux_cgs)
    off_plane = 2.0 * np.clip((np.abs(glat) - 8) / 20, 0, 1)
    fame = (
        -0.9 * np.clip(magnitudes.rp - 17, -3, 8) + off_plane,
        -0.5 * np.clip(magnitudes.rp - 8, -2, 12) + 0.3 * log_flux,
        1.3 * log_flux + 1.5 * np.isfinite(objects.distance_pc),
        -0.6 * np.clip(magnitudes.rp - 16, -3, 8) + 0.8 * log_flux,
    )
    taken = np.zeros(objects.kind.size, dtype=bool)
    own: list[IntArray] = []
    for c, per_source in zip((AGN, STAR, XRB, CV), LABELLED_PER_SOURCE, strict=True):
        member = np.flatnonzero(objects.class_id == c)
        n = min(max(round(per_source * objects.kind.size), 5), member.size)
        # the n largest of weight + Gumbel noise: a weighted draw without replacement
        score = fame[c][member] + 0.4 * np.log10(best_snr[member]) + rng.gumbel(size=member.size)
        own.append(np.sort(member[np.argsort(-score, kind="stable")[:n]]))
        taken[own[-1]] = True
    unlisted = np.flatnonzero(~taken & (magnitudes.rp < 20))
    labels = _with_errors(rng, own, unlisted, objects.class_id[unlisted])
    extended = np.flatnonzero(kind_values(objects.kind, "extent_arcsec") > 0)
    brightest = extended[np.argsort(-objects.flux_cgs[extended], kind="stable")]
    catalogued = np.sort(brightest[: round(_EXTENDED_KNOWN * brightest.size)])
    return Labels((*labels.listed, catalogued), labels.n_wrong, labels.n_conflict)


def _with_errors(rng: np.random.Generator, own: list[IntArray], unlisted: IntArray, unlisted_class: IntArray) -> Labels:
    """Swap some entries for objects of another class, and copy a few into a second catalogue."""
    n_conflict = max(round(CONFLICT_FRACTION * sum(members.size for members in own)), 2)
    listed = []
    n_wrong = 0
    for c, members in zip((AGN, STAR, XRB, CV), own, strict=True):
        n = max(round(WRONG_FRACTION * members.size), 1)  # at least one, even in the smallest sky
        strangers = rng.permutation(unlisted[unlisted_class != c])[:n]
        listed.append(np.concatenate([rng.permutation(members)[strangers.size :], strangers]))
        n_wrong += strangers.size
    source = rng.choice(4, n_conflict, p=[0.45, 0.3, 0.1, 0.15])
    copied = 0
    for c in range(4):
        members = rng.permutation(listed[c])[: int((source == c).sum())]
        second = _CONFUSED_WITH[c]
        listed[second] = np.union1d(listed[second], members)
        copied += members.size
    return Labels(tuple(np.unique(x) for x in listed), n_wrong, copied)


def reference_table(rng: np.random.Generator, c: int, members: IntArray, objects: Objects) -> Columns:
    """Columns of one catalogue: name, ra, dec, err (arcsec, 1 sigma per axis), type.

    The catalogues of X-ray binaries and CVs are old ones: their positions are sexagesimal text.
    """
    n_elsewhere = round(ELSEWHERE * members.size)
    ra_elsewhere, dec_elsewhere = random_sky(rng, n_elsewhere)
    n = members.size + n_elsewhere
    err = _POSITION_ERROR_ARCSEC[c] * 10 ** np.abs(rng.normal(0, 0.25, n))
    if c == _XRB_CATALOGUE:
        # one in five is known from an X-ray position of some arcsec only
        err = np.where(rng.random(n) < 0.2, rng.uniform(2, 5, n), err)
    err = np.round(err, 2)
    # positions of the catalogue's epoch: its readers have to apply the proper motion since then
    o = objects[members]
    ra, dec = moved(o.ra_deg, o.dec_deg, o.pmra_mas_yr, o.pmdec_mas_yr, EPOCH_YR)
    ra, dec = np.concatenate([ra, ra_elsewhere]), np.concatenate([dec, dec_elsewhere])
    ra, dec = offset(ra, dec, err * rng.standard_normal(n), err * rng.standard_normal(n))
    types = _types(rng, c, objects.kind[members], n)
    order = rng.permutation(n)
    ra, dec, err, types = ra[order], dec[order], err[order], types[order]
    columns: Columns = {"name": numbered(CATALOGUES[c][4:].upper() + " ", np.arange(1, n + 1), 6).astype("U")}
    if c in (_XRB_CATALOGUE, _CV_CATALOGUE):
        columns["ra"] = sexagesimal(ra, dec, 2, 1, "{h} {m} {s}.{fs}").astype("U")
        columns["dec"] = sexagesimal(ra, dec, 2, 1, "{sign}{d} {dm} {ds}.{fds}").astype("U")
    else:
        columns["ra"], columns["dec"] = np.round(ra, 6), np.round(dec, 6)
    columns["err"] = err
    columns["type"] = types
    return columns


def _types(rng: np.random.Generator, c: int, kind: IntArray, n: int) -> np.ndarray:
    """Types of n objects of a catalogue, of which the first are of these kinds; any of its types for all others."""
    every = np.array([name for names in _TYPES[c].values() for name in names])
    types = rng.choice(every, n)
    for name, of_kind in _TYPES[c].items():
        members = np.flatnonzero(kind == KIND_NAMES.index(name))
        types[members] = rng.choice(of_kind, members.size)
    if c != _XRB_CATALOGUE:  # doubtful objects are listed but are not labels: the definitions map them to no class
        types[rng.random(n) < _DOUBTFUL] = f"{every[0]}?"
    return types
