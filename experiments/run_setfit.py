"""SetFit (arXiv 2209.11055), by its own library, on the rows of a recipe: a rival in the tables.

    ./run.sh setfit experiments/few_labels.toml data.split_seed=1 training.seed=1 --run runs/set

Labelled and test rows, encoder, length and seed are the recipe's, the rest the library's defaults;
but of more than 200 rows, 20 pairs of each kind a row, as in the paper, where the library takes
all. The folder is a run's, for `mixtext table`, but without a model; killed, SetFit begins anew.
"""

import argparse
import json
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mixtext.api import load_recipe
from mixtext.data.prepare import Data
from mixtext.environment import made_by
from mixtext.errors import InputError
from mixtext.files import read_json, write_json
from mixtext.metrics import metrics_of
from mixtext.models.pretrained import encoder_folder
from mixtext.recipe import Recipe, fields_of
from mixtext.run import environment_of
from mixtext.run_folder import open_folder
from mixtext.setfit import setfit_data

MANY = 200  # rows: of more, not all pairs
PAIRS = 20  # the paper's R


def main() -> int:
    """Trains once and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("changes", nargs="*", help="table.field=value")
    parser.add_argument("--run", type=Path, required=True, help="the run folder")
    args = parser.parse_intermixed_args()
    try:
        recipe = load_recipe(args.recipe, args.changes)
        with open_folder(args.run, recipe, resume=True) as opened:
            if opened.result is None:
                data = setfit_data(recipe)
                opened.begin(recipe, environment_of(recipe, data, None))
                write_json(args.run / "result.json", train(recipe, data))
        print(json.dumps(read_json(args.run / "result.json")))
    except InputError as error:
        print(f"run_setfit: {error}", file=sys.stderr)
        return 2
    return 0


def train(recipe: Recipe, data: Data) -> dict[str, Any]:
    """What result.json says."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    started = time.time()
    rows, test = data.split.learned, data.test
    model = SetFitModel.from_pretrained(str(encoder_folder(recipe.model.encoder)))
    model.model_body.max_seq_length = recipe.model.max_length
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                seed=recipe.training.seed,
                max_length=recipe.model.max_length,
                num_iterations=PAIRS if len(rows) > MANY else None,
                save_strategy="no",
                report_to="none",
                show_progress_bar=False,
            ),
            train_dataset=Dataset.from_dict(
                {
                    "text": [data.train.texts[i] for i in rows],
                    "label": data.train.labels[rows].tolist(),
                }
            ),
        )
        trainer.train()
    scored = np.flatnonzero(test.labelled)
    told = np.asarray(model.predict_proba([test.texts[i] for i in scored]))
    probabilities = np.zeros((len(scored), data.train.classes))
    probabilities[:, np.asarray(model.model_head.classes_)] = told
    return {
        "name": recipe.name,
        "method": "setfit",
        "corpus": data.train.name,
        "task": data.train.task,
        "rows": data.train.rows,
        "target": data.train.target,
        "encoder": recipe.model.encoder,
        "labels_per_class": recipe.data.labels_per_class,
        "labelled": len(data.split.labelled),
        "labels": {"learned_from": len(data.split.labelled), "chosen_by": 0},
        "unlabelled": 0,
        "views": "",
        "dev_rows": 0,
        "test_rows": len(scored),
        "split_seed": recipe.data.split_seed,
        "seed": recipe.training.seed,
        "settings": {
            k: v for k, v in fields_of(recipe).items() if k.startswith(("data.", "model."))
        },
        "version": f"setfit {version('setfit')}",
        "mixtext": made_by(),
        "best_step": -1,
        "dev": {},
        "test": metrics_of("classes", test.labels[scored], probabilities),
        "clock": {"seconds": round(time.time() - started, 1)},
    }


if __name__ == "__main__":
    sys.exit(main())
