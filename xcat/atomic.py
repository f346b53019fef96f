"""Files that are whole or not there, and do not replace others unasked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from xcat.errors import ConfigError, XcatError

#: Endings of the names of tables and figures that can be written; each says the format.
TABLES = (".fits", ".vot", ".xml", ".parquet", ".csv", ".ecsv", ".votable", ".reg")
FIGURES = (".png", ".pdf", ".svg")


def check_new(path: Path, endings: Collection[str], overwrite: bool) -> None:
    """Refuse a file that could not be written, before the work is done; without `endings` the folder may be missing.

    Raises
    ------
    ConfigError
        The name has another ending.
    XcatError
        The file exists and is not to be overwritten, or its folder does not exist.
    """
    if endings and path.suffix.lower() not in endings:
        raise ConfigError(f"{path}: unknown ending '{path.suffix}': it must be one of {', '.join(endings)}")
    if path.exists() and not overwrite:
        raise XcatError(f"{path} exists already. Choose another name, or use --overwrite.")
    if endings and not path.absolute().parent.is_dir():
        raise XcatError(f"{path}: cannot be written, there is no folder {path.parent}")


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a name beside the final place, and move the file there if all went well."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def writing_folder(path: Path) -> Iterator[Path]:
    """Give a new folder beside the final place, and move it there if all went well; what is written is on the disk.

    Raises
    ------
    XcatError
        The final place exists, or the folder cannot be made or moved.
    """
    if path.exists():
        raise XcatError(f"{path} exists already. Choose another name, or remove it.")
    part = path.absolute().with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        yield part
        for file in part.iterdir():
            with file.open("rb") as written:
                os.fsync(written.fileno())
        part.rename(path)
    except OSError as error:
        raise XcatError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
