"""The one family of exceptions of xcat.

Every message says what is wrong, where, and what to do next; ``xcat`` prints it without a traceback.
"""


class XcatError(Exception):
    """Something that the user can mend; the message says how.

    Attributes
    ----------
    may_pass : bool
        Whether the same command may succeed later by itself: a lost connection, a server that restarts, a full disk.
    """

    may_pass: bool = False


class ConfigError(XcatError):
    """A configuration, pipeline or catalogue definition that cannot be used; names file and line."""


class DatabaseError(XcatError):
    """The database is missing, unreachable, too old or lacks an extension or a privilege."""


class UnreachableError(DatabaseError):
    """The database does not answer; it may do so later."""

    may_pass = True


class InputError(XcatError):
    """An input file that cannot be read as its catalogue definition says; names file, column and row."""


class StageError(XcatError):
    """A stage that cannot run yet, or that would mix data of different origins."""


class Refusal(StageError):
    """A publication that did not pass the gates; what was published stays published."""


class PassingError(StageError):
    """A stage that failed for a reason that may pass; the same command can be repeated."""

    may_pass = True


class CancelledError(StageError):
    """A run that was cancelled by ``xcat runs cancel``."""


class BusyError(StageError):
    """Another run of the same pipeline is at work, and the command was not to wait for it."""
