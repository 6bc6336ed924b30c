#!/usr/bin/env python3
"""Whole training steps beside PyTorch's, in turn in one run.

    tests/bench/training_pytorch.py --plenum build/launch/plenum [--rounds 5] [--precision bf16]
    tests/bench/training_pytorch.py --plenum … --network vit_small --vocabulary bpe_simple_vocab_16e6.txt.gz
    tests/bench/training_pytorch.py --plenum … --device cuda --compile --network resnet50 --batch 256

ResNets train by SimCLR: two views, on a 32-pixel image resnet18, on 224 pixels the others. ViTs train by
CLIP: vit_small on 96 pixels beside a text transformer of 6 layers, vit_base on 224 beside one of 12 layers
and width 512. Runs `plenum train` (reading, augmenting unless told not to, loss, update and all, on
rendered shapes and their captions) and simclr_pytorch.py or clip_pytorch.py (random inputs in memory:
nothing to read or augment) in turn, and prints the rates of each round, their ratio, and the median ratio
with its spread; what plenum waited for data; and the floating-point operations a second of both, as plenum
counts them, with their share of PyTorch's own rate of a bf16 product. Rates are medians over the steps of
a round, plenum's first three left out. Needs torch for the interpreter given by --python, which may be
given several times.
"""
import argparse
import json
import pathlib
import re
import statistics
import subprocess
import tempfile

COMMON = """
run: {{name: bench, dir: {folder}/run, overwrite: true, threads: {threads}, device: {device}}}
batch: {{global: {batch}, micro: {micro}}}
train: {{steps: {steps}, precision: {precision}, diagnostics: never}}
report: {{samples: 0}}
checkpoint: {{every: 0 steps}}
"""
SIMCLR = """
data: {{train: {folder}/shapes}}
model: {{encoder: {network}, stem: {stem}, width: 64, image_size: {size}}}
method: {{name: simclr, projector: [{features}, 128]}}
augment: {{preset: {preset}}}
optim: {{name: sgd, lr: 0.01, warmup: 0}}
"""
CLIP = """
data: {{train: {folder}/shapes, vocabulary: {vocabulary}}}
model:
  encoder: {network}
  patch: 16
  image_size: {size}
  text: {{width: {text_width}, layers: {text_layers}, heads: {text_heads}, context: {context}}}
method: {{name: clip, embedding: 512, temperature: 0.07}}
augment: {{preset: none, crop_min: 0.9, flip: 0.5}}
optim: {{name: adamw, lr: 1.0e-3, weight_decay: 0.1, beta2: 0.98, epsilon: 1.0e-6, warmup: 0}}
"""
NETWORKS = {
    "resnet18": {"size": 32, "stem": "cifar", "features": 512},
    "resnet34": {"size": 224, "stem": "imagenet", "features": 512},
    "resnet50": {"size": 224, "stem": "imagenet", "features": 2048},
    "vit_small": {"size": 96, "width": 384, "heads": 6, "text_width": 384, "text_heads": 6,
                  "text_layers": 6},
    "vit_base": {"size": 224, "width": 768, "heads": 12, "text_width": 512, "text_heads": 8,
                 "text_layers": 12},
}
WARM_UP = 3


def is_clip(args):
    return args.network.startswith("vit")


def make_data(args, folder):
    classes = ["--classes", "both"] if is_clip(args) else []
    subprocess.run([args.plenum, "data", "synth", "shapes", "--out", f"{folder}/shapes", "--samples",
                    str(max(2000, args.batch)), "--size", str(args.size), *classes],
                   check=True, capture_output=True)
    config = COMMON + (CLIP if is_clip(args) else SIMCLR)
    pathlib.Path(folder, "c.yaml").write_text(config.format(folder=folder, **vars(args)))


