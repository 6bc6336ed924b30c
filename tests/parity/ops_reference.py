#!/usr/bin/python3
"""Writes tests/parity/ops/cases.bin: operations and their gradients by PyTorch in double precision.

Needs torch and numpy. tests/unit/test_cpu_parity.c compares. Little endian, without gaps: an int32
number of cases, then per case
  int32   kind (KINDS), rows, height, width, channels, out channels, kernel, stride, pad, add, relu,
          each, transposed, class token, vocabulary, heads, causal, variant (of GELU and select)
  float32 x (embedding: int32 ids), skip (if add; select: int32 ids), weight, bias (where the kind
          has them), dy
  float32 y, dx (not embedding), dskip (if add), dweight, dbias
Activations are (rows, height, width, channels), weights as PyTorch has them.
"""
import pathlib
import struct

import numpy
import torch
import torch.nn.functional as F

KINDS = ["conv", "batch_norm", "relu", "add", "max_pool", "avg_pool", "linear", "l2_normalize",
         "embedding", "positions", "layer_norm", "gelu", "attention", "select"]
FLAGS = ["each", "transposed", "class_token", "vocabulary", "heads", "causal", "variant"]

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
    dict(kind="linear", shape=(3, 4, 1, 6), out=5, each=True),
    dict(kind="linear", shape=(4, 1, 1, 6), out=5, transposed=True),
    dict(kind="embedding", shape=(3, 5, 1, 1), out=6, vocabulary=7),
    dict(kind="positions", shape=(3, 2, 3, 5), class_token=True),
    dict(kind="positions", shape=(3, 4, 1, 5)),
    dict(kind="layer_norm", shape=(3, 4, 1, 13)),
    dict(kind="gelu", shape=(2, 5, 1, 13)),
    dict(kind="gelu", shape=(2, 5, 1, 13), variant=1),
    dict(kind="attention", shape=(2, 7, 1, 36), heads=3),
    dict(kind="attention", shape=(2, 7, 1, 36), heads=2, causal=True),
    dict(kind="select", shape=(4, 5, 1, 6)),
    dict(kind="select", shape=(4, 5, 1, 6), variant=1),
]


def attention(x, heads, causal):
    """PyTorch's own, on x (rows, length, 3 * channels), with projections that do nothing."""
    length, channels = x.shape[1], x.shape[2] // 3
    q, k, v = x.transpose(0, 1).split(channels, dim=2)
    unit = torch.eye(channels, dtype=x.dtype)
    mask = torch.ones(length, length).triu(1).bool() if causal else None
    y, _ = F.multi_head_attention_forward(
        q, k, v, channels, heads, None, None, None, None, False, 0.0, unit, None, attn_mask=mask,
        use_separate_proj_weight=True, q_proj_weight=unit, k_proj_weight=unit, v_proj_weight=unit)
    return y.transpose(0, 1)


def compute_sequence(case, x, ids, weight, bias):
    """(rows, length, channels) in and out."""
    kind = case["kind"]
    if kind == "linear":
        return F.linear(x, weight, bias) if case.get("each") else x @ weight
    if kind == "embedding":
        return F.embedding(ids, weight)
    if kind == "positions":
        if bias is not None:
            x = torch.cat([bias.expand(len(x), 1, -1), x], dim=1)
        return x + weight
    if kind == "layer_norm":
        return F.layer_norm(x, x.shape[-1:], weight, bias, 1e-5)
    if kind == "gelu":
        return x * torch.sigmoid(1.702 * x) if case.get("variant") else F.gelu(x)
    if kind == "attention":
        return attention(x, case["heads"], case.get("causal"))
    at = ids.argmax(dim=1) if case.get("variant") else torch.zeros(len(x), dtype=torch.long)
    return x[torch.arange(len(x)), at][:, None]


def is_sequence(case):
    return KINDS.index(case["kind"]) > KINDS.index("l2_normalize") or \
        case.get("each") or case.get("transposed")


def compute(case, x, skip, ids, weight, bias):
    """NCHW in and out."""
    kind = case["kind"]
    if is_sequence(case):
        y = compute_sequence(case, x.flatten(2).transpose(1, 2), ids, weight, bias)
        return y.transpose(1, 2)[..., None]
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
    (_, height, width, channels), out, kind = case["shape"], case.get("out", 0), case["kind"]
    if kind == "conv":
        return torch.randn(out, channels, *[case["window"][0]] * 2), None
    if kind in ("batch_norm", "layer_norm"):
        return 1 + 0.3 * torch.randn(channels), torch.randn(channels)
    if kind == "linear" and case.get("transposed"):
        return torch.randn(channels, out), None
    if kind == "linear":
        return torch.randn(out, channels), torch.randn(out)
    if kind == "embedding":
        return torch.randn(case["vocabulary"], out), None
    if kind == "positions":
        first = int(case.get("class_token", False))
        weight = torch.randn(height * width + first, channels)
        return weight, torch.randn(channels) if first else None
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
    ids = None
    if case["kind"] == "embedding" or case["kind"] == "select" and case.get("variant"):
        ids = torch.randint(case.get("vocabulary", 9), (rows, height))
    y = compute(case, x, skip, ids, weight, bias)
    dy = torch.randn_like(y).float().double()
    y.backward(dy)
    numbers = [KINDS.index(case["kind"]), rows, height, width, channels, case.get("out", 0),
               *case.get("window", (0, 0, 0)), case.get("add", False), case.get("relu", False),
               *(case.get(flag, 0) for flag in FLAGS)]
    embeds = case["kind"] == "embedding"
    arrays = [None if embeds else activations(x), ids, skip if skip is None else activations(skip),
              weight, bias, activations(dy), activations(y),
              None if embeds else activations(x.grad),
              skip if skip is None else activations(skip.grad),
              weight if weight is None else weight.grad, bias if bias is None else bias.grad]
    blob = struct.pack("<18i", *map(int, numbers))
    for a in arrays:
        if a is not None:
            stored = numpy.int32 if a is ids else numpy.float32
            blob += a.detach().contiguous().numpy().astype(stored).tobytes()
    return blob


def main():
    torch.manual_seed(20)
    folder = pathlib.Path(__file__).parent / "ops"
    folder.mkdir(exist_ok=True)
    blob = struct.pack("<i", len(CASES)) + b"".join(map(record, CASES))
    (folder / "cases.bin").write_bytes(blob)


if __name__ == "__main__":
    main()
