"""Prints the launcher flag for `make pretrain`: the GPUs of this machine, or two CPU ranks where it has none."""

import torch

# The demo's global batch, 16 rows in micro-batches of 8, is shared by at most two.
MOST = 2

if __name__ == "__main__":
    gpus = torch.cuda.device_count()
    print(f"--num_gpus {min(gpus, MOST)}" if gpus else f"--num_accelerators {MOST}")
