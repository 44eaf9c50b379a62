"""Time of a training step that processes share, as a ratio to one process's, as a Markdown table.

    torchrun --nproc-per-node 2 benchmarks/processes.py [--repeats 10] [--recipe FILE] [--out FILE]

Every repetition takes the same step three times, one after the other, so that what else the machine
does falls on all: by the first process alone on one thread, by it alone on as many threads as there
are processes, and by all processes of one thread each. The ratio is the median over repetitions of
the first time by the others.
"""

import argparse
import json
import statistics
import time
from functools import partial
from pathlib import Path

import torch

from mixtext.api import load_recipe
from mixtext.environment import made_by
from mixtext.run import Run
from mixtext.training.distributed import alike, first_alone, joined, number, processes

QUICKSTART = Path(__file__).parents[1] / "experiments" / "quickstart.toml"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--recipe", default=str(QUICKSTART))
    parser.add_argument("--out", type=Path, help="file that a line of results is added to")
    options = parser.parse_args()
    with joined():
        torch.set_num_threads(1)
        with first_alone():
            alone, shared = (Run.prepare(load_recipe(options.recipe)).trainer for _ in range(2))
        # By itself, without the others; `joined` holds for the whole process.
        alone.__dict__["loss"] = partial(alone.method.loss, alone.model)
        ways = {
            "one process, one thread": (alone, 1),
            f"one process, {processes()} threads": (alone, processes()),
            f"{processes()} processes, one thread each": (shared, 1),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for step in range(options.repeats + 2):
            for way, (trainer, threads) in ways.items():
                torch.set_num_threads(threads)
                alike(None)
                start = time.perf_counter()
                if trainer is shared or not number():
                    trainer.step(step, lambda outcome, batch: None)
                alike(None)
                times[way].append(time.perf_counter() - start)
        if not number():
            print(f"{Path(options.recipe).name}, median of {options.repeats} repetitions\n")
            print("| | ms a step | times as fast |\n| --- | --: | --: |")
            one, *_ = times.values()
            found = {}
            for way, seconds in times.items():
                pairs = zip(one[2:], seconds[2:], strict=True)  # the first two warm up
                faster = statistics.median(a / b for a, b in pairs)
                found[way] = {
                    "ms": round(1000 * statistics.median(seconds[2:])),
                    "times": round(faster, 2),
                }
                print(f"| {way} | {found[way]['ms']} | {faster:.2f} |")
            if options.out:
                command = f"torchrun --nproc-per-node {processes()} benchmarks/processes.py"
                line = {
                    "benchmark": "processes",
                    "command": f"{command} --repeats {options.repeats}",
                    "result": {"recipe": Path(options.recipe).name, "ways": found},
                    "torch": torch.__version__,
                    "mixtext": made_by(),
                }
                with options.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
