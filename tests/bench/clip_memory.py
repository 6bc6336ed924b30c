#!/usr/bin/env python3
"""Peak memory of image-text training with recomputed activations: a large batch beside a small one.
Two small towers are trained for a step on one rank at both batches, and the growth is split into
what it consists of.

    tests/bench/clip_memory.py PLENUM DATASET VOCABULARY [--small 1024] [--large 32768]
        [--micro 64] [--parts 64] [--embedding 512] [--width 64] [--json] [key=value ...]
"""
import argparse
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile

CONFIG = """
run: {{name: memory, dir: {dir}, watchdog: none}}
data: {{train: {dataset}, vocabulary: {vocabulary}}}
model:
  encoder: vit_tiny
  patch: 16
  image_size: 32
  width: {width}
  layers: 2
  heads: 2
  text: {{width: {width}, layers: 2, heads: 2, context: 24}}
method: {{name: clip, embedding: {embedding}, temperature: 0.07}}
augment: {{preset: none}}
batch: {{global: {batch}, micro: {micro}, parts: {parts}, activations: recompute}}
optim: {{name: adamw, lr: 1.0e-3, warmup: 0 steps}}
train: {{steps: 1, diagnostics: never}}
checkpoint: {{every: 0 steps}}
report: {{samples: 0}}
"""


def train(args, batch):
    """What one step at this batch took, in MB."""
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        config = pathlib.Path(folder) / "c.yaml"
        config.write_text(CONFIG.format(
            dir=run, dataset=pathlib.Path(args.dataset).resolve(),
            vocabulary=pathlib.Path(args.vocabulary).resolve(), width=args.width,
            embedding=args.embedding, batch=batch, micro=args.micro, parts=args.parts))
        done = subprocess.run([args.plenum, "train", config, *args.overrides],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.exit(done.stdout)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    parameters = next(line["parameters"] for line in lines if "parameters" in line)
    leaves = batch // args.micro
    sums = 1 + math.ceil(math.log2(min(leaves, args.parts))) + (leaves > args.parts)
    return {
        "peak": max(line["memory_mb"] for line in lines if "memory_mb" in line),
        # The step's own account: activations of a micro-batch, embeddings, loss, tokens.
        "method": float(re.search(r"([0-9]+) MB for activations and loss", done.stdout)[1]),
        "sums": sums * parameters * 4 / 1e6,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("plenum")
    parser.add_argument("dataset")
    parser.add_argument("vocabulary")
    parser.add_argument("--small", type=int, default=1024)
    parser.add_argument("--large", type=int, default=32768)
    parser.add_argument("--micro", type=int, default=64)
    parser.add_argument("--parts", type=int, default=64)
    parser.add_argument("--embedding", type=int, default=512)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_args()
    args.plenum = str(pathlib.Path(args.plenum).resolve())

    small, large = train(args, args.small), train(args, args.large)
    # A side's embeddings and their gradients; the loss lays out another two copies of one side.
    embeddings = (args.large - args.small) * args.embedding * 4 / 1e6
    method = large["method"] - small["method"]
    sums = large["sums"] - small["sums"]
    growth = large["peak"] - small["peak"]
    result = {
        "small_mb": small["peak"], "large_mb": large["peak"], "growth_mb": growth,
        "embeddings_and_loss_mb": method, "one_embedding_mb": embeddings,
        "gradient_sums_mb": sums, "rest_mb": growth - method - sums,
        "ratio": (large["peak"] - method) / small["peak"],
        "ratio_without_sums": (large["peak"] - method - sums) / small["peak"],
    }
    if args.json:
        print(json.dumps(result))
        return
    print(f"peak with {args.small} pairs              {small['peak']:8.1f} MB")
    print(f"peak with {args.large} pairs             {large['peak']:8.1f} MB")
    print(f"growth                             {growth:8.1f} MB")
    print(f"  embeddings, gradients, loss      {method:8.1f} MB = {method / embeddings:.2f} x B d 4 bytes")
    print(f"  partial sums of the gradient     {sums:8.1f} MB")
    print(f"  rest                             {result['rest_mb']:8.1f} MB")
    print(f"large / small, without embeddings and loss                {result['ratio']:.3f}")
    print(f"the same, without the partial sums either                 {result['ratio_without_sums']:.3f}")


if __name__ == "__main__":
    main()
