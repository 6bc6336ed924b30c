#!/usr/bin/env python3
"""Writes tests/parity/clip/cases.bin: the losses of CLIP and SigLIP by PyTorch in double precision.

Needs torch and numpy. Each case, little-endian and without gaps:
  int32   0 for CLIP and 1 for SigLIP, pairs per leaf, leaves, width
  float64 log scale, bias, loss, accuracy, alignment, uniformity, d loss / d log scale,
          d loss / d bias
  float32 images, texts (pairs, width)
  float64 gradients of the loss: images, texts (pairs, width)
"""
import math
import pathlib
import struct

import torch
import torch.nn.functional as F


def loss_of(kind, x, y, t, b):
    logits = t.exp() * x @ y.T
    pairs = torch.arange(len(x))
    if kind == 0:
        return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2
    signs = 2 * torch.eye(len(x), dtype=x.dtype) - 1
    return -F.logsigmoid(signs * (logits + b)).sum() / len(x)


def figures_of(x, y):
    pairs = torch.arange(len(x))
    s = x @ y.T
    accuracy = torch.cat([s.argmax(1) == pairs, s.argmax(0) == pairs]).double().mean()
    alignment = (2 - 2 * s.diagonal()).mean()
    others = ~torch.eye(len(x), dtype=torch.bool)
    uniformity = torch.exp(4 * (x @ x.T)[others] - 4).mean().log()
    return accuracy.item(), alignment.item(), uniformity.item()


def case(kind, leaf_pairs, leaves, width, log_scale, bias, noise, generator):
    pairs = leaf_pairs * leaves
    common, own, other = (
        torch.randn(pairs, width, generator=generator, dtype=torch.float64) for _ in range(3))
    x = F.normalize(common + noise * own, dim=1).float().double().requires_grad_()
    y = F.normalize(common + noise * other, dim=1).float().double().requires_grad_()
    t = torch.tensor(log_scale, dtype=torch.float64, requires_grad=True)
    b = torch.tensor(bias, dtype=torch.float64, requires_grad=True)
    loss = loss_of(kind, x, y, t, b)
    loss.backward()
    slopes = t.grad.item(), 0.0 if b.grad is None else b.grad.item()
    head = struct.pack("<4i8d", kind, leaf_pairs, leaves, width, log_scale, bias, loss.item(),
                       *figures_of(x.detach(), y.detach()), *slopes)
    inputs = b"".join(v.detach().float().numpy().astype("<f4").tobytes() for v in (x, y))
    return head + inputs + b"".join(v.grad.numpy().astype("<f8").tobytes() for v in (x, y))


def main():
    generator = torch.Generator().manual_seed(2021)
    cases = [
        (0, 4, 3, 16, math.log(1 / 0.07), 0.0, 0.5), (0, 1, 7, 8, 1.0, 0.0, 1.0),
        (0, 7, 4, 24, math.log(100), 0.0, 0.6), (1, 4, 3, 16, math.log(10), -10.0, 0.5),
        (1, 1, 7, 8, 1.0, -1.0, 1.0), (1, 7, 4, 24, math.log(50), -20.0, 0.3),
    ]
    out = pathlib.Path(__file__).parent / "clip" / "cases.bin"
    out.write_bytes(b"".join(case(*c, generator) for c in cases))


main()
