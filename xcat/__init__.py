"""xcat: classifies the X-ray sources of survey catalogues inside PostgreSQL, and says why.

The functions are those of `xcat.api`, which is imported when one of them is first used: ``import xcat`` takes no time.
"""

__all__ = ["Reasons", "__version__", "candidates", "classify", "explain", "match", "remote", "skymap", "sql"]
__version__ = "0.1.0"

TYPE_CHECKING = False  # as in typing, whose import takes longer than all of this
if TYPE_CHECKING:
    from xcat.api import Reasons, candidates, classify, explain, match, remote, skymap, sql
else:
    # The first import of the package xcat.match puts it into this namespace, in the place of the function of that name.
    # That happens here, and then the name is free again. With import statements the rooms, which all import xcat, would
    # seem to import each other (see the contracts in pyproject.toml).
    __import__("xcat.match")
    del match

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(__import__("xcat.api", fromlist=[name]), name)

    def __dir__():
        return sorted({*globals(), *__all__})
