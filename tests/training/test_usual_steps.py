"""The length of a training that no label chose."""

from mixtext.training.settings import TrainingSettings, plan_steps, usual_steps


def test_ten_passes_fewer_where_there_is_much_and_never_too_short():
    assert usual_steps(15, 8) == usual_steps(40, 8) == 240
    assert usual_steps(770, 8) == 963  # 7,700 rows
    assert usual_steps(2000, 8) == 1250  # 10,000 rows, five passes
    assert usual_steps(100_000, 10) == 30_000  # three passes


def test_more_rows_are_never_seen_for_fewer_steps():
    steps = [usual_steps(rows, 8) for rows in range(1, 20_000, 7)]
    assert steps == sorted(steps)


def test_the_plan_goes_by_it_where_neither_steps_nor_epochs_are_given():
    assert plan_steps(TrainingSettings(), 770).total == 963
    assert plan_steps(TrainingSettings(accumulate=2), 770).total == 482
    assert plan_steps(TrainingSettings(epochs=2), 770).total == 194
    assert plan_steps(TrainingSettings(steps=7), 770).total == 7
