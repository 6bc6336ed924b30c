#!/usr/bin/python3
"""Rate of torchvision's SimCLR augmentation on one thread, as a figure to hold `plenum bench data`
against: the pipeline as people use it (PIL images) and the one on float tensors.

Needs torch and torchvision (Debian: python3-torchvision). With --plenum PROGRAM it runs `plenum
bench data` in turns with it and prints the ratio of the medians:

  tests/bench/augment_torchvision.py --plenum build/launch/plenum
  tests/bench/augment_torchvision.py --plenum build/launch/plenum --source 96 --size 224
"""
import argparse
import json
import statistics
import subprocess
import time

import numpy
import torch
from PIL import Image
from torchvision import transforms as T

IMAGES = 64


def pipeline(size, blur, on_tensors):
    kernel = max(3, 2 * (size // 20) + 1)
    steps = [T.RandomResizedCrop(size, scale=(0.08, 1.0), antialias=True if on_tensors else None),
             T.RandomHorizontalFlip(),
             T.RandomApply([T.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
             T.RandomGrayscale(0.2)]
    if blur > 0:
        steps.append(T.RandomApply([T.GaussianBlur(kernel, (0.1, 2.0))], p=blur))
    if not on_tensors:
        steps.append(T.ToTensor())
    steps.append(T.Normalize((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)))
    return T.Compose(steps)


def rate(transform, images, seconds):
    """Samples of two views a second."""
    done, start = 0, time.perf_counter()
    while True:
        for image in images:
            transform(image)
            transform(image)
        done += len(images)
        passed = time.perf_counter() - start
        if passed >= seconds:
            return done / passed


def ours(program, arguments, blur):
    command = [program, "bench", "data", "--json", "--repeats", "1", "--source", str(arguments.source),
               "--size", str(arguments.size), "--seconds", str(arguments.seconds)]
    figures = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return figures["augment" if blur == 0 else "augment_blur"]["median"]


def show(name, rates):
    print(f"  {name:<24} {statistics.median(rates):10.0f} samples/s  "
          f"[{min(rates):.0f}, {max(rates):.0f}]")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--source", type=int, default=32, help="side of the source images")
    parser.add_argument("--size", type=int, default=32, help="side of the views")
    parser.add_argument("--seconds", type=float, default=1, help="of each measurement")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--plenum", metavar="PROGRAM", help="measure this one as well, in turns")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(1)
    shape = (IMAGES, arguments.source, arguments.source, 3)
    pixels = numpy.random.default_rng(1).integers(0, 256, shape, dtype=numpy.uint8)
    pictures = [Image.fromarray(p) for p in pixels]
    tensors = [torch.from_numpy(p).permute(2, 0, 1).contiguous().float() / 255 for p in pixels]

    for blur in (0, 0.5):
        rates = {"torchvision, PIL": [], "torchvision, tensors": [], "plenum": []}
        for _ in range(arguments.repeats):
            rates["torchvision, PIL"].append(
                rate(pipeline(arguments.size, blur, False), pictures, arguments.seconds))
            rates["torchvision, tensors"].append(
                rate(pipeline(arguments.size, blur, True), tensors, arguments.seconds))
            if arguments.plenum:
                rates["plenum"].append(ours(arguments.plenum, arguments, blur))
        print(f"two views, {arguments.source} -> {arguments.size}, blur {blur}, one thread: "
              f"median [least, most] of {arguments.repeats}")
        for name, values in rates.items():
            if values:
                show(name, values)
        if arguments.plenum:
            ratios = [statistics.median(rates["plenum"]) / statistics.median(rates[name])
                      for name in ("torchvision, PIL", "torchvision, tensors")]
            print(f"  plenum is {ratios[0]:.1f} times the first, {ratios[1]:.1f} times the second")


if __name__ == "__main__":
    main()