def train(args, folder):
    """plenum's samples a second, its share of time that went into waiting, and its operations a sample."""
    done = subprocess.run([args.plenum, "train", f"{folder}/c.yaml", *args.overrides], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise SystemExit(f"plenum train ended with {done.returncode}: {done.stdout[-2000:]}")
    lines = pathlib.Path(folder, "run", "metrics.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in lines]
    flops = next(line["flops_per_sample"] for line in lines if "flops_per_sample" in line)
    steps = [line for line in lines if "event" not in line][WARM_UP:]
    waits = sum(s["slowest_ms"]["data"] for s in steps) / sum(s["step_ms"] for s in steps)
    return statistics.median(s["samples_per_second"] for s in steps), waits, flops


class PyTorch:
    """One of the scripts in PyTorch, which measures when it is told to."""

    def __init__(self, args, python):
        names = ["width", "heads", "text_width", "text_heads", "text_layers", "context", "attention"]
        names = names if is_clip(args) else ["network", "stem"]
        names += ["batch", "size", "device", "threads", "seconds", "precision"]
        script = pathlib.Path(__file__).with_name(f"{'clip' if is_clip(args) else 'simclr'}_pytorch.py")
        command = [python, str(script), "--turns", *(["--compile"] if args.compile else [])]
        for name in names:
            command += ["--" + name.replace("_", "-"), str(getattr(args, name))]
        self.process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.version = re.search(r"torch ([^,\s]+)", self.line()).group(1)
        self.line()  # "ready": compiled and warm

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"PyTorch ended with {self.process.wait()}")
        return line

    def rate(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return float(re.search(rf"{what}: ([\d.]+) ", self.line()).group(1))

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def tell_peak(args, who, samples, flops, peak):
    rate = samples * flops * 1e-12
    print(f"{args.network}, {who}: {rate:.2f} TFLOP/s, {100 * rate / peak:.1f} % of PyTorch's bf16 product "
          f"of {peak:.1f} TFLOP/s")


def measure(args, folder, others):
    ours, ratios, products = [], {other: [] for other in others}, {other: [] for other in others}
    theirs = {other: [] for other in others}
    for number in range(args.rounds):
        rate, waits, flops = train(args, folder)
        ours.append(rate)
        print(f"round {number + 1}: plenum {rate:.1f} samples/s ({100 * waits:.2f} % waiting for data)",
              end="", flush=True)
        for other in others:
            theirs[other].append(other.rate("step"))
            products[other].append(other.rate("product"))
            ratios[other].append(rate / theirs[other][-1])
            print(f", PyTorch {other.version} {theirs[other][-1]:.1f}, ratio {ratios[other][-1]:.2f}", end="",
                  flush=True)
        print()
    for other, of in ratios.items():
        peak = statistics.median(products[other])
        tell_peak(args, "plenum", statistics.median(ours), flops, peak)
        tell_peak(args, f"PyTorch {other.version}", statistics.median(theirs[other]), flops, peak)
        print(f"{args.network}, {args.size} pixels, batch {args.batch}, {args.precision}, {args.device}, PyTorch "
              f"{other.version}{', compiled' if args.compile else ''}: median ratio {statistics.median(of):.2f} "
              f"[{min(of):.2f}, {max(of):.2f}] over {len(of)} rounds")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plenum", required=True)
    parser.add_argument("--python", action="append", help="an interpreter that has torch (python3)")
    parser.add_argument("--network", choices=list(NETWORKS), default="resnet18")
    parser.add_argument("--size", type=int, help="side of the images, if not the usual one")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--micro", type=int, help="plenum's micro-batch, if not the batch")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--compile", action="store_true", help="PyTorch's networks through torch.compile")
    parser.add_argument("--attention", choices=["plain", "fused"], help="PyTorch's (fused on cuda)")
    parser.add_argument("--augment", choices=["none", "simclr"], default="simclr", help="plenum's, of ResNets")
    parser.add_argument("--vocabulary", help="ViTs: file of byte-pair merges")
    parser.add_argument("--context", type=int, default=77, help="ViTs: tokens of a text, padded")
    parser.add_argument("--precision", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=33, help="of plenum, in a round")
    parser.add_argument("--seconds", type=float, default=15, help="of PyTorch, in a round")
    parser.add_argument("overrides", nargs="*", help="key=value of plenum's configuration")
    args = parser.parse_args()
    if is_clip(args) and not args.vocabulary:
        parser.error(f"--network {args.network} needs --vocabulary")
    for key, value in NETWORKS[args.network].items():
        if getattr(args, key, None) is None:
            setattr(args, key, value)
    args.micro = args.micro or args.batch
    args.attention = args.attention or ("fused" if args.device == "cuda" else "plain")
    data = "cifar" if args.size <= 64 else "imagenet"
    args.preset = "none" if args.augment == "none" else f"simclr-{data}"
    return args


def main():
    args = parse()
    others = []
    with tempfile.TemporaryDirectory() as folder:
        make_data(args, folder)
        try:
            for python in args.python or ["python3"]:
                others.append(PyTorch(args, python))
            measure(args, folder, others)
        finally:
            for other in others:
                other.end()


if __name__ == "__main__":
    main()
