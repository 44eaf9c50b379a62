"""One training in several processes: torch.distributed, started by torchrun.

Every process has the whole model and draws the same batches, λ and partners. Of a batch it computes
the outputs of its share of the rows, with the partners that they need; all processes then get all
outputs and take the same loss of them. So losses, guesses and running means are those of the whole
batch, whatever the method; a gradient flows through the own share alone, and DDP adds them up.

But for rounding all is as in one process, where there is no dropout. Dropout is drawn by each
process for its own rows: a row has another one where it is a partner in another process.
"""

import gc
import importlib
import inspect
import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mixtext.errors import InputError
from mixtext.methods.base import B, M, MethodOf, Outcome, Progress
from mixtext.mixing.interpolate import Mix
from mixtext.models.base import Model

T = TypeVar("T")

# Processes wait for one that back-translates. One that fails is no matter: torchrun ends the rest.
WAIT = timedelta(days=7)


def is_joined() -> bool:
    """Whether this process is one of several; of one alone, where torchrun has started it."""
    return dist.is_available() and dist.is_initialized()


def processes() -> int:
    """How many processes train together."""
    return dist.get_world_size() if is_joined() else 1


def number() -> int:
    """Which of them this one is, from 0. The first one writes; the others write nothing."""
    return dist.get_rank() if is_joined() else 0


@contextmanager
def joined() -> Iterator[None]:
    """Joins the processes that torchrun has started; alone, nothing happens.

    Inside, all of them must call the same functions.

    Raises:
        InputError: one of them has ended before the others.
    """
    if is_joined() or not (dist.is_available() and dist.is_torchelastic_launched()):
        yield
        return
    if gpus := torch.cuda.device_count():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % gpus)
    # DDP imports this package. Imported later, its functions take the group as a default value and
    # keep it, and its threads, until Python ends and is no longer there for them.
    importlib.import_module("torch.distributed.nn")
    dist.init_process_group(timeout=WAIT)  # gloo on CPUs, nccl on GPUs
    try:
        yield
    except RuntimeError as error:
        if "by peer" not in str(error):  # closed or reset: gloo's words for a process that is gone
            raise
        raise InputError(
            "another process of this training has ended, which this one waited for: see what it or "
            "torchrun says of it, then go on with --resume."
        ) from None
    finally:
        dist.destroy_process_group()
        gc.collect()  # what DDP still holds of the group: its threads end here


def of_first(value: T) -> T:
    """The first process's value, in all of them."""
    if not is_joined():
        return value
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


def alike(value: object) -> bool:
    """Whether all processes have this value; waits for all of them."""
    values: list[object] = [value] * processes()
    if is_joined():
        dist.all_gather_object(values, value)
    return all(one == value for one in values)


@contextmanager
def first_alone() -> Iterator[None]:
    """What is inside is done by the first process and, when that is done, by the others."""
    if number():
        alike(None)
    yield
    if not number():
        alike(None)


# ---- scoring: each process takes some batches


def own_part(batches: list[T]) -> list[T]:
    """This process's share of some batches."""
    return batches[number() :: processes()]


def added_up(values: np.ndarray) -> np.ndarray:
    """The sum over all processes."""
    if is_joined():
        dist.all_reduce(torch.from_numpy(values))
    return values


# ---- training: each process takes some rows of a batch


def own_dropout(seed: int, step: int) -> None:
    """Seeds torch for a step: all processes draw different things, resumed or not the same."""
    if is_joined():
        drawn = np.random.SeedSequence([seed, step, number()]).generate_state(1, np.uint64)
        torch.manual_seed(int(drawn[0]))


def shared_loss(
    method: MethodOf[M, B], model: M
) -> Callable[[B, Progress, np.random.Generator], Outcome]:
    """A method's loss of a batch, whose rows all processes share; the model is the first one's.

    The gradient of the loss is a mean over the processes, see `DistributedDataParallel`, of what
    should be a sum: times `processes()` it is right.
    """
    if not is_joined():
        return partial(method.loss, model)
    return DistributedDataParallel(_SharedLoss(method, model))


class _SharedLoss(nn.Module, Generic[M, B]):
    def __init__(self, method: MethodOf[M, B], model: M) -> None:
        super().__init__()
        self.method, self.model = method, model

    def forward(self, batch: B, progress: Progress, generator: np.random.Generator) -> Outcome:
        with ExitStack() as hooks:
            for one in self.model.modules():
                if isinstance(one, Model):  # the model itself, and its teacher
                    hooks.enter_context(_shared_rows(one))
            return self.method.loss(self.model, batch, progress, generator)


@contextmanager
def _shared_rows(model: Model) -> Iterator[None]:
    """Inside, a call of the model takes the whole batch, computes a share, returns all outputs."""
    signature = inspect.signature(model.forward)
    places = torch.empty(0)  # of each row among the outputs of all processes

    def before(model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict]:
        nonlocal places
        call = signature.bind(*args, **kwargs)
        rows, mix = call.arguments["rows"], call.arguments.get("mix")
        partner = list(range(len(rows))) if mix is None else mix.partner.tolist()
        order = in_pairs(partner)
        places = torch.tensor(order, dtype=torch.int64).argsort()
        share = math.ceil(len(order) / processes())
        first = number() * share
        own = [order[k % len(order)] for k in range(first, first + share)]  # the last may be twice
        needed = dict.fromkeys([*own, *(partner[row] for row in own)])
        there = {row: k for k, row in enumerate(needed)}
        if mix is not None:
            met = torch.tensor([there[partner[row]] for row in own], device=mix.partner.device)
            lam = mix.lam[own] if mix.lam.ndim else mix.lam
            call.arguments["mix"] = Mix(lam, met, extra=len(there) - len(own))
        call.arguments["rows"] = rows[torch.tensor([*there], dtype=torch.int64)]
        return call.args, call.kwargs

    def after(model: nn.Module, args: tuple, outputs: Tensor) -> Tensor:
        own = outputs.detach().contiguous()
        parts = [torch.empty_like(own) for _ in range(processes())]
        dist.all_gather(parts, own)
        parts[number()] = outputs  # the one with a gradient
        return torch.cat(parts)[places.to(outputs.device)]

    with ExitStack() as hooks:
        hooks.callback(model.register_forward_pre_hook(before, with_kwargs=True).remove)
        hooks.callback(model.register_forward_hook(after).remove)
        yield


def in_pairs(partner: list[int]) -> list[int]:
    """All rows, each followed by its partner, or by one that is left where that one has been.

    Cut this order into stretches: nearly all rows have their partners in their own stretch.
    """
    order: dict[int, None] = {}
    for row in range(len(partner)):
        while row not in order:
            order[row] = None
            row = partner[row]
    return [*order]
