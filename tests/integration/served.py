"""A published sky that is served: the web application in a thread of this process, at a port of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import children

from xcat.config import Settings
from xcat.service.web import make_server


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Serve the database of some settings; its address."""
    server = make_server(settings, "127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            children.until(lambda: server.started or not thread.is_alive())
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
