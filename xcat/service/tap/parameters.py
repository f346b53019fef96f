"""Parameters of a request, as DALI has them: names in any case, in the address or in a form, files beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from starlette.datastructures import UploadFile
from starlette.requests import Request

from xcat.config import Settings
from xcat.errors import XcatError
from xcat.service.tap import formats, uploads
from xcat.service.tap.query import Query

_LANGUAGES = {"adql", "adql-2.0", "adql-2.1"}
_MOST_DIGITS = 18
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


@dataclass
class Parameters:
    """Names and values in their order, and files by the names of their fields."""

    pairs: list[tuple[str, str]]
    files: dict[str, IO[bytes] | Path] = field(default_factory=dict)

    def close(self) -> None:
        """Close the files."""
        for file in self.files.values():
            if not isinstance(file, Path):
                file.close()

    def all(self, name: str) -> list[str]:
        """Values of a parameter that may be repeated."""
        return [value for key, value in self.pairs if key.upper() == name]

    def one(self, name: str) -> str | None:
        """The value of a parameter that may be given once; None if it is absent or empty.

        Raises
        ------
        XcatError
            It is given twice, with different values.
        """
        values = set(self.all(name)) - {""}
        if len(values) > 1:
            raise XcatError(f"{name} is given {len(self.all(name))} times; give it once")
        return values.pop() if values else None

    def whole(self, name: str) -> int | None:
        """A number that is whole and not negative."""
        text = self.one(name)
        if text is None:
            return None
        if not re.fullmatch(rf"\d{{1,{_MOST_DIGITS}}}", text.strip(), re.A):
            raise XcatError(f"{name}={text[:50]}: it must be a whole number, 0 or more")
        return int(text)


async def read(request: Request) -> Parameters:
    """The parameters of a request: those of its address, then those of its form."""
    given = Parameters(list(request.query_params.multi_items()))
    if request.method == "POST":
        form = await request.form(max_files=100, max_fields=1000)
        for name, value in form.multi_items():
            if not isinstance(value, UploadFile):
                given.pairs.append((name, value))
            elif name in given.files:
                value.file.close()
            else:
                given.files[name] = value.file
    if any(_NOT_TEXT.search(text) for pair in given.pairs for text in pair):
        given.close()
        raise XcatError("a parameter has a character NUL (0x00) or half a character (a surrogate)")
    return given


def query(given: Parameters, settings: Settings, timeout_s: float, sent: Sequence[uploads.Upload]) -> Query:
    """The query that parameters ask for.

    Raises
    ------
    XcatError
        A parameter is missing or wrong.
    """
    request = given.one("REQUEST")
    if request is not None and request.lower() != "doquery":
        raise XcatError(f"REQUEST={request[:50]}: it must be doQuery, or be left out")
    language = given.one("LANG") or "ADQL"
    if language.lower() not in _LANGUAGES:
        raise XcatError(f"LANG={language[:50]}: it must be ADQL, ADQL-2.0 or ADQL-2.1")
    adql = given.one("QUERY")
    if adql is None or not adql.strip():
        raise XcatError("QUERY is missing: give the query in ADQL")
    maxrec = given.whole("MAXREC")
    return Query(
        adql,
        format_of(given),
        min(settings.tap_rows if maxrec is None else maxrec, settings.tap_most_rows),
        timeout_s,
        settings.tap_result_mb,
        sent,
    )


def format_of(given: Parameters) -> formats.Format:
    """The format of the result."""
    return formats.named(given.one("RESPONSEFORMAT") or given.one("FORMAT"))


def sent_with(given: Parameters, result: Callable[[str], Path], base: str) -> list[uploads.Upload]:
    """The uploads of a request: from its files, or results of jobs of this service.

    Parameters
    ----------
    result : callable
        Gives the file with the result of a job.
    base : str
        The address of jobs, as the client knows it: nothing is fetched from elsewhere.

    Raises
    ------
    XcatError
        A file is missing, or is elsewhere.
    """
    found = []
    for name, address in uploads.names(given.all("UPLOAD")):
        of_job = re.fullmatch(rf"{re.escape(base)}/([0-9a-f]+)/results/result", address)
        if of_job:
            found.append(uploads.Upload(name, partial(opened, result(of_job[1]))))
            continue
        if not address.startswith("param:"):
            raise XcatError(
                f"UPLOAD: {name} is at {address[:200]}. This service fetches nothing from elsewhere: send the table "
                f"with the request (UPLOAD={name},param:FIELD), or name the result of a job of this service"
            )
        key = address.removeprefix("param:")
        if key not in given.files:
            names = ", ".join(sorted(name[:40] for name in given.files))
            there = f"it has: {names}" if names else "it has none; send it as multipart/form-data"
            raise XcatError(f"UPLOAD: there is no file in the field '{key[:80]}' of the request ({there})")
        found.append(uploads.Upload(name, partial(opened, given.files[key])))
    return found


def opened(file: IO[bytes] | Path) -> AbstractContextManager[IO[bytes]]:
    """A file; that of a request is left open, because the request closes it."""
    if isinstance(file, Path):
        return file.open("rb")
    file.seek(0)
    return nullcontext(file)
