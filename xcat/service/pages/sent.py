"""What readers send in forms: files kept for the length of one request, and texts."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from starlette.datastructures import UploadFile
from starlette.requests import Request

from xcat.errors import XcatError
from xcat.service.pages.state import State
from xcat.service.tap.streaming import client_of

_Value = TypeVar("_Value")


class Sent:
    """A form as it was sent.

    Parameters
    ----------
    texts : mapping
        The last value of each field.
    files : mapping
        Files that are not empty, by field.
    folder : Path
        For files; it goes away after the request.
    """

    def __init__(self, texts: Mapping[str, str], files: Mapping[str, UploadFile], folder: Path) -> None:
        self._texts, self._files, self.folder = texts, files, folder

    def text(self, name: str) -> str:
        """The text of a field; empty if there is none."""
        return self._texts.get(name, "").replace("\0", " ").strip()

    def raw(self, name: str) -> str:
        """The text of a field as it was sent, blanks included: for passwords."""
        return self._texts.get(name, "")

    def file(self, name: str, stem: str) -> Path | None:
        """The file of a field, under a name of ours with its own endings; None if none was sent."""
        sent = self._files.get(name)
        if sent is None:
            return None
        endings = re.findall(r"\.[A-Za-z0-9]{1,8}(?![A-Za-z0-9])", sent.filename or "")
        path = self.folder / f"{stem}{''.join(endings[-2:])}"
        with path.open("wb") as out:
            shutil.copyfileobj(sent.file, out)
        return path

    def plain(self, text: str) -> str:
        """A message without the name of our folder."""
        return text.replace(f"{self.folder}/", "")


def _encodable(text: str) -> str:
    """A text without halves of characters, which the charset that a client names can leave."""
    return text.encode("utf-8", "replace").decode()


async def handled(request: Request, state: State, work: Callable[[Sent], _Value]) -> _Value:
    """Do the work that a form asks for, in a thread, as one query of the client's quota."""
    async with request.form(max_files=5, max_fields=200) as form:
        texts = {name: _encodable(value) for name, value in form.multi_items() if isinstance(value, str)}
        files = {name: value for name, value in form.multi_items() if isinstance(value, UploadFile) and value.size}

        def at_work() -> _Value:
            with tempfile.TemporaryDirectory(prefix="xcat-page-") as folder:
                sent = Sent(texts, files, Path(folder))
                try:
                    return work(sent)
                except XcatError as error:  # the reader knows nothing of our folders
                    if folder not in str(error):
                        raise
                    raise type(error)(sent.plain(str(error))) from None

        async with state.service.quotas.place(client_of(request)):
            return await asyncio.get_running_loop().run_in_executor(state.service.threads, at_work)
