#!/usr/bin/env python3
"""Times CLIP training steps in PyTorch: a ViT-S/16 and a text transformer, AdamW, learned temperature.

The towers are those that `plenum train` builds for the same sizes, operation by operation: patches,
class token and learned positions, blocks with the norm in front and an exact GELU, the output of the
class token or of the text's end, a norm, a projection, unit length. Images and texts are random and
already in memory. The update is one fused kernel where this PyTorch has it. Attention is two products
and a softmax, or F.scaled_dot_product_attention: whose backward pass for processors is the slower of
the two in version 2.15. Needs torch alone.
"""
import argparse
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

VOCABULARY = 49408


def attention(q, k, v, mask, fused):
    if fused:
        return F.scaled_dot_product_attention(q, k, v, is_causal=mask is not None)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if mask is not None:
        scores = scores + mask.to(scores.dtype)
    return F.softmax(scores, dim=-1).to(v.dtype) @ v


class Norm(nn.LayerNorm):
    """Version 1 has no norm of bf16 with f32 parameters, and its norm of bf16 is slower than this."""

    def forward(self, x):
        if torch.__version__ >= "2":
            return super().forward(x)
        return super().forward(x.float()).to(x.dtype)


class Block(nn.Module):
    def __init__(self, args):
        super().__init__()
        width = args.width
        self.heads, self.fused = args.heads, args.attention == "fused"
        self.ln_1 = Norm(width)
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)
        self.ln_2 = Norm(width)
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x, mask):
        rows, length, width = x.shape
        qkv = self.in_proj(self.ln_1(x)).view(rows, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = attention(q, k, v, mask, self.fused).transpose(1, 2).reshape(rows, length, width)
        x = x + self.out_proj(mixed)
        return x + self.c_proj(F.gelu(self.c_fc(self.ln_2(x))))


class Images(nn.Module):
    def __init__(self, args):
        super().__init__()
        width, patch = args.width, args.patch
        self.patches = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.class_token = nn.Parameter(torch.randn(width) * width**-0.5)
        self.positions = nn.Parameter(torch.randn((args.size // patch) ** 2 + 1, width) * width**-0.5)
        self.ln_pre = Norm(width)
        self.blocks = nn.ModuleList(Block(args) for _ in range(args.layers))
        self.ln_post = Norm(width)
        self.projection = nn.Linear(width, args.embedding, bias=False)

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)
        token = self.class_token.to(x.dtype).expand(x.shape[0], 1, -1)
        x = torch.cat([token, x], dim=1) + self.positions.to(x.dtype)
        x = self.ln_pre(x)
        for block in self.blocks:
            x = block(x, None)
        return F.normalize(self.projection(self.ln_post(x[:, 0])).float(), dim=1)


class Texts(nn.Module):
    def __init__(self, args):
        super().__init__()
        width, context = args.width, args.context
        self.tokens = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Parameter(torch.randn(context, width) * 0.01)
        self.blocks = nn.ModuleList(Block(args) for _ in range(args.text_layers))
        self.ln_final = Norm(width)
        self.projection = nn.Linear(width, args.embedding, bias=False)
        self.register_buffer("mask", torch.full((context, context), float("-inf")).triu_(1))

    def forward(self, texts, narrow):
        x = self.tokens(texts) + self.positions
        if narrow:  # autocast leaves sums as they are: the stream of the blocks would stay f32
            x = x.bfloat16()
        for block in self.blocks:
            x = block(x, self.mask)
        x = x[torch.arange(texts.shape[0]), texts.argmax(dim=1)]
        return F.normalize(self.projection(self.ln_final(x)).float(), dim=1)


class Clip(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.images = Images(args)
        self.texts = Texts(args)
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())


def contrast(images, texts, scale):
    scores = scale * images @ texts.T
    partners = torch.arange(scores.shape[0])
    return (F.cross_entropy(scores, partners) + F.cross_entropy(scores.T, partners)) / 2


def adamw(parameters):
    options = {"lr": 1e-3, "betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": 0.1}
    try:
        return torch.optim.AdamW(parameters, fused=True, **options)
    except (TypeError, RuntimeError):  # older versions fuse nothing, or nothing on processors
        return torch.optim.AdamW(parameters, foreach=False, **options)


def measure(args, precision):
    torch.manual_seed(1)
    narrow = precision == "bf16"
    model = Clip(args).train()
    optimizer = adamw(model.parameters())
    images = torch.randn(args.batch, 3, args.size, args.size)
    images = images.contiguous(memory_format=torch.channels_last)
    texts = torch.randint(1, VOCABULARY - 1, (args.batch, args.context))
    texts[:, args.words :] = 0
    texts[:, args.words - 1] = VOCABULARY - 1  # the end

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=narrow):
            image_z = model.images(images)
            text_z = model.texts(texts, narrow)
        loss = contrast(image_z, text_z, model.log_scale.exp())
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.log_scale.clamp_(max=4.6052)

    step()
    times = []
    end = time.perf_counter() + args.seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return [args.batch / t for t in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64, help="pairs of a step")
    parser.add_argument("--size", type=int, default=96, help="side of the images")
    parser.add_argument("--patch", type=int, default=16)
    parser.add_argument("--width", type=int, default=384, help="channels of both towers")
    parser.add_argument("--heads", type=int, default=6, help="of both towers")
    parser.add_argument("--layers", type=int, default=12, help="of the image tower")
    parser.add_argument("--text-layers", type=int, default=6)
    parser.add_argument("--context", type=int, default=77, help="tokens of a text, padded")
    parser.add_argument("--words", type=int, default=12, help="tokens of a text that are not padding")
    parser.add_argument("--embedding", type=int, default=512)
    parser.add_argument("--attention", choices=["plain", "fused"], default="plain")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10, help="time to measure each precision")
    parser.add_argument("--precision", default="bf16,f32", help="comma-separated")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"torch {torch.__version__}, {args.threads} threads, {args.batch} pairs")
    for precision in args.precision.split(","):
        rates = measure(args, precision)
        print(
            f"{precision}: {statistics.median(rates):.1f} samples/s "
            f"[{min(rates):.1f}, {max(rates):.1f}] over {len(rates)} steps",
            flush=True,
        )


if __name__ == "__main__":
    main()
