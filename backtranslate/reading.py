"""What goes wrong while a file is read, as one sentence of few and printable characters."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 500  # characters of a message
NO_FILES = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


@contextmanager
def reading(
    place: str | os.PathLike[str], refusal: type[Exception], way_out: str = ""
) -> Iterator[None]:
    """Inside, a file or folder is read: whatever goes wrong becomes a sentence with its name.

    A file can be damaged in more ways than its reader can foresee: nested until the interpreter
    gives up, numbers of 5,000 digits, values of any type where another belongs.

    Args:
        place: the file or folder; it need not be there.
        refusal: the exception for bad input, which passes as it is.
        way_out: what to do, as the end of a sentence.

    Raises:
        refusal: as raised inside; for all other errors; or the file is a FIFO or a device, which
            might never end.
    """
    try:
        if odd := _odd(place):
            raise refusal(f"{place} is {odd}: give a file that can be read to its end.")
        yield
    except refusal:
        raise
    except Exception as error:
        advice = way_out or "see that it is the right file, and whole"
        raise refusal(f"{place} cannot be read ({reason_of(error)}): {advice}.") from error


def reason_of(error: BaseException) -> str:
    """What an error says, in a few words and one line."""
    said = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    if isinstance(error, LookupError | TypeError | AttributeError | MemoryError | RecursionError):
        said = {MemoryError: "too large", RecursionError: "nested too deep"}.get(
            type(error), f"{type(error).__name__}: {said}"
        )
    return shown(said.splitlines()[0].rstrip(".:"), 160)


def shown(text: object, longest: int = LONGEST) -> str:
    """A text in one line of printable characters; the middle of a long one is left out."""
    line = "".join(x if x.isprintable() else _escaped(x) for x in " ".join(str(text).split()))
    if len(line) <= longest:
        return line
    return f"{line[: longest * 2 // 3]} … {line[-longest // 3 + 3 :]}"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _odd(place: str | os.PathLike[str]) -> str:
    try:
        return NO_FILES.get(stat.S_IFMT(os.stat(place).st_mode), "")
    except FileNotFoundError:
        return ""
