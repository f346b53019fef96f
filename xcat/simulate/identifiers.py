"""Names and sexagesimal text, made from arrays without a loop over rows."""

import numpy as np

from xcat.arrays import FloatArray, IntArray

_ZERO, _PLUS, _MINUS = (ord(c) for c in "0+-")


def _digits(value: IntArray, n: int) -> np.ndarray:
    """Decimal digits as characters, shape (rows, n)."""
    powers = 10 ** np.arange(n - 1, -1, -1, dtype=np.int64)
    return (value[:, None] // powers % 10 + _ZERO).astype(np.uint8)


def _constant(text: str, rows: int) -> np.ndarray:
    return np.broadcast_to(np.frombuffer(text.encode(), dtype=np.uint8), (rows, len(text)))


def _assemble(parts: list[np.ndarray]) -> np.ndarray:
    """Byte strings of one length from columns of characters."""
    block = np.ascontiguousarray(np.concatenate(parts, axis=1), dtype=np.uint8)
    return block.view(f"S{block.shape[1]}")[:, 0]


def sexagesimal(
    ra_deg: FloatArray,
    dec_deg: FloatArray,
    ra_decimals: int,
    dec_decimals: int,
    template: str = "J{h}{m}{s}{ds}{d}{dm}{dss}",
    point: str = ".",
) -> np.ndarray:
    """Positions as text, cut off and not rounded, as designations are (IAU rule).

    `template` puts together {h} {m} {s} (with decimals) and {ds} (sign) {d} {dm} {dss} (with decimals).
    """
    n = ra_deg.size
    ra_unit = np.floor(ra_deg / 15 * 3600 * 10**ra_decimals + 1e-6).astype(np.int64) % (86_400 * 10**ra_decimals)
    dec_unit = np.floor(np.abs(dec_deg) * 3600 * 10**dec_decimals + 1e-6).astype(np.int64)

    def seconds(unit: IntArray, decimals: int) -> list[np.ndarray]:
        whole, rest = np.divmod(unit, 10**decimals)
        parts = [_digits(whole % 60, 2)]
        if decimals:
            parts += [_constant(point, n), _digits(rest, decimals)] if point else [_digits(rest, decimals)]
        return parts

    ra_s, dec_s = ra_unit // 10**ra_decimals, dec_unit // 10**dec_decimals
    sign = np.where(dec_deg < 0, _MINUS, _PLUS).astype(np.uint8)[:, None]
    fields = {
        "h": [_digits(ra_s // 3600, 2)],
        "m": [_digits(ra_s // 60 % 60, 2)],
        "s": seconds(ra_unit, ra_decimals),
        "ds": [sign],
        "d": [_digits(dec_s // 3600, 2)],
        "dm": [_digits(dec_s // 60 % 60, 2)],
        "dss": seconds(dec_unit, dec_decimals),
    }
    parts: list[np.ndarray] = []
    for piece in template.split("{"):
        field, _, text = piece.rpartition("}")
        parts += fields[field] if field else []
        parts += [_constant(text, n)] if text else []
    return _assemble(parts)


def numbered(prefix: str, number: IntArray, width: int) -> np.ndarray:
    """Byte strings such as b"SIM000123"."""
    return _assemble([_constant(prefix, number.size), _digits(number, width)])
