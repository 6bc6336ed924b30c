#!/usr/bin/env python3
"""Whole training steps beside PyTorch's: two threads, batch 64, in turn in one run.

    tests/bench/training_pytorch.py --plenum build/launch/plenum [--rounds 5] [--precision bf16]
    tests/bench/training_pytorch.py --plenum … --method clip --vocabulary bpe_simple_vocab_16e6.txt.gz

simclr: a CIFAR ResNet-18, two views. clip: a ViT-S/16 on images of 96 pixels and a text transformer of 6
layers. Runs `plenum train` (reading, augmenting, loss, update and all, on rendered shapes and their
captions) and simclr_pytorch.py or clip_pytorch.py (random inputs in memory: nothing to read or augment)
in turn, and prints the rates of each round, their ratio, and the median ratio with its spread. Rates are
medians over the steps of a round, the first three left out. Needs torch (simclr: and torchvision) for
the interpreter given by --python, which may be given several times.
"""
import argparse
import json
import pathlib
import re
import statistics
import subprocess
import tempfile

COMMON = """
run: {{name: bench, dir: {folder}/run, overwrite: true, threads: {threads}}}
batch: {{global: 64, micro: 64}}
train: {{steps: {steps}, precision: {precision}, diagnostics: never}}
"""
SIMCLR = """
data: {{train: {folder}/shapes}}
model: {{encoder: resnet18, stem: cifar, width: 64}}
method: {{name: simclr, projector: [512, 128]}}
optim: {{name: sgd, lr: 0.01, warmup: 0}}
"""
CLIP = """
data: {{train: {folder}/shapes, vocabulary: {vocabulary}}}
model:
  encoder: vit_small
  patch: 16
  image_size: 96
  text: {{width: 384, layers: 6, heads: 6, context: {context}}}
method: {{name: clip, embedding: 512, temperature: 0.07}}
augment: {{preset: none, crop_min: 0.9, flip: 0.5}}
optim: {{name: adamw, lr: 1.0e-3, weight_decay: 0.1, beta2: 0.98, epsilon: 1.0e-6, warmup: 0}}
"""
WARM_UP = 3


def make_data(args, folder):
    captions = ["--size", "96", "--classes", "both"] if args.method == "clip" else []
    subprocess.run([args.plenum, "data", "synth", "shapes", "--out", f"{folder}/shapes",
                    "--samples", "2000", *captions], check=True, capture_output=True)
    config = COMMON + (CLIP if args.method == "clip" else SIMCLR)
    pathlib.Path(folder, "c.yaml").write_text(config.format(folder=folder, **vars(args)))


def plenum_rate(args, folder):
    subprocess.run([args.plenum, "train", f"{folder}/c.yaml"], check=True, capture_output=True)
    lines = map(json.loads, pathlib.Path(folder, "run", "metrics.jsonl").read_text().splitlines())
    steps = [line for line in lines if "event" not in line][WARM_UP:]
    waits = sum(s["slowest_ms"]["data"] for s in steps) / sum(s["step_ms"] for s in steps)
    return statistics.median(s["samples_per_second"] for s in steps), waits


def pytorch_rate(args, python):
    """Version and rate."""
    options = ["--context", str(args.context)] if args.method == "clip" else []
    out = subprocess.run(
        [python, pathlib.Path(__file__).with_name(f"{args.method}_pytorch.py"), "--precision",
         args.precision, "--threads", str(args.threads), "--seconds", str(args.seconds), *options],
        check=True, capture_output=True, text=True,
    ).stdout
    version = re.search(r"torch ([^,\s]+)", out).group(1)
    return version, float(re.search(rf"{args.precision}: ([\d.]+) samples/s", out).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plenum", required=True)
    parser.add_argument("--python", action="append", help="an interpreter that has torch (python3)")
    parser.add_argument("--method", choices=["simclr", "clip"], default="simclr")
    parser.add_argument("--vocabulary", help="clip: file of byte-pair merges")
    parser.add_argument("--context", type=int, default=77, help="clip: tokens of a text, padded")
    parser.add_argument("--precision", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=33, help="of plenum, in a round")
    parser.add_argument("--seconds", type=float, default=15, help="of PyTorch, in a round")
    args = parser.parse_args()
    if args.method == "clip" and not args.vocabulary:
        parser.error("--method clip needs --vocabulary")
    with tempfile.TemporaryDirectory() as folder:
        make_data(args, folder)
        ratios = {}
        for number in range(args.rounds):
            ours, waits = plenum_rate(args, folder)
            print(f"round {number + 1}: plenum {ours:.1f} samples/s ({100 * waits:.2f} % waiting for "
                  "data)", end="", flush=True)
            for python in args.python or ["python3"]:
                version, theirs = pytorch_rate(args, python)
                ratios.setdefault(version, []).append(ours / theirs)
                print(f", PyTorch {version} {theirs:.1f}, ratio {ours / theirs:.2f}", end="", flush=True)
            print()
        for version, of in ratios.items():
            print(f"{args.method}, {args.precision}, PyTorch {version}: median ratio "
                  f"{statistics.median(of):.2f} [{min(of):.2f}, {max(of):.2f}] over {len(of)} rounds")


if __name__ == "__main__":
    main()
