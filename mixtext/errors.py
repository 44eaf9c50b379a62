"""The one exception that means: the user can mend this. What goes wrong in reading becomes it."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from backtranslate import reading as _reading
from backtranslate.reading import reason_of as reason_of
from backtranslate.reading import shown as shown

P = ParamSpec("P")
T = TypeVar("T")


class InputError(Exception):
    """Bad input. The message is one sentence: what is wrong, where, and the way out.

    The command line prints it without a traceback and exits with code 2.
    """


def reading(place: str | os.PathLike[str], way_out: str = "") -> AbstractContextManager[None]:
    """See `backtranslate.reading.reading`; what goes wrong inside becomes an InputError."""
    return _reading.reading(place, InputError, way_out)


def disk_trouble(error: Exception) -> str:
    """What a full disk or a folder that may not be written to is told as; empty: it is neither."""
    if isinstance(error, OSError):
        where = shown(error.filename or "the disk", 300)
        return f"{where} cannot be used: {reason_of(error)}."
    if type(error).__name__ == "SafetensorError":  # by name: importing it takes time
        return f"the model cannot be written: {reason_of(error)}."
    return ""


def refuse_odd_files(folder: Path) -> None:
    """Refuses a folder in which a FIFO or a device stands for a file, see `reading`."""
    for part in folder.iterdir() if folder.is_dir() else ():
        with reading(part):
            pass


def reads(way_out: str = "") -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Makes of a function, whose first argument is a path, one that reads as in `reading`."""

    def wrap(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            place = args[0] if args else next(iter(kwargs.values()))
            with reading(str(place), way_out):
                return function(*args, **kwargs)

        return wrapped

    return wrap
