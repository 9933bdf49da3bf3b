"""Every error this package raises on purpose, in one tree.

The command line prints an error's message as one line on stderr and exits with its `exit_code`.
A message says what was given, what was expected, and what to do next.
"""


class McldAnimError(Exception):
    """Base of all deliberate errors; on its own: the work failed after it had begun."""

    exit_code = 1


class UsageError(McldAnimError):
    """The request is invalid: an unknown option, a value out of range, mutually exclusive options."""

    exit_code = 2


class UnfinishedError(McldAnimError):
    """The work failed after frames were finished: they are kept, and the message says how to go on."""


class NotFiniteError(McldAnimError):
    """A model made NaN or infinity of a frame."""


class InputError(McldAnimError):
    """An input was refused before anything was written: missing, unreadable, too large, or without a person."""

    exit_code = 3


class PictureError(InputError):
    """A picture cannot be used."""


class VideoError(InputError):
    """A video cannot be used."""


class PoseError(InputError):
    """An IUV file cannot be used, or a required person was not found."""


class ManifestError(InputError):
    """A batch manifest has invalid rows; the message lists each with its line number."""


class OutputError(InputError):
    """An output cannot be written to its path, or exists already."""


class WeightsError(McldAnimError):
    """Weights are missing, damaged, or do not fit the model."""


class MissingDependencyError(McldAnimError):
    """The request needs an optional package that is not installed."""


class ParityError(McldAnimError):
    """A golden case violates its format."""


def reason_of(error: BaseException, most: int = 200) -> str:
    """A library's message in one line of at most `most` characters, for a message of ours; its type if it has none."""
    return " ".join(str(error).split())[:most] or type(error).__name__
