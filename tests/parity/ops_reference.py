#!/usr/bin/python3
"""Writes tests/parity/ops/cases.bin: operations and their gradients by PyTorch in double precision.

Needs torch and numpy. tests/unit/test_cpu_parity.c compares. Little endian, without gaps: an int32
number of cases, then per case
  int32   kind (KINDS), rows, height, width, channels, out channels, kernel, stride, pad, add, relu
  float32 x, skip (if add), weight, bias (where the kind has them), dy
  float32 y, dx, dskip (if add), dweight, dbias
Activations are (rows, height, width, channels), weights as PyTorch has them.
"""
import pathlib
import struct

import numpy
import torch
import torch.nn.functional as F

KINDS = ["conv", "batch_norm", "relu", "add", "max_pool", "avg_pool", "linear", "l2_normalize"]

CASES = [
    dict(kind="conv", shape=(3, 5, 6, 7), out=9, window=(3, 1, 1)),
    dict(kind="conv", shape=(2, 9, 9, 3), out=4, window=(7, 2, 3)),
    dict(kind="conv", shape=(2, 6, 6, 5), out=8, window=(1, 2, 0)),
    dict(kind="batch_norm", shape=(4, 3, 3, 5)),
    dict(kind="batch_norm", shape=(3, 4, 4, 6), relu=True),
    dict(kind="batch_norm", shape=(3, 4, 4, 6), add=True, relu=True),
    dict(kind="relu", shape=(2, 3, 3, 5)),
    dict(kind="add", shape=(2, 3, 3, 5), add=True),
    dict(kind="max_pool", shape=(2, 7, 7, 5), window=(3, 2, 1)),
    dict(kind="avg_pool", shape=(2, 7, 7, 5), window=(3, 2, 1)),
    dict(kind="linear", shape=(5, 1, 1, 11), out=7),
    dict(kind="l2_normalize", shape=(5, 1, 1, 9)),
]


def compute(case, x, skip, weight, bias):
    """NCHW in and out."""
    kind = case["kind"]
    kernel, stride, pad = case.get("window", (0, 0, 0))
    if kind == "conv":
        return F.conv2d(x, weight, stride=stride, padding=pad)
    if kind == "batch_norm":
        y = F.batch_norm(x, None, None, weight, bias, training=True, eps=1e-5)
        y = y + skip if case.get("add") else y
        return F.relu(y) if case.get("relu") else y
    if kind == "relu":
        return F.relu(x)
    if kind == "add":
        return x + skip
    if kind == "max_pool":
        return F.max_pool2d(x, kernel, stride, pad)
    if kind == "avg_pool":
        return F.avg_pool2d(x, kernel, stride, pad, count_include_pad=False)
    if kind == "linear":
        return F.linear(x.flatten(1), weight, bias)[:, :, None, None]
    return F.normalize(x, dim=1, eps=1e-6)


def parameters(case):
    channels, out, kind = case["shape"][3], case.get("out", 0), case["kind"]
    if kind == "conv":
        return torch.randn(out, channels, *[case["window"][0]] * 2), None
    if kind == "batch_norm":
        return 1 + 0.3 * torch.randn(channels), torch.randn(channels)
    if kind == "linear":
        return torch.randn(out, channels), torch.randn(out)
    return None, None


def activations(t):
    return t.permute(0, 2, 3, 1)


def record(case):
    def drawn(t):
        return None if t is None else t.float().double().requires_grad_()

    rows, height, width, channels = case["shape"]
    x = drawn(torch.randn(rows, channels, height, width))
    skip = drawn(torch.randn(rows, channels, height, width)) if case.get("add") else None
    weight, bias = map(drawn, parameters(case))
    y = compute(case, x, skip, weight, bias)
    dy = torch.randn_like(y).float().double()
    y.backward(dy)
    numbers = [KINDS.index(case["kind"]), rows, height, width, channels, case.get("out", 0),
               *case.get("window", (0, 0, 0)), case.get("add", False), case.get("relu", False)]
    arrays = [activations(x), skip if skip is None else activations(skip), weight, bias,
              activations(dy), activations(y), activations(x.grad),
              skip if skip is None else activations(skip.grad),
              weight if weight is None else weight.grad, bias if bias is None else bias.grad]
    blob = struct.pack("<11i", *map(int, numbers))
    for a in arrays:
        if a is not None:
            blob += a.detach().contiguous().numpy().astype(numpy.float32).tobytes()
    return blob


def main():
    torch.manual_seed(20)
    folder = pathlib.Path(__file__).parent / "ops"
    folder.mkdir(exist_ok=True)
    blob = struct.pack("<i", len(CASES)) + b"".join(map(record, CASES))
    (folder / "cases.bin").write_bytes(blob)


if __name__ == "__main__":
    main()
