"""Prints the launcher flag that fits this machine: none with GPUs (deepspeed takes them all), two CPU ranks without."""

import torch

if __name__ == "__main__":
    print("" if torch.cuda.is_available() else "--num_accelerators 2")
