"""What commands end with."""

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes; a signal's is 128 and its number, as in a shell."""

    DONE = 0
    """Done, or allowed, or ready."""
    DENIED = 1
    """Denied."""
    NOT_READY = 1
    """Not ready; no command ends with this and with `DENIED`."""
    FAILED = 2
    """It couldn't be told, for bad input or any other error."""
    INTERRUPTED = 130
    """By Ctrl-C."""
    UNREAD = 141
    """Nobody reads the output any more."""
