"""Settings that all tests share."""

import torch

# The models here are tiny: threads cost more than they bring, and one thread repeats bit for bit.
torch.set_num_threads(1)
