"""Tables sent to the programs on the desktop (TOPCAT, Aladin, DS9) by SAMP, the protocol by which they talk."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from xcat import __version__
from xcat.errors import XcatError
from xcat.output import files, pieces

if TYPE_CHECKING:
    from astropy.table import Table
    from pyvo.samp import SAMPIntegratedClient

    from xcat.output.pieces import Pieces

_MTYPE = "table.load.votable"
_WAIT_S = 60


def check() -> None:
    """Refuse, before the work is done, if no hub runs or no program takes tables.

    Raises
    ------
    XcatError
    """
    client = _connected()
    client.disconnect()


def send(table: Table | Pieces, name: str, wait_s: float = _WAIT_S) -> list[str]:
    """Send a table to all programs that take VOTables, and wait until each has read it.

    Parameters
    ----------
    table : Table or Pieces
    name : str
        Title of the table in the programs.
    wait_s : float
        Longest time to wait for one program.

    Returns
    -------
    list of str
        A line for each program.

    Raises
    ------
    XcatError
        No hub runs, or no program takes tables.
    """
    from pyvo.samp import SAMPProxyError

    client = _connected()
    told = []
    try:
        with tempfile.TemporaryDirectory(prefix="xcat-samp-") as folder:
            path = files.write(table, Path(folder) / "table.vot")
            message = {
                "samp.mtype": _MTYPE,
                "samp.params": {"url": path.as_uri(), "table-id": f"xcat {name}", "name": name},
            }
            for program in client.get_subscribed_clients(_MTYPE):
                who = client.get_metadata(program).get("samp.name", program)
                try:
                    answer = client.call_and_wait(program, message, str(int(wait_s)))
                except SAMPProxyError as error:
                    told.append(f"{who} gave no answer within {wait_s:g} s ({error.faultString})")
                    continue
                if answer.get("samp.status") == "samp.ok":
                    told.append(f"{pieces.of(table).n_rows:,} rows sent to {who}")
                else:
                    reason = answer.get("samp.error", {}).get("samp.errortxt", "no reason given")
                    told.append(f"{who} could not load the table: {reason}")
    finally:
        client.disconnect()
    return told


def _connected() -> SAMPIntegratedClient:
    """Connect to the hub; there is a program that takes tables."""
    from pyvo.samp import SAMPHubError, SAMPIntegratedClient

    client = SAMPIntegratedClient(
        name="xcat",
        description="Classification of X-ray sources",
        metadata={"xcat.version": __version__},
        callable=False,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a lock file that a hub left behind
            client.connect()
    except SAMPHubError as error:
        raise XcatError(
            "--samp: no SAMP hub runs. Start TOPCAT or Aladin, which have one (and DS9, which joins it), and try again"
        ) from error
    if not client.get_subscribed_clients(_MTYPE):
        client.disconnect()
        raise XcatError("--samp: a SAMP hub runs, but no program there takes tables. Start TOPCAT, Aladin or DS9")
    return client
