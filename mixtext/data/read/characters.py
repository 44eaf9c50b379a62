"""From the bytes of a file to lines of text: compression, encodings, marks and line ends."""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mixtext.data.read.options import ReadOptions
from mixtext.errors import InputError

GZIP = b"\x1f\x8b"
MARK = "\ufeff"
# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_BAD = re.compile("[\udc80-\udcff]")  # what `surrogateescape` makes of bytes that are no characters
_LONG = bytes(range(0x80, 0x100))  # of UTF-8, the bytes of characters that are not ASCII
_AROUND = 12  # characters of a bad line that a message shows on either side
_BINARY = {  # how files begin that hold no text; people save such with the suffix of a table
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\xd0\xcf\x11\xe0": "a file of an office program",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"BZh9": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"SQLite format": "a database",
}
_DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error)


@contextmanager
def open_bytes(path: Path) -> Iterator[Any]:
    """A file's bytes, those that were compressed if it is gzipped, as a buffered reader."""
    with path.open("rb") as file:
        is_gzip = file.peek(2)[:2] == GZIP
        with gzip.GzipFile(fileobj=file) if is_gzip else nullcontext(file) as raw:
            yield raw


def marked(head: bytes) -> str:
    """The encoding that the mark at the head of a file tells; "" without one."""
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), "")


