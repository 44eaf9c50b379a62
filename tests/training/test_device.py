"""Where bfloat16 is taken by itself."""

import pytest
import torch

from mixtext.training.device import autocast, fast_bfloat16, fast_cpu


@pytest.mark.parametrize(
    ("flags", "fast"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, True),
        ({"amx_bf16": False, "avx512_bf16": True}, True),
        ({"amx_bf16": False, "avx512_bf16": False, "avx512_f": True, "amx_int8": True}, False),
        ({}, False),  # another architecture
    ],
)
def test_cpus_that_multiply_bfloat16_itself(flags, fast):
    assert fast_cpu(flags) == fast


def test_auto_follows_the_machine_and_a_name_does_not():
    cpu = torch.device("cpu")
    for precision, wanted in (("bfloat16", True), ("float32", False), ("auto", fast_bfloat16(cpu))):
        with autocast(precision, cpu):
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == (torch.bfloat16 if wanted else torch.float32)


def test_what_trains_within_a_context_sees_its_updates():
    layer, x = torch.nn.Linear(3, 2), torch.ones(1, 3)
    with autocast("bfloat16", torch.device("cpu")):
        before = layer(x)
        with torch.no_grad():
            layer.weight += 1
        after = layer(x)
    assert torch.allclose(after - before, torch.full((1, 2), 3.0).bfloat16(), atol=0.05)


def test_the_flags_are_those_that_torch_names():
    if torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2", "AVX512"):  # of x86
        assert {"amx_bf16", "avx512_bf16"} <= torch.cpu.get_capabilities().keys()
