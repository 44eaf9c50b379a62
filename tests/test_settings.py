"""Settings: every range that is declared holds, whichever table it is in."""

import math
from typing import Annotated, Literal, get_args, get_origin

import numpy as np
import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt

from mixtext.errors import InputError
from mixtext.recipe import Recipe
from mixtext.settings import accept, annotations, range_of
from mixtext.tagging.recipe import TaggingRecipe

CLASSES = {
    cls
    for kind in (Recipe, TaggingRecipe)
    for cls in (*kind.tables().values(), *kind.methods.values())
}
FIELDS = sorted(
    ((cls, field) for cls in CLASSES for field, hint in annotations(cls).items() if range_of(hint)),
    key=str,
)


def edges(hint):
    """Values just inside and just outside of what an annotation allows, one a bound."""
    kind, mark = get_args(hint)
    step = 1 if kind is int else 1e-9
    given = {k: getattr(mark, k, None) for k in ("ge", "gt", "le", "lt")}
    for way, bound in given.items():
        if bound is not None:
            out = -step if way[0] == "g" else step
            inside, outside = (bound, bound + out) if way[1] == "e" else (bound - out, bound)
            yield kind(inside), kind(outside)


@pytest.mark.parametrize(("cls", "field"), FIELDS, ids=lambda x: getattr(x, "__name__", x))
def test_values_are_taken_up_to_the_edge_and_refused_beyond(cls, field):
    hint = annotations(cls)[field]
    many = get_origin(hint) is tuple
    inner = get_args(hint)[0] if many else hint
    where = rf"{cls.name}\.{field}"
    # Two fields that exclude each other are not given together.
    beside = {"steps": 0} if field == "epochs" else {"overlap": 0} if field == "max_length" else {}
    beside = {k: v for k, v in beside.items() if k in annotations(cls)}
    if field == "labelled_share":
        beside = {"labels_per_class": 0}
    if get_origin(inner) is Literal:
        for value in get_args(inner):
            if not (field == "split" and value == "official"):
                assert getattr(cls(**{field: value}), field) == value
        with pytest.raises(InputError, match=f"{where} is 'nonsense': it must be one of"):
            cls(**{field: "nonsense"})
        return
    assert get_origin(inner) is Annotated
    for inside, outside in edges(inner):
        if not (field in ("steps", "epochs") and inside == 0):
            made = getattr(cls(**beside, **{field: (inside,) if many else inside}), field)
            assert made == ((inside,) if many else inside)
        with pytest.raises(InputError) as error:
            cls(**beside, **{field: (outside,) if many else outside})
        sentence = str(error.value)
        name = f"{cls.name}.{field}[0]" if many else f"{cls.name}.{field}"
        assert sentence == f"{name} is {outside}: it must be {range_of(inner)}."
    if get_args(inner)[0] is float:
        for value in (math.nan, math.inf):
            with pytest.raises(InputError, match=f"{where}.* is {value}"):
                cls(**{field: (value,) if many else value})


def test_the_ranges_that_are_declared_are_many():
    assert len(FIELDS) > 60  # so that the test above cannot run empty


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (Annotated[int, Ge(1)], "≥ 1"),
        (Annotated[float, Gt(0)], "> 0"),
        (Annotated[float, Le(2)], "≤ 2"),
        (Annotated[float, Lt(0.5)], "< 0.5"),
        (Annotated[float, Interval(ge=0, le=1)], "in [0, 1]"),
        (Annotated[float, Interval(gt=0, le=1)], "in (0, 1]"),
        (Annotated[float, Interval(ge=0, lt=1)], "in [0, 1)"),
        (Annotated[float, Gt(0), Lt(1)], "in (0, 1)"),
        (tuple[Annotated[int, Ge(0)], ...], "each ≥ 0"),
        (Literal["a", "b"], "one of 'a', 'b'"),
        (int, ""),
        (tuple[str, ...], ""),
    ],
)
def test_ranges_in_words(hint, words):
    assert range_of(hint) == words


def test_values_take_the_type_of_their_field():
    assert type(accept(1, float, "a.b")) is float
    assert type(accept(np.int64(3), int, "a.b")) is int
    assert accept([1, 2.5], tuple[float, ...], "a.b") == (1.0, 2.5)
    assert accept("x", tuple[str, ...], "a.b") == ("x",)
    for value, hint in ((True, int), (True, float), (1, bool), (1.0, int), (1, str), ("1", float)):
        with pytest.raises(InputError, match=r"a\.b is .*: it must be"):
            accept(value, hint, "a.b")
    for value, hint in (("10", int), ("5e-5", float), ("false", bool)):
        with pytest.raises(InputError, match=f"so write {value} without quotes"):
            accept(value, hint, "a.b")
