"""Documents of the Virtual Observatory held against their published schemas: tests/data/ivoa, astropy's of VOTable."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import astropy
from lxml import etree

_FOLDER = Path(__file__).parent / "data" / "ivoa"
_VOTABLE = Path(astropy.__file__).parent / "io" / "votable" / "data" / "VOTable.v1.4.xsd"
_STC = "http://www.ivoa.net/xml/STC/stc-v1.30.xsd"
_NO_STC = f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{_STC}">
<xs:element name="STCResourceProfile"/><xs:complexType name="stcDescriptionType"/></xs:schema>"""


class _Local(etree.Resolver):
    """Schemas by the ends of their addresses, from the folder; nothing comes from the network."""

    def resolve(self, address: str, public_id: str, context: object) -> object:
        name = address.rpartition("/")[2]
        if name == "stc.xsd":
            return self.resolve_string(_NO_STC, context)
        return self.resolve_filename(str(_FOLDER / name), context)


@cache
def _schema() -> etree.XMLSchema:
    places = [(etree.parse(file).getroot().get("targetNamespace"), file.as_uri()) for file in _FOLDER.glob("*.xsd")]
    imports = [f'<xs:import namespace="{space}" schemaLocation="{address}"/>' for space, address in sorted(places)]
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(_Local())
    whole = f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">{"".join(imports)}</xs:schema>'
    return etree.XMLSchema(etree.fromstring(whole.encode(), parser))


@cache
def _votable() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(_VOTABLE))


def errors(document: str | bytes) -> list[str]:
    """What is wrong with a document, each with its line."""
    root = etree.fromstring(document.encode() if isinstance(document, str) else document)
    schema = _votable() if root.tag.endswith("}VOTABLE") else _schema()
    schema.validate(root)
    return [f"line {error.line}: {error.message}" for error in schema.error_log]
