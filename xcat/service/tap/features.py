"""What of ADQL's optional parts is there, as TAPRegExt lists it."""

FEATURES = {
    "adqlgeo": (
        *("POINT", "CIRCLE", "BOX", "POLYGON", "CONTAINS", "INTERSECTS", "AREA", "CENTROID", "DISTANCE"),
        *("COORD1", "COORD2", "COORDSYS", "REGION"),
    ),
    "udf": ("MOC(cells VARCHAR) -> REGION",),
    "adql-string": ("LOWER", "UPPER", "ILIKE"),
    "adql-common-table": ("WITH",),
    "adql-sets": ("UNION", "EXCEPT", "INTERSECT"),
    "adql-type": ("CAST",),
    "adql-unit": ("IN_UNIT",),
    "adql-offset": ("OFFSET",),
}
