#!/usr/bin/env python3
"""The rate of NT-Xent, forward and backward, in PyTorch with the whole similarity matrix: the figure
to hold `plenum bench loss` against. Needs torch.

    tests/bench/ntxent_pytorch.py [--batch 8192] [--width 512] [--threads 2] [--repeats 5] [--json]

Counts the same three products of 2 B² d operations each, and measures a 2048³ product of PyTorch's
own beside it, in alternation.
"""
import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn.functional as F

SQUARE = 2048
SQUARE_TIMES = 4


def loss_and_gradient(z, partner, temperature):
    z.grad = None
    similarity = z @ z.T / temperature
    similarity.fill_diagonal_(float("-inf"))
    loss = F.cross_entropy(similarity, partner)
    loss.backward()
    return loss.item()


def seconds(work):
    start = time.monotonic()
    work()
    return time.monotonic() - start


def squares(left, right, out):
    for _ in range(SQUARE_TIMES):
        torch.mm(left, right, out=out)


def spread(rates):
    return {"median": statistics.median(rates), "low": min(rates), "high": max(rates)}


def measure(args):
    generator = torch.Generator().manual_seed(1)
    half = args.batch // 2
    common = torch.randn(half, args.width, generator=generator)
    own = torch.randn(2 * half, args.width, generator=generator)
    z = F.normalize(torch.cat([common, common]) + own, dim=1).requires_grad_()
    partner = torch.arange(2 * half).roll(half)
    square = [torch.randn(SQUARE, SQUARE, generator=generator) for _ in range(3)]

    def step():
        loss_and_gradient(z, partner, args.temperature)

    step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    squares(*square)
    loss_rates, square_rates = [], []
    for _ in range(args.repeats):
        square_rates.append(2e-9 * SQUARE**3 * SQUARE_TIMES / seconds(lambda: squares(*square)))
        loss_rates.append(6e-9 * args.batch**2 * args.width / seconds(step))
    return {
        "batch": args.batch,
        "width": args.width,
        "threads": args.threads,
        "torch": torch.__version__,
        "square_gflops": spread(square_rates),
        "ntxent_gflops": spread(loss_rates),
        "ratio": spread([a / b for a, b in zip(loss_rates, square_rates)]),
        "peak_resident_bytes": peak,
    }


def print_text(found):
    print(f"torch {found['torch']}, batch of {found['batch']} rows, width {found['width']}, "
          f"{found['threads']} threads")
    for key in ("square_gflops", "ntxent_gflops", "ratio"):
        r = found[key]
        print(f"{key:<20} {r['median']:8.3f}  [{r['low']:.3f}, {r['high']:.3f}]")
    embeddings = found["batch"] * found["width"] * 4
    peak = found["peak_resident_bytes"]
    print(f"{'peak resident':<20} {peak / 1e6:8.1f} MB = {peak / embeddings:.2f} x the embeddings")


def main():
    parser = argparse.ArgumentParser(description="rate of NT-Xent in PyTorch")
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--temperature", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = measure(args)
    print(json.dumps(found)) if args.json else print_text(found)


main()
