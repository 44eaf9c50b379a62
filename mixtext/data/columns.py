"""Columns as people have them: lists, NumPy arrays, Series, columns and tables of `datasets`.

pandas and datasets are taken as they come and imported nowhere.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mixtext.data.labels import listing
from mixtext.errors import InputError


def column(values: Any, what: str, name: str = "text") -> list[Any]:
    """The N values of a column as a plain list; a lone string is one value, not its characters.

    Args:
        values: a sequence, an array of shape `(N,)` or `(N, 1)`, a pandas Series, a column of
            `datasets`; or a table (DataFrame, Dataset, dict of columns) with a column of that
            name, or with one column alone.
        what: how messages call them.
        name: the column that is taken of a table.

    Raises:
        InputError: a table with several columns of other names, an array of another shape, a set,
            or what holds no values at all.
    """
    if isinstance(values, str | bytes):
        return [values]
    if isinstance(values, set | frozenset):
        raise InputError(f"{what} come as a set, which has no order: give a list.")
    names = _columns(values)
    if names is not None:
        chosen = name if name in names else names[0] if len(names) == 1 else None
        if chosen is None:
            raise InputError(
                f"{what} come as a table with the columns {listing([*map(str, names)])}: give one "
                f"column of it, or call it {name!r}."
            )
        return column(values[chosen], what, name)
    if hasattr(values, "__array__") and not hasattr(values, "tolist"):
        values = np.asarray(values)
    if isinstance(values, np.ndarray):
        if values.ndim != 1 and (values.ndim != 2 or values.shape[1] != 1):
            raise InputError(
                f"{what} come as an array of shape {values.shape}: give one value a row, as an "
                "array of shape (rows,)."
            )
        values = values.ravel()
    if hasattr(values, "tolist"):  # as Python's own numbers and strings
        return list(values.tolist())
    try:
        return list(values)
    except TypeError:
        raise InputError(
            f"{what} are {values!r}: give a list, an array or a column, one value a row."
        ) from None


def _columns(values: Any) -> list[Any] | None:
    """The names of a table's columns; None for what is no table."""
    if isinstance(values, Mapping):
        return list(values)
    for attribute in ("column_names", "columns"):
        names = getattr(values, attribute, None)
        if names is not None and not callable(names):
            return list(names)
    return None


def texts(values: Any, what: str = "texts") -> list[str]:
    """A column of texts, see `column`.

    Raises:
        InputError: as `column`; a value that is no string, such as None.
    """
    found = column(values, what)
    for row, text in enumerate(found):
        if not isinstance(text, str):
            raise InputError(
                f"row {row} of {what} is {text!r}, not a string (rows count from 0): convert it "
                "or leave it out."
            )
    return found
