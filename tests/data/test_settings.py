"""Data settings: what is out of range or contradicts itself is refused by the fields' names."""

import pytest

from mixtext.data.settings import DataSettings
from mixtext.errors import InputError


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"labelled_share": 0.0, "labels_per_class": 0}, ["data.labelled_share is 0.0", "(0, 1]"]),
        ({"labelled_share": 1.5, "labels_per_class": 0}, ["data.labelled_share is 1.5"]),
        ({"labelled_share": float("nan")}, ["data.labelled_share is nan"]),
        (
            {"labelled_share": 0.1, "labels_per_class": 10},
            ["data.labelled_share is 0.1", "data.labels_per_class is 10"],
        ),
        ({"corrupt": -0.1}, ["data.corrupt is -0.1", "[0, 1]"]),
        ({"corrupt": 1.1}, ["data.corrupt is 1.1"]),
        ({"scores": (5.0,)}, ["data.scores is [5.0]", "two numbers"]),
        ({"scores": (5.0, 0.0)}, ["data.scores is [5.0, 0.0]"]),
        ({"scores": (0.0, 5.0), "corrupt": 0.2}, ["data.scores", "data.corrupt is 0.2"]),
        ({"scores": (0.0, 5.0), "split": "official"}, ["data.scores", "data.split"]),
    ],
)
def test_refusals_name_the_fields(fields, parts):
    with pytest.raises(InputError) as error:
        DataSettings(**fields)
    assert all(x in str(error.value) for x in parts), str(error.value)


def test_what_goes_together():
    DataSettings()
    DataSettings(labels_per_class=0, labelled_share=0.1, corrupt=1.0)
    DataSettings(scores=(0.0, 5.0), labels_per_class=0, labelled_share=0.4)
