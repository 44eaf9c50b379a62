"""SeqMix's loss and settings."""

import pytest
import torch

from mixtext.errors import InputError
from mixtext.tagging.seqmix import SeqMix, token_cross_entropy


def test_worked_example():
    logits = torch.tensor([[[0.7, 0.2, 0.1]]]).log()
    targets = torch.tensor([[[0.6, 0.4, 0.0]]])
    assert token_cross_entropy(logits, targets).item() == pytest.approx(0.85778, abs=5e-6)


def test_one_hot_labels_give_plain_cross_entropy_over_labelled_tokens_alone():
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3)
    labels = torch.tensor([[0, 2, -100, 1], [1, -100, -100, -100]])
    targets = torch.nn.functional.one_hot(labels.clamp(min=0), 3) * (labels >= 0)[..., None]
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    assert token_cross_entropy(logits, targets.float()).item() == pytest.approx(expected.item())


def test_soft_labels_give_a_gradient_and_it_is_p_less_y():
    torch.manual_seed(0)
    logits = torch.randn(1, 2, 3, requires_grad=True)
    targets = torch.tensor([[[0.6, 0.4, 0.0], [0.0, 0.0, 0.0]]])
    token_cross_entropy(logits, targets).backward()
    expected = torch.softmax(logits[0, 0], -1) - targets[0, 0]
    assert torch.allclose(logits.grad[0, 0], expected, atol=1e-6)
    assert (logits.grad[0, 1] == 0).all()  # a token without a label
    assert logits.grad[0, 0].abs().max() > 0.01


def test_a_batch_without_labels_gives_zero():
    logits = torch.zeros(1, 2, 3, requires_grad=True)
    loss = token_cross_entropy(logits, torch.zeros(1, 2, 3))
    loss.backward()
    assert loss.item() == 0 and (logits.grad == 0).all()


@pytest.mark.parametrize(
    "settings",
    [{"alpha": 0.0}, {"rate": -0.1}, {"window": 0}, {"threshold": 1.1}, {"ngram": 1},
     {"quantiles": (0.9, 0.1)}, {"quantiles": (0.0, 1.5)}, {"perplexity": (5.0,)},
     {"perplexity": (-1.0, 3.0)}],
)  # fmt: skip
def test_settings_out_of_range(settings):
    (field,) = settings
    with pytest.raises(InputError, match=rf"seqmix\.{field} is"):
        SeqMix(**settings)
