"""What a load has done, in words and as JSON."""

from __future__ import annotations

from typing import Any

from xcat.ingest.load import Loading


def lines(name: str, loading: Loading) -> list[str]:
    """Say how many rows of a catalogue were loaded, and why others were rejected."""
    if loading.version is not None:
        return [f"{name}: version {loading.version} holds just these files and is current again; nothing was loaded"]
    if not loading.files:
        return [f"{name}: already loaded, nothing changed ({', '.join(loading.already)})"]
    skipped = sum(file["n_skipped"] for file in loading.files)
    left_out = f", {skipped:,} left out by its definition" if skipped else ""
    text = [f"{name}: {loading.n_rows:,} rows loaded, {loading.n_rejected:,} rejected{left_out}"]
    for reject in loading.rejects:
        column = f" in column {reject['column_name']}" if reject["column_name"] else ""
        text.append(
            f"  {reject['file_name']}: {reject['n']:,} x {reject['reason']}{column}, "
            f"first in row {reject['first_row']:,} ({reject['example']!r})"
        )
    return text


def as_json(loading: Loading) -> dict[str, Any]:
    """The same, JSON-ready."""
    return {
        "files": loading.files,
        "already_loaded": loading.already,
        "rejects": loading.rejects,
        "version_current_again": loading.version,
    }
