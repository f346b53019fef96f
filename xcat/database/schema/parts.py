"""What the tables are made of: columns that know type, range and meaning by their names, and three kinds of table.

Tables are written as the names of their columns: ``"source_id name error?"``, where a question mark allows NULL.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB, REAL
from sqlalchemy.types import TypeEngine

from xcat.columns.registry import columns

SCHEMA = "xcat"
PUB = "pub"
PEOPLE = "people"
SCHEMAS = (SCHEMA, PUB, PEOPLE)

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    },
)

# Names are looked up whatever their case and blanks are.
NAME_KEY = r"lower(regexp_replace(name, '\s'::text, ''::text, 'g'::text))"

# A name has one type in all tables, but for the three whose type is given with them. What is not listed is real.
_NAMES: list[tuple[TypeEngine[Any], str]] = [
    (SmallInteger(), "catalogue_id category_id class_id fold match_flag mission_rank n_missing n_missions part rank"),
    (SmallInteger(), "place source_kind term_id term_no pattern searched"),
    (Integer(), "run_id pipeline_run_id source_run_id link_run_id match_run_id property_run_id label_run_id"),
    (Integer(), "model_run_id first_run_id file_id healpix publication_id version quality_flag seed n_candidates"),
    (Integer(), "n_detections n_objects n_reference n_secure n_shifted n_shifted_above n_sources n_sources_above"),
    (Integer(), "n_upper_limits n_flawed pid execution_limit_s"),
    (Integer(), "bin block n_bins n_blocks product_id"),
    (Integer(), "account_id n_votes notice_id remark_id volunteer_id watched_run_id watchlist_id"),
    (BigInteger(), "source_id other_source_id master_id old_master_id new_master_id object_id reject_id hpx29"),
    (BigInteger(), "row_number n_as_bright n_bytes n_rejected n_rows occupied_parts old_source_id vote_id"),
    (Boolean(), "accepted active has_infrared has_optical has_properties has_spectrum in_test_sample is_ambiguous"),
    (Boolean(), "is_paused"),
    (Boolean(), "is_best is_best_of_master is_chosen is_classifiable is_current is_hyperluminous is_out_of_fold"),
    (Boolean(), "flux_is_doubtful is_outlier is_pair missions_agree behind_galaxy observed_infrared observed_optical"),
    (Boolean(), "is_doubtful is_limit limits_before_galaxy"),
    (Boolean(), "is_on withdrawn is_retired is_simulated"),
    (Text(), "alternative catalogue category change class class_native column_name config_key definition_sha256"),
    (Text(), "error error_column file_name folds galaxy kind known_class known_class_of_master label_ref"),
    (Text(), "limit_column method name observed_column origin other_missions pinned property reason sha256 status"),
    (Text(), "table_name term value gate label how why removed_why cause old_class old_counterpart counterpart"),
    (Text(), "weighting flaws band adql answer asked_as body changed feed_key mail new_value old_value"),
    (Text(), "assigned_by class_kind instrument mission part_of product_kind"),
    (Text(), "password_hash title token_sha256"),
    (Text(), "job_id client client_run_id phase media_type"),
    (Text(), "cancelled_by cron data_folder hook host last_outcome os_user pipeline_file stage step time_zone"),
    (Text(), "infrared_catalogue infrared_native_id optical_catalogue optical_native_id"),
    (Text(collation="C"), "mission_source native_id obs_id source_native_id"),
    (DateTime(timezone=True), "started_at ended_at published_at created_at removed_at"),
    (DateTime(timezone=True), "beat_at cancelled_at added_at next_at last_at destruction_at expires_at voted_at"),
    (JSONB(), "config definition inputs options parameters record summary versions"),
    (DOUBLE_PRECISION(), "ra dec glon glat epoch_yr mjd mjd_first mjd_last sep_arcsec sep_nucleus_arcsec"),
    (DOUBLE_PRECISION(), "infrared_sep_arcsec optical_sep_arcsec offset_ra_arcsec offset_dec_arcsec"),
    (DOUBLE_PRECISION(), "offset_err_arcsec rotation_deg rotation_err_deg density_per_deg2 density_low_per_deg2"),
    (DOUBLE_PRECISION(), "density_high_per_deg2 density_counterparts density_field ellipse_deg2 bin_low bin_high"),
    (DOUBLE_PRECISION(), "bandwidth contamination cutoff false_rate inverse_ridge log_bayes_factor log_missing"),
    (DOUBLE_PRECISION(), "log_offset log_present log_ratio n_background n_present p_contaminant prior sharpness"),
    (DOUBLE_PRECISION(), "smoothing tail_slope typical_error weight log_objects_low err_low_arcsec reach_arcsec"),
    (
        DOUBLE_PRECISION(),
        "err_typical_arcsec epoch_mean_yr epoch_std_yr prior_shape mean_of_all radius_arcsec threshold",
    ),
    (DOUBLE_PRECISION(), "category_share old_property_value property_value"),
    (DOUBLE_PRECISION(), "mjd_low mjd_high n_background_counts n_counts time_mjd width_s"),
    (ARRAY(DOUBLE_PRECISION), "grid grid_2 log_above log_atoms log_density log_smeared mixing outlier_levels"),
    (ARRAY(DOUBLE_PRECISION), "best_levels outlier_p log_odds completenesses cutoffs log_back log_alone pool_means"),
    (ARRAY(DOUBLE_PRECISION), "column_shift confusion"),
    (ARRAY(Integer), "pools depth_cells"),
    (ARRAY(BigInteger), "source_ids"),
    (ARRAY(REAL), "changes evidence offset_changes p p_err depth_mags"),
    (ARRAY(Text), "absence_columns axes catalogues objects scales"),
]
_TYPE = {name: type_ for type_, names in _NAMES for name in names.split()}

# The values that a column may have. q3c takes any number for an angle (dec=100 has a pixel), so the table is where
# nonsense stops. NaN sorts above every number in PostgreSQL, also above infinity: upper bounds refuse both.
_RANGE = {
    "ra": "ra >= 0 AND ra < 360",
    "dec": "dec >= -90 AND dec <= 90",
    "err_arcsec": "err_arcsec > 0 AND err_arcsec < 3600",
    "d25_arcmin": "d25_arcmin >= 0 AND d25_arcmin < 1200",
    "axis_ratio": "axis_ratio > 0 AND axis_ratio <= 1",
    "prior": "prior > 0 AND prior <= 1",
    "n_objects": "n_objects > 0",
    "match_flag": "match_flag IN (0, 1, 2)",
    "log_offset": "log_offset > '-Infinity' AND log_offset < 'Infinity'",
    "mixing": "'Infinity' > ALL (mixing) AND '-Infinity' < ALL (mixing)",
    "p": "0 <= ALL (p) AND 1 >= ALL (p) AND array_position(p, NULL) IS NULL",
}
for _form, _names in {
    "{} >= 0 AND {} <= 1": "completeness cutoff false_rate margin p_any p_hypothesis p_i p_tail p_variable"
    " p_variable_long stability familiarity category_share",
    "{} >= 0 AND {} < 'Infinity'": "density_per_deg2 outlier sep_arcsec tail_slope weight",
    "{} > 0 AND {} < 'Infinity'": "inverse_ridge sharpness smoothing",
    "{} >= 1": "category_id class_id term_id",
}.items():
    _RANGE |= {name: _form.replace("{}", name) for name in _names.split()}


def column(name: str, type_: TypeEngine[Any] | None = None, *args: Any, **kwargs: Any) -> Column[Any]:
    """Make a column with the type of its name, if none is given, and a COMMENT from the registry."""
    meaning, type_ = columns()[name], type_ or _TYPE.get(name, REAL())
    about = {"unit": meaning.unit, "ucd": meaning.ucd}
    return Column(name, type_, *args, comment=meaning.comment, info=about, **kwargs)


def fields(names: str, *, is_checked: bool = True) -> list[Any]:
    """Columns by name, with the CHECKs of their ranges."""
    items: list[Any] = []
    for item in names.split():
        name = item.removesuffix("?")
        items.append(column(name, nullable=item != name))
        if is_checked and name in _RANGE:
            items.append(CheckConstraint(_RANGE[name], name=name))
    return items


def nullable(names: Iterable[str]) -> str:
    """The names of columns that may be NULL, for `fields`."""
    return " ".join(f"{name}?" for name in names)


def numbered(name: str) -> Column[Any]:
    """Primary key that the database counts."""
    return column(name, None, Identity(), primary_key=True)


def part_of(name: str, parent: str, **kwargs: Any) -> Column[Any]:
    """Column of the same name in a parent table, with whose row this one goes."""
    return column(name, None, ForeignKey(f"{parent}.{name}", ondelete="CASCADE"), **({"nullable": False} | kwargs))


def points_to(name: str, parent: str, **kwargs: Any) -> Column[Any]:
    """Column of the same name in a parent table, whose row must stay while this one is there."""
    return column(name, None, ForeignKey(f"{parent}.{name}"), **({"nullable": False} | kwargs))


def one_of(name: str, values: str) -> list[Any]:
    """A required text column that has one of some values."""
    check = CheckConstraint(f"{name} IN ({', '.join(map(repr, values.split()))})", name=name)
    return [column(name, nullable=False), check]


def ellipse() -> list[Any]:
    """Columns and check of an error ellipse."""
    known = "err_min_arcsec > 0 AND err_maj_arcsec >= err_min_arcsec AND err_maj_arcsec < 3600"
    check = CheckConstraint(f"err_maj_arcsec IS NULL OR {known}", name="ellipse")
    return [*fields("err_maj_arcsec? err_min_arcsec? err_pa_deg?"), check]


def sky_index(name: str) -> Index:
    """Index for searches by position."""
    return Index(f"{name}_q3c_idx", text("public.q3c_ang2ipix(ra, dec)"))


def book(name: str, comment: str, *items: Any, is_checked: bool = True, **options: Any) -> Table:
    """Make a table; text among the items is the names of columns."""
    parts = (fields(item, is_checked=is_checked) if isinstance(item, str) else [item] for item in items)
    return Table(name, metadata, *chain.from_iterable(parts), comment=comment, **options)


BY_CATALOGUE, BY_RUN, BY_BLOCK_OF_RUNS = "LIST (catalogue_id)", "LIST (run_id)", "RANGE (run_id)"


def partitioned(by: str) -> dict[str, Table]:
    """All tables that are partitioned in one way, by name."""
    return {t.name: t for t in metadata.tables.values() if t.dialect_options["postgresql"]["partition_by"] == by}


def catalogue_table(name: str, comment: str, *items: Any) -> Table:
    """Make a table with one partition per version of a catalogue."""
    # no foreign keys here: a trigger for each row would cost more than the COPY; the partition is the guard
    keys = PrimaryKeyConstraint("catalogue_id", "object_id"), UniqueConstraint("catalogue_id", "native_id")
    columns_of_all = "catalogue_id object_id file_id native_id"
    return book(name, comment, columns_of_all, *items, *keys, sky_index(name), postgresql_partition_by=BY_CATALOGUE)


def run_table(name: str, comment: str, *items: Any, key: str) -> Table:
    """Make a table with one partition per run."""
    primary = PrimaryKeyConstraint("run_id", *key.split())
    return book(name, comment, "run_id", *items, primary, postgresql_partition_by=BY_RUN)
