"""Every error this package raises on purpose, in one tree.

The command line prints the message of any of them as one line on stderr and exits with `exit_code`.
A message says what was given, what was expected, and what to do next.
"""


class McldAnimError(Exception):
    """Base of all deliberate errors. The work failed after it had begun."""

    exit_code = 1


class UsageError(McldAnimError):
    """The request itself is wrong: an unknown option, a value out of range, two options that exclude each other."""

    exit_code = 2


class InputError(McldAnimError):
    """An input was refused before anything was written: missing, unreadable, too large, without a person."""

    exit_code = 3


class PictureError(InputError):
    """A picture cannot be used."""


class VideoError(InputError):
    """A video cannot be used."""


class PoseError(InputError):
    """An IUV file cannot be used, or no person was found where one is needed."""


class ManifestError(InputError):
    """A batch manifest has rows that cannot run; the message lists each with its line."""


class OutputError(InputError):
    """An output cannot be written where it was asked for, or exists already."""


class WeightsError(McldAnimError):
    """Weights are missing, damaged, or do not fit the model they were given to."""


class MissingDependencyError(McldAnimError):
    """An optional package is needed for what was asked and is not installed."""


class ParityError(McldAnimError):
    """A golden case does not hold what its format promises."""
