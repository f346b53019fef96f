"""What the service says of itself: availability, capabilities, tables (VOSI 1.1, TAPRegExt 1.0) and its record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import AnyUrl
from vo_models.tapregext import models as tap
from vo_models.voresource.models import AccessURL, Capability, Interface
from vo_models.vosi import availability, capabilities, tables

from xcat.config import Settings
from xcat.service.tap.features import FEATURES
from xcat.service.tap.formats import FORMATS
from xcat.service.tap.tables import Described

_STARTED = datetime.now(UTC)
_TAP = "ivo://ivoa.net/std/TAPRegExt"
_VOSI = "ivo://ivoa.net/std/VOSI"
_OF_ADQL = "ivo://ivoa.net/std/ADQL#v{}"
_ABOUT = (
    "ADQL with COALESCE; positions are ICRS in degrees. REGION takes Position, Circle, Box and Polygon of STC-S; MOC "
    "takes cells in ASCII, for positions of tables with the column hpx29. Not supported: other frames; ellipses, "
    "Convex, Union, Intersection and Not of STC-S; MOC of an order and a geometry; AREA and CENTROID of polygons "
    "from columns"
)
_DAY_S = 86_400


def available(problem: str | None) -> str:
    """The document of availability."""
    note = [problem] if problem else []
    return _xml(availability.Availability(available=problem is None, up_since=_STARTED, note=note), skip_empty=True)


def capabilities_of(settings: Settings, base: str) -> str:
    """The document of capabilities, with every limit.

    Parameters
    ----------
    base : str
        Address of the service, without a slash at its end.
    """
    return _xml(capabilities.VOSICapabilities(capability=[_tap(settings, base), *_others(base)]), skip_empty=True)


def _tap(settings: Settings, base: str) -> tap.TableAccess:
    languages = [tap.Version(value=v, ivo_id=_OF_ADQL.format(v)) for v in ("2.1", "2.0")]
    features = [
        tap.LanguageFeatureList(type=f"{_TAP}#features-{kind}", feature=[tap.LanguageFeature(form=f) for f in forms])
        for kind, forms in FEATURES.items()
    ]
    n_bytes = int(settings.tap_upload_mb * 1e6)
    limits = (
        f"{settings.tap_client_queries} queries of one client run at once, of {settings.tap_queries} in all; a query "
        f"at /sync may take {settings.tap_timeout_s:g} s, its result {settings.tap_result_mb:g} MB; "
        f"{settings.tap_client_jobs} jobs of one client are kept; {settings.tap_jobs} of all clients run at once"
    )
    return tap.TableAccess(
        description=f"The published classification of X-ray sources. Limits: {limits}.",
        interface=[_interface(f"{base}/tap", "base", role="std", version="1.1")],
        language=[tap.Language(name="ADQL", version=languages, description=_ABOUT, language_features=features)],
        output_format=[tap.OutputFormat(mime=form.media, alias=_aliases(form.names)) for form in FORMATS],
        upload_method=[tap.UploadMethod(ivo_id=f"{_TAP}#upload-{how}") for how in ("inline", "http")],
        retention_period=tap.TimeLimits(default=_keep_s(settings), hard=_keep_s(settings)),
        execution_duration=tap.TimeLimits(
            default=int(settings.tap_job_timeout_s), hard=int(settings.tap_job_timeout_s)
        ),
        output_limit=tap.DataLimits(
            default=tap.DataLimit(value=settings.tap_rows, unit="row"),
            hard=tap.DataLimit(value=settings.tap_most_rows, unit="row"),
        ),
        upload_limit=tap.DataLimits(
            default=tap.DataLimit(value=n_bytes, unit="byte"), hard=tap.DataLimit(value=n_bytes, unit="byte")
        ),
    )


def _aliases(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if "/" not in name or name.startswith("votable")]


def _keep_s(settings: Settings) -> int:
    return int(settings.tap_keep_days * _DAY_S)


def _interface(url: str, use: Any, **facts: Any) -> Interface:
    return Interface(type="vs:ParamHTTP", access_url=[AccessURL(value=AnyUrl(url), use=use)], **facts)


def _capability(standard: str, interface: Interface) -> Capability:
    return Capability(standard_id=AnyUrl(standard), interface=[interface])


def _others(base: str) -> list[Capability]:
    examples = AccessURL(value=AnyUrl(f"{base}/tap/examples"), use="full")
    return [
        *(
            _capability(f"{_VOSI}#{name}", _interface(f"{base}/tap/{name}", "full"))
            for name in ("availability", "capabilities")
        ),
        _capability(f"{_VOSI}#tables-1.1", _interface(f"{base}/tap/tables", "full", version="1.1")),
        _capability("ivo://ivoa.net/std/DALI#examples", Interface(type="vr:WebBrowser", access_url=[examples])),
    ]


def tables_of(described: Described, *, columns: bool = True) -> str:
    """The document of all tables; without their columns where these are not wanted."""
    listed: list[Any] = [
        {
            "schema_name": schema["schema_name"],
            "description": schema["description"],
            "table": [
                _table(described, row, columns)
                for row in described.tables
                if row["schema_name"] == schema["schema_name"]
            ],
        }
        for schema in described.schemas
    ]
    return _xml(tables.VOSITableSet(tableset_schema=listed), skip_empty=True)


def table_of(described: Described, name: str) -> str | None:
    """The document of one table; None if there is none of this name."""
    row = next((row for row in described.tables if row["table_name"] == name), None)
    return None if row is None else _xml(tables.VOSITable(**_table(described, row, True)), skip_empty=True)


def _table(described: Described, row: dict[str, Any], columns: bool) -> dict[str, Any]:
    name = row["table_name"]
    facts: dict[str, Any] = {
        "table_type": row["table_type"],
        "table_name": name,
        "description": row["description"],
    }
    if columns:
        facts["column"] = [_column(column) for column in described.columns[name]]
        facts["foreign_key"] = [
            {
                "target_table": key["target_table"],
                "fk_column": [
                    {"from_column": a, "target_column": b}
                    for a, b in zip(key["from_columns"], key["target_columns"], strict=True)
                ],
                "description": key["description"],
            }
            for key in described.keys
            if key["from_table"] == name
        ]
    return facts


def _column(row: dict[str, Any]) -> dict[str, Any]:
    # xtype is left out: VODataService 1.1, whose schema the validators use, has no element for it
    names = ("column_name", "description", "unit", "ucd", "utype", "datatype", "arraysize")
    flags = [flag for flag in ("indexed", "principal", "std") if row[flag]]
    return {name: row[name] for name in names if row[name]} | {"flag": flags}


def _xml(model: Any, *, skip_empty: bool) -> str:
    text: bytes | str = model.to_xml(encoding="UTF-8", standalone=None, skip_empty=skip_empty)
    return text.decode() if isinstance(text, bytes) else text
