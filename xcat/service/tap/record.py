"""The record of the service for a registry of the Virtual Observatory (VOResource 1.1), to be published there."""

from __future__ import annotations

from datetime import UTC, datetime

from xcat import __version__
from xcat.config import Settings
from xcat.service.tap import vosi
from xcat.service.tap.tables import Described
from xcat.service.tap.votable import content

_SUBJECTS = ("x-ray-sources", "classification", "catalogs")
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<ri:Resource xmlns:ri="http://www.ivoa.net/xml/RegistryInterface/v1.0" xmlns:vr="http://www.ivoa.net/xml/VOResource/v1.0"
    xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1" xmlns:tr="http://www.ivoa.net/xml/TAPRegExt/v1.0"
    xmlns:cs="http://www.ivoa.net/xml/ConeSearch/v1.0" xmlns:vm="http://www.ivoa.net/xml/VOMetadata/v0.1"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="vs:CatalogService"
    created="{today}" updated="{today}" status="active">
  <title>Classified X-ray sources (xcat)</title>
  <shortName>xcat TAP</shortName>
  <identifier>ivo://{authority}/xcat/tap</identifier>
  <curation>
    <publisher>{publisher}</publisher>
    <creator><name>{publisher}</name></creator>
    <version>{version}</version>
    <contact><name>{publisher}</name></contact>
  </curation>
  <content>
    {subjects}
    <description>Classes, probabilities and counterparts of X-ray sources, with the evidence for each.</description>
    <source format="bibcode">2022A&amp;A...657A.138T</source>
    <referenceURL>{base}/tap/examples</referenceURL>
    <type>Catalog</type>
    <contentLevel>Research</contentLevel>
  </content>
"""
_CONE = """  <capability standardID="ivo://ivoa.net/std/ConeSearch" xsi:type="cs:ConeSearch">
    <interface xsi:type="vs:ParamHTTP" role="std"><accessURL use="base">{base}/scs?</accessURL></interface>
    <maxSR>{radius:g}</maxSR><maxRecords>{rows}</maxRecords><verbosity>true</verbosity>
    <testQuery><ra>266.417</ra><dec>-29.008</dec><sr>1</sr></testQuery>
  </capability>
"""


def record(settings: Settings, described: Described, base: str) -> str:
    """The record, with the address of this service; who publishes it puts in authority, publisher and contact."""
    from xcat.service.tap.cone import LARGEST_RADIUS_DEG

    head = _HEAD.format(
        today=datetime.now(UTC).strftime("%Y-%m-%dT00:00:00Z"),
        authority="authority.invalid",
        publisher="Name of the publisher",
        version=__version__,
        subjects="".join(f"<subject>{subject}</subject>" for subject in _SUBJECTS),
        base=content(base),
    )
    cone = _CONE.format(base=content(base), radius=LARGEST_RADIUS_DEG, rows=settings.tap_most_rows)
    capabilities = _inside(vosi.capabilities_of(settings, base))
    tables = _inside(vosi.tables_of(described, columns=False))
    return f"{head}{capabilities}\n{cone}  <tableset>{tables}</tableset>\n</ri:Resource>\n"


def _inside(document: str) -> str:
    """What the root of a document holds."""
    body = document[document.index("?>") + 2 :] if document.startswith("<?xml") else document
    start = body.index(">", body.index("<")) + 1
    return body[start : body.rindex("</")].strip()
