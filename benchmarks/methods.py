"""Time of a training step by method, as ratios to plain training, as one Markdown table.

    python benchmarks/methods.py [--rows 32] [--tokens 64] [--repeats 20] [--out FILE]

Every repetition runs one step of each method, one after the other, on the same batch of BBC News,
so that what else the machine does falls on all of them. The ratio is the median over repetitions of
a method's time by plain training's in the same repetition. A step is loss, gradient and update.
Methods with unlabelled rows are left out, whose batches are not the same, and those without steps.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mixtext.data.read.catalogue import load
from mixtext.environment import made_by
from mixtext.inference import rows_of
from mixtext.methods import METHODS
from mixtext.methods.base import Method, Progress
from mixtext.methods.ssmix import SSMix
from mixtext.models.build import build_model
from mixtext.models.classifier import Classifier
from mixtext.models.settings import ModelSettings
from mixtext.training.device import autocast, choose_device
from mixtext.training.optimiser import make_optimiser
from mixtext.training.settings import TrainingSettings

LATE = Progress(step=9, total_steps=10, epoch=9.0, epochs=10.0)  # mixup_transformer mixes by then


def timed_methods(encoder_layers: int) -> dict[str, Method]:
    """What is timed: every method on single texts, and SSMix without its saliency pass."""
    methods: dict[str, Method] = {}
    for name, method in METHODS.items():
        if method.takes("texts", "classes") and method.steps and not method.unlabelled:
            methods[name] = method()
    methods["ssmix without saliency"] = SSMix(saliency=False)
    top = tuple(range(encoder_layers // 2, encoder_layers))
    return {k: replace(m, layers=top) if k == "tmix" else m for k, m in methods.items()}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--out", type=Path, help="file that a line of results is added to")
    options = parser.parse_args()

    train = load("bbc_news")
    settings = ModelSettings(encoder=options.encoder, max_length=options.tokens, dropout=0.1)
    model, tokenizer, _ = build_model(settings, train, seed=0)
    device = choose_device("auto")
    model.to(device).train()
    source = rows_of(train, settings, tokenizer)
    full = np.flatnonzero(source.lengths == options.tokens)
    generator = np.random.default_rng(0)
    batch = make_batch(source, train.labels, generator.choice(full, options.rows)).to(device)
    optimiser = make_optimiser(model, TrainingSettings(lr_encoder=1e-6, lr_head=1e-6))

    methods = timed_methods(model.encoder.layers)
    times: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(options.repeats + 2):
        for name, method in methods.items():
            times[name].append(step(model, method, batch, optimiser, generator))
    plain = times["supervised"][2:]  # the first two warm up
    print(
        f"{options.encoder}, {options.rows} rows of {options.tokens} tokens, {device}, "
        f"{torch.get_num_threads()} thread(s), median of {options.repeats} repetitions\n"
    )
    print("| method | ms a step | ratio to plain |\n| --- | --- | --- |")
    found = {}
    for name, seconds in times.items():
        ratio = statistics.median(a / b for a, b in zip(seconds[2:], plain, strict=True))
        found[name] = {"ms": round(1000 * statistics.median(seconds[2:])), "ratio": round(ratio, 2)}
        print(f"| {name} | {found[name]['ms']} | {found[name]['ratio']:.2f} |")
    if options.out:
        line = {
            "benchmark": "methods",
            "command": f"python benchmarks/methods.py --repeats {options.repeats}",
            "result": {"rows": options.rows, "tokens": options.tokens, "methods": found},
            "encoder": options.encoder,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "mixtext": made_by(),
        }
        with options.out.open("a") as file:
            file.write(json.dumps(line) + "\n")


def make_batch(source, labels, rows):
    """A batch of labelled rows alone."""
    from mixtext.data.batches import Batch

    return Batch(
        rows=source.collate([source.row(i) for i in rows]),
        labels=torch.from_numpy(labels[rows]),
        unlabelled=0,
        views=0,
        hidden=np.empty(0, np.int64),
        row_ids=[str(i) for i in rows],
        unknown_id=source.unknown_id,
    )


def step(model: Classifier, method: Method, batch, optimiser, generator) -> float:
    """Seconds of one training step."""
    device = batch.labels.device
    synchronise = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    synchronise()
    start = time.perf_counter()
    with autocast("auto", device):
        outcome = method.loss(model, batch, LATE, generator)
    outcome.loss.backward()
    optimiser.step()
    optimiser.zero_grad()
    synchronise()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
