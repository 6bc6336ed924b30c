#!/usr/bin/env python3
"""Times SimCLR training steps of a CIFAR ResNet in PyTorch, to hold `plenum bench net` against.

A step is what the bench measures too: forward and backward through encoder and projector with two
views of each sample in one batch, and an SGD update. NT-Xent is included here; on 128 embeddings it
costs next to nothing. Images are random and already in memory. Needs torch and torchvision.
"""
import argparse
import statistics
import time

import torch
import torchvision


class SimCLR(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        # torchvision's ResNet has no free width for basic blocks; 64 is the paper's.
        self.encoder = torchvision.models.resnet18()
        self.encoder.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.encoder.maxpool = torch.nn.Identity()
        self.encoder.fc = torch.nn.Identity()
        self.projector = torch.nn.Sequential(
            torch.nn.Linear(512, 512, bias=False),
            torch.nn.BatchNorm1d(512),
            torch.nn.ReLU(inplace=True),
            torch.nn.Linear(512, width),
        )

    def forward(self, images):
        return torch.nn.functional.normalize(self.projector(self.encoder(images)), dim=1)


def nt_xent(z, temperature):
    """Normalised temperature-scaled cross entropy; the two views of a sample stand n rows apart."""
    n = z.shape[0] // 2
    scores = z @ z.T / temperature
    scores.fill_diagonal_(float("-inf"))
    positives = torch.arange(2 * n).roll(n)
    return torch.nn.functional.cross_entropy(scores, positives)


def measure(args, precision):
    torch.manual_seed(1)
    model = SimCLR(128).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    images = torch.randn(2 * args.micro, 3, args.size, args.size)
    images = images.contiguous(memory_format=torch.channels_last)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            z = model(images)
        loss = nt_xent(z.float(), 0.2)
        loss.backward()
        optimizer.step()

    step()
    times = []
    end = time.perf_counter() + args.seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return [args.micro / t for t in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--micro", type=int, default=64, help="samples of a step")
    parser.add_argument("--size", type=int, default=32, help="side of the images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10, help="time to measure each precision")
    parser.add_argument("--precision", default="bf16,f32", help="comma-separated")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {args.threads} threads, two views of {args.micro} samples")
    for precision in args.precision.split(","):
        rates = measure(args, precision)
        print(
            f"{precision}: {statistics.median(rates):.1f} samples/s "
            f"[{min(rates):.1f}, {max(rates):.1f}] over {len(rates)} steps",
            flush=True,
        )


if __name__ == "__main__":
    main()
