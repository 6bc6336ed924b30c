#!/usr/bin/env python3
"""Times CLIP training steps in PyTorch: a ViT and a text transformer, AdamW, learned temperature.

The towers are those that `plenum train` builds for the same sizes, operation by operation: patches,
class token and learned positions, blocks with the norm in front and an exact GELU, the output of the
class token or of the text's end, a norm, a projection, unit length. Images and texts are random and
already in memory of the device. The update is one fused kernel where this PyTorch has it. Attention is two products
and a softmax, or F.scaled_dot_product_attention: whose backward pass for processors is the slower of
the two in version 2.15. Needs torch alone.
"""
import argparse

import torch
from torch import nn
from torch.nn import functional as F

import torch_steps

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
    def __init__(self, args, width, heads):
        super().__init__()
        self.heads, self.fused = heads, args.attention == "fused"
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
        self.blocks = nn.ModuleList(Block(args, width, args.heads) for _ in range(args.layers))
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
        width, context = args.text_width, args.context
        self.tokens = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Parameter(torch.randn(context, width) * 0.01)
        self.blocks = nn.ModuleList(Block(args, width, args.text_heads) for _ in range(args.text_layers))
        self.ln_final = Norm(width)
        self.projection = nn.Linear(width, args.embedding, bias=False)
        self.register_buffer("mask", torch.full((context, context), float("-inf")).triu_(1))

    def forward(self, texts, narrow):
        x = self.tokens(texts) + self.positions
        if narrow:  # autocast leaves sums as they are: the stream of the blocks would stay f32
            x = x.bfloat16()
        for block in self.blocks:
            x = block(x, self.mask)
        x = x[torch.arange(texts.shape[0], device=x.device), texts.argmax(dim=1)]
        return F.normalize(self.projection(self.ln_final(x)).float(), dim=1)


class Clip(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.images = Images(args)
        self.texts = Texts(args)
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())


def contrast(images, texts, scale):
    scores = scale * images @ texts.T
    partners = torch.arange(scores.shape[0], device=scores.device)
    return (F.cross_entropy(scores, partners) + F.cross_entropy(scores.T, partners)) / 2


def prepare(args, precision):
    narrow = precision == "bf16"
    model = Clip(args).to(args.device).train()
    optimizer = torch_steps.optimizer(torch.optim.AdamW, model.parameters(), lr=1e-3, betas=(0.9, 0.98),
                                      eps=1e-6, weight_decay=0.1)
    images = torch.randn(args.batch, 3, args.size, args.size, device=args.device)
    images = images.contiguous(memory_format=torch.channels_last)
    texts = torch.randint(1, VOCABULARY - 1, (args.batch, args.context), device=args.device)
    texts[:, args.words :] = 0
    texts[:, args.words - 1] = VOCABULARY - 1  # the end
    image_tower = torch_steps.compiled(args, model.images)
    text_tower = torch_steps.compiled(args, model.texts)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch_steps.autocast(args, precision):
            image_z = image_tower(images)
            text_z = text_tower(texts, narrow)
        loss = contrast(image_z, text_z, model.log_scale.exp())
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.log_scale.clamp_(max=4.6052)

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64, help="pairs of a step")
    parser.add_argument("--size", type=int, default=96, help="side of the images")
    parser.add_argument("--patch", type=int, default=16)
    parser.add_argument("--width", type=int, default=384, help="channels of the image tower")
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--text-width", type=int, default=384)
    parser.add_argument("--text-heads", type=int, default=6)
    parser.add_argument("--text-layers", type=int, default=6)
    parser.add_argument("--context", type=int, default=77, help="tokens of a text, padded")
    parser.add_argument("--words", type=int, default=12, help="tokens of a text that are not padding")
    parser.add_argument("--embedding", type=int, default=512)
    parser.add_argument("--attention", choices=["plain", "fused"], default="plain")
    torch_steps.add_options(parser)
    torch_steps.run(parser.parse_args(), prepare)


if __name__ == "__main__":
    main()
