#!/usr/bin/env python3
"""Writes tests/parity/ntxent/cases.bin: NT-Xent by PyTorch in double precision.

Needs torch and numpy. Each case, little-endian and without gaps:
  int32   samples per leaf, leaves, width, 0
  float64 temperature, loss, accuracy, alignment, uniformity
  float32 embeddings (rows, width): per leaf all first views, then all second views
  float64 gradient of the loss (rows, width)
"""
import pathlib
import struct

import torch
import torch.nn.functional as F


def positives(leaf_samples, leaves):
    rows = torch.arange(2 * leaf_samples * leaves)
    within = rows % (2 * leaf_samples)
    return torch.where(within < leaf_samples, rows + leaf_samples, rows - leaf_samples)


def embeddings(leaf_samples, leaves, width, noise, generator):
    """Unit rows; the views of a sample differ by `noise`."""
    rows = 2 * leaf_samples * leaves
    z = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    partner = positives(leaf_samples, leaves)
    second = torch.arange(rows) > partner
    z[second] = z[partner[second]] + noise * z[second]
    return F.normalize(z, dim=1).float()


def case(leaf_samples, leaves, width, temperature, noise, generator):
    z = embeddings(leaf_samples, leaves, width, noise, generator)
    leaf = z.double().requires_grad_()
    partner = positives(leaf_samples, leaves)
    rows = len(z)
    self = torch.eye(rows, dtype=torch.bool)
    similarity = (leaf @ leaf.T).masked_fill(self, float("-inf"))
    loss = F.cross_entropy(similarity / temperature, partner)
    loss.backward()
    with torch.no_grad():
        accuracy = (similarity.argmax(1) == partner).double().mean()
        d = leaf.detach()
        alignment = (2 - 2 * (d * d[partner]).sum(1)).mean()
        uniformity = torch.exp(4 * similarity[~self] - 4).mean().log()
    head = struct.pack("<4i5d", leaf_samples, leaves, width, 0, temperature, loss.item(),
                       accuracy.item(), alignment.item(), uniformity.item())
    return head + z.numpy().astype("<f4").tobytes() + leaf.grad.numpy().astype("<f8").tobytes()


def main():
    generator = torch.Generator().manual_seed(2020)
    cases = [(4, 3, 16, 0.5, 0.5), (1, 7, 8, 0.1, 0.3), (5, 4, 32, 0.2, 1.0), (6, 2, 10, 1.0, 0.1)]
    out = pathlib.Path(__file__).parent / "ntxent" / "cases.bin"
    out.write_bytes(b"".join(case(*c, generator) for c in cases))


main()
