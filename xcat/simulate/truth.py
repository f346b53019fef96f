"""The true object behind each detection, and the true properties of each object; no stage of xcat reads them."""

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.simulate.counterpart_tables import TABLES, CounterpartTable
from xcat.simulate.counterparts import Field, Magnitudes
from xcat.simulate.missions import MISSIONS
from xcat.simulate.observe import FLAWS, Detections
from xcat.simulate.pointings import PLACES, Galaxies, Pointings
from xcat.simulate.populations import CLASSES, KIND_NAMES, Objects
from xcat.simulate.references import CATALOGUES, Labels
from xcat.simulate.write import Columns


def no_counterparts(n_objects: int) -> Columns:
    """The column of identifiers of each counterpart catalogue, '' for none."""
    return {f"{name}_id": np.full(n_objects, "", dtype="U24") for name in TABLES}


def fill_in(ids: Columns, name: str, field: Field, table: CounterpartTable) -> None:
    """Write the identifiers of true counterparts into the column of a catalogue."""
    _, native_id, field_index = table
    owner = field.owner[field_index]
    own = owner >= 0
    ids[f"{name}_id"][owner[own]] = native_id[own]


def xray_truth(
    mission: str, d: Detections, native_id: np.ndarray, objects: Objects, pointings: Pointings, ids: Columns
) -> Columns:
    """One row per detection: mission, native id, true object, class, position at that epoch, flaw, counterparts.

    `searched` is false where no counterpart catalogue has an object because none has looked there.
    """
    names = np.array([*CLASSES, ""])
    number, spurious = d.object, d.object < 0
    return {
        "mission": np.full(number.size, mission),
        "native_id": native_id,
        "object_id": number,
        "class": names[np.where(spurious, len(CLASSES), objects.class_id[number])],
        "is_spurious": spurious,
        "true_ra": d.true_ra_deg,
        "true_dec": d.true_dec_deg,
        "flaw": np.array(FLAWS)[d.flaw],
        "searched": pointings.searched(d.pointing, d.true_ra_deg, d.true_dec_deg),
    } | {name: np.where(spurious, "", values[number]) for name, values in ids.items()}


def object_truth(
    objects: Objects,
    pointings: Pointings,
    galaxies: Galaxies,
    magnitudes: Magnitudes,
    labels: Labels,
    detections: tuple[Detections, ...],
    ids: Columns,
) -> Columns:
    """One row per object: everything that was drawn for it, positions for epoch 2016.0."""
    n = objects.kind.size
    host = pointings.host[objects.pointing]
    columns: dict[str, FloatArray | IntArray | np.ndarray] = {
        "object_id": np.arange(n),
        "class": np.array(CLASSES)[objects.class_id],
        "kind": np.array(KIND_NAMES)[objects.kind],
        "place": np.array(PLACES)[pointings.place[objects.pointing]],
        "field_host": np.where(host >= 0, galaxies.name[host], ""),
        "ra": objects.ra_deg,
        "dec": objects.dec_deg,
        **{name: getattr(objects, name) for name in ("pmra_mas_yr", "pmdec_mas_yr", "distance_pc")},
        "searched": pointings.searched(objects.pointing, objects.ra_deg, objects.dec_deg),
        "flux_std_cgs": objects.flux_cgs,
        **{name: getattr(objects, name) for name in ("gamma", "nh_cm2", "av_mag", "transmission")},
        **{name: getattr(pointings, name)[objects.pointing] for name in ("nh_gal_cm2", "av_gal_mag")},
        "long_term_dex": objects.long_dex,
        **{f"mag_gaia_{band}": getattr(magnitudes, band) for band in ("g", "bp", "rp")},
        **{f"mag_{band}": getattr(magnitudes, band) for band in ("k", "w1", "w2")},
    }
    for mission, d in zip(MISSIONS, detections, strict=True):
        columns[f"n_{mission.name}"] = np.bincount(d.object[d.object >= 0], minlength=n)
    for name, members in zip(CATALOGUES, labels.listed, strict=True):
        columns[f"in_{name}"] = np.isin(np.arange(n), members)
    return columns | ids