@dataclass
class Decoder:
    """Bytes to text, counting what it had to replace.

    Attributes:
        errors: `strict` refuses bytes that are no characters, `replace` replaces them.
        encoding: of files without a mark, which tells UTF-8, UTF-16 or UTF-32; "": UTF-8.
        called: what a message calls the options of these names.
        replaced: how many characters were replaced so far.
    """

    errors: str = "strict"
    encoding: str = ""
    called: Callable[[str], str] = str
    replaced: int = 0

    @classmethod
    def of(cls, options: ReadOptions) -> "Decoder":
        """The decoder that the options ask for."""
        return cls(options.encoding_errors or "strict", options.encoding, options.called)

    def lines(
        self, source: Path | IO[bytes], name: str = ""
    ) -> Generator[tuple[int, str], None, None]:
        """Numbers from 1 and lines with their ends, which are `\\n`, `\\r\\n` or `\\r`.

        Args:
            source: a file, gzipped or not, or a stream, which stays open.
            name: what messages call it; "": its path.

        Raises:
            InputError: bytes that are no characters, by line; a damaged gzip file.
        """
        name = name or str(source)
        try:
            if isinstance(source, Path):
                with open_bytes(source) as raw:
                    yield from self._lines(raw, name)
            else:
                raw = source if hasattr(source, "peek") else io.BufferedReader(source)
                yield from self._lines(raw, name)
        except _DAMAGED as error:
            raise _damaged(name, error) from None

    def _lines(self, raw: Any, name: str) -> Iterator[tuple[int, str]]:
        encoding = self._encoding_of(raw.peek(4096), name)
        wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
        text = io.TextIOWrapper(
            raw, encoding, self.errors if wide else "surrogateescape", newline=""
        )
        number = 0
        try:
            for number, line in enumerate(text, 1):
                line = line.lstrip(MARK) if number == 1 else line
                if wide:
                    self.replaced += line.count("\ufffd")
                elif not line.isascii() and _BAD.search(line):
                    bad = line.encode(encoding, "surrogateescape")
                    line = self._decode(bad, f"{name}, line {number}", encoding)
                yield number, line
        except UnicodeError as error:
            raise InputError(
                f"{name} is not valid {encoding} behind line {number} ({_reason(error)}): name its "
                f"encoding with {self.called('encoding')}, or set {self.called('encoding_errors')} "
                "to 'replace' to replace and count what is wrong."
            ) from None
        finally:
            text.detach()

    def whole(self, path: Path) -> str:
        """All of a file as one text, without a mark at its head.

        Raises:
            InputError: as `lines`.
        """
        try:
            with open_bytes(path) as file:
                raw = file.read()
        except _DAMAGED as error:
            raise _damaged(path, error) from None
        encoding = self._encoding_of(raw[:4096], str(path))
        return self._decode(raw, str(path), encoding).lstrip(MARK)

    def pieces(self, path: Path, size: int = 2**16) -> Generator[str, None, None]:
        """What `whole` gives, of UTF-8 in pieces of about `size` bytes, so that little is held."""
        with open_bytes(path) as file:
            head = file.peek(4096)
        if self._encoding_of(head, str(path)) != "utf-8":
            yield self.whole(path)
            return
        held, before = b"", 0
        try:
            with open_bytes(path) as file:
                while chunk := file.read(size):
                    held += chunk
                    cut = len(held.rstrip(_LONG))  # no character is cut in two
                    text = self._decode(held[:cut], str(path), "utf-8", before)
                    yield text if before else text.lstrip(MARK)
                    held, before = held[cut:], before + cut
                yield self._decode(held, str(path), "utf-8", before)
        except _DAMAGED as error:
            raise _damaged(path, error) from None

    def mend(self, text: str, place: str) -> str:
        """Treats half a surrogate pair, which JSON can spell but UTF-8 cannot, like a bad byte."""
        if text.isascii():
            return text
        return self._decode(text.encode("utf-8", "surrogatepass"), place, "utf-8")

    def _decode(self, raw: bytes, place: str, encoding: str, before: int = 0) -> str:
        try:
            return raw.decode(encoding)
        except UnicodeError as error:
            if self.errors == "strict":
                start = getattr(error, "start", 0)
                called = "UTF-8" if encoding == "utf-8" else encoding
                byte = f"byte {before + start + 1}"
                raise InputError(
                    f"{place}: {byte} is not valid {called} (0x{raw[start]:02x}): "
                    f"{self._offer(raw, start)}, or set {self.called('encoding_errors')} to "
                    "'replace' to replace and count such characters."
                ) from None
        text = raw.decode(encoding, "replace")
        known = raw.count("\ufffd".encode()) if encoding == "utf-8" else 0
        self.replaced += text.count("\ufffd") - known
        return text

    def _offer(self, raw: bytes, start: int) -> str:
        """How bytes that are not of the encoding could be read, as a part of a sentence."""
        option = self.called("encoding")
        if not self.encoding:
            near = raw[max(0, start - _AROUND) : start + _AROUND].strip()
            try:
                shown = near.decode("cp1252")
            except UnicodeDecodeError:
                return f"name the file's encoding with {option}"
            return f"if it is cp1252, and this is {shown!r}, set {option} to 'cp1252'"
        return f"name the file's encoding with {option}"

    def _encoding_of(self, head: bytes, name: str) -> str:
        """The encoding of a file that begins so.

        Raises:
            InputError: it holds no text, or is UTF-16 or UTF-32 without a mark, which would pass
                for text with many zero bytes.
        """
        what = next((x for magic, x in _BINARY.items() if head.startswith(magic)), "")
        if not what and head.count(0) > 0.9 * max(len(head), 8):  # such as /dev/zero, without end
            what = "mostly zero bytes"
        if what:
            raise InputError(
                f"{name} is {what}, not text: leave it out, or unpack or save it as such."
            )
        mark = marked(head)
        if not mark and self.encoding and _is_utf8(head, self.encoding):
            raise InputError(
                f"{name} is UTF-8, as it seems, and not {self.encoding}: leave "
                f"{self.called('encoding')} out, or save the file in that encoding."
            )
        encoding = mark or self.encoding or "utf-8"
        if encoding == "utf-8" and (likely := _unmarked(head)):
            raise InputError(
                f"{name} looks like {likely[:6].upper()} without its mark: set "
                f"{self.called('encoding')} to '{likely}'."
            )
        return encoding


def _is_utf8(head: bytes, encoding: str) -> bool:
    """Whether bytes said to be of an encoding with one byte a character are UTF-8 all the same.

    Texts in such an encoding that are valid UTF-8 and not ASCII are next to impossible.
    """
    if len(b"\xc3\xa9".decode(encoding, "replace")) != 2:
        return False
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not text.isascii()


def _unmarked(head: bytes) -> str:
    """UTF-16 or UTF-32 if zero bytes stand as there, which texts in UTF-8 do not hold; else ""."""
    zeros = [head[offset::4].count(0) for offset in range(4)]
    if sum(zeros) < 4 or sum(zeros) < 0.02 * len(head):
        return ""
    if min(zeros[2:]) > 0.2 * len(head) and not zeros[0]:
        return "utf-32-le"
    if min(zeros[:2]) > 0.2 * len(head) and not zeros[3]:
        return "utf-32-be"
    if not (zeros[0] or zeros[2]):
        return "utf-16-le"
    return "" if zeros[1] or zeros[3] else "utf-16-be"


def _damaged(name: object, error: Exception) -> InputError:
    return InputError(f"{name} is a damaged gzip file ({error}): bring it back from where it came.")


def _reason(error: UnicodeError) -> str:
    return getattr(error, "reason", "") or str(error)
