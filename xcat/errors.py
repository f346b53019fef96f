"""The one family of exceptions of xcat.

Every message says what is wrong, where, and what to do next; ``xcat`` prints it without a traceback.
"""


class XcatError(Exception):
    """Something that the user can mend; the message says how."""


class ConfigError(XcatError):
    """A configuration, pipeline or catalogue definition that cannot be used; names file and line."""


class DatabaseError(XcatError):
    """The database is missing, unreachable, too old or lacks an extension or a privilege."""


class InputError(XcatError):
    """An input file that cannot be read as its catalogue definition says; names file, column and row."""


class StageError(XcatError):
    """A stage that cannot run yet, or that would mix data of different origins."""


class Refusal(StageError):
    """A publication that did not pass the gates; what was published stays published."""
