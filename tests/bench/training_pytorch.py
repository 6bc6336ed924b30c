#!/usr/bin/env python3
"""Whole training steps beside PyTorch's: CIFAR ResNet-18, two views, batch 64, two threads.

    tests/bench/training_pytorch.py --plenum build/launch/plenum [--rounds 5] [--precision bf16]

Runs `plenum train` (reading, augmenting, loss, update and all, on rendered shapes) and
simclr_pytorch.py (random images in memory: nothing to read or augment) in turn, and prints the rates
of each round, their ratio, and the median ratio with its spread. Rates are medians over the steps of a
round, the first three left out. Needs torch and torchvision for the interpreter given by --python.
"""
import argparse
import json
import pathlib
import re
import statistics
import subprocess
import tempfile

CONFIG = """
run: {{name: bench, dir: {folder}/run, overwrite: true, threads: {threads}}}
data: {{train: {folder}/shapes}}
model: {{encoder: resnet18, stem: cifar, width: 64}}
method: {{name: simclr, projector: [512, 128]}}
batch: {{global: 64, micro: 64}}
optim: {{name: sgd, lr: 0.01, warmup: 0}}
train: {{steps: {steps}, precision: {precision}, diagnostics: never}}
"""
WARM_UP = 3


def plenum_rate(args, folder):
    subprocess.run([args.plenum, "train", f"{folder}/c.yaml"], check=True, capture_output=True)
    lines = map(json.loads, pathlib.Path(folder, "run", "metrics.jsonl").read_text().splitlines())
    steps = [line for line in lines if "event" not in line][WARM_UP:]
    waits = sum(s["slowest_ms"]["data"] for s in steps) / sum(s["step_ms"] for s in steps)
    return statistics.median(s["samples_per_second"] for s in steps), waits


def pytorch_rate(args):
    script = pathlib.Path(__file__).with_name("simclr_pytorch.py")
    out = subprocess.run(
        [args.python, script, "--precision", args.precision, "--threads", str(args.threads),
         "--seconds", str(args.seconds)],
        check=True, capture_output=True, text=True,
    ).stdout
    return float(re.search(rf"{args.precision}: ([\d.]+) samples/s", out).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plenum", required=True)
    parser.add_argument("--python", default="python3", help="an interpreter that has torch")
    parser.add_argument("--precision", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=33, help="of plenum, in a round")
    parser.add_argument("--seconds", type=float, default=15, help="of PyTorch, in a round")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([args.plenum, "data", "synth", "shapes", "--out", f"{folder}/shapes",
                        "--samples", "2000"], check=True, capture_output=True)
        pathlib.Path(folder, "c.yaml").write_text(CONFIG.format(folder=folder, **vars(args)))
        ratios = []
        for number in range(args.rounds):
            ours, waits = plenum_rate(args, folder)
            theirs = pytorch_rate(args)
            ratios.append(ours / theirs)
            print(f"round {number + 1}: plenum {ours:.1f} samples/s ({100 * waits:.2f} % waiting for "
                  f"data), PyTorch {theirs:.1f}, ratio {ratios[-1]:.2f}", flush=True)
        print(f"{args.precision}: median ratio {statistics.median(ratios):.2f} "
              f"[{min(ratios):.2f}, {max(ratios):.2f}] over {args.rounds} rounds")


if __name__ == "__main__":
    main()
