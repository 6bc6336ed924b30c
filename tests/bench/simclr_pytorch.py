#!/usr/bin/env python3
"""Times SimCLR training steps of a ResNet in PyTorch, to hold `plenum bench net` and `plenum train` against.

A step is forward and backward through encoder and projector with two views of each sample in one batch,
channels_last, NT-Xent, and an SGD update. Images are random and already in memory of the device. The
network is what `plenum train` builds: torchvision's, which is not needed for it. Needs torch alone.
"""
import argparse

import torch
from torch import nn
from torch.nn import functional as F

import torch_steps

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


def conv_norm(channels, out, kernel, stride=1):
    return [nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out)]


class Block(nn.Module):
    """Two 3x3 convolutions, or three with a narrow one in the middle that makes the stride."""

    def __init__(self, channels, width, stride, bottleneck):
        super().__init__()
        out = 4 * width if bottleneck else width
        if bottleneck:
            layers = [*conv_norm(channels, width, 1), nn.ReLU(inplace=True),
                      *conv_norm(width, width, 3, stride), nn.ReLU(inplace=True),
                      *conv_norm(width, out, 1)]
        else:
            layers = [*conv_norm(channels, width, 3, stride), nn.ReLU(inplace=True),
                      *conv_norm(width, width, 3)]
        self.body = nn.Sequential(*layers)
        same = stride == 1 and channels == out
        self.skip = nn.Identity() if same else nn.Sequential(*conv_norm(channels, out, 1, stride))

    def forward(self, x):
        return F.relu(self.body(x) + self.skip(x), inplace=True)


def encoder(name, stem):
    """The network and the number of its features."""
    bottleneck = name == "resnet50"
    small = stem == "cifar"
    layers = [*conv_norm(3, 64, 3 if small else 7, 1 if small else 2), nn.ReLU(inplace=True)]
    if not small:
        layers.append(nn.MaxPool2d(3, 2, 1))
    channels = 64
    for stage, blocks in enumerate(BLOCKS[name]):
        width = 64 << stage
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(Block(channels, width, stride, bottleneck))
            channels = 4 * width if bottleneck else width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), channels


class SimCLR(nn.Module):
    def __init__(self, name, stem, width):
        super().__init__()
        self.encoder, features = encoder(name, stem)
        self.projector = nn.Sequential(nn.Linear(features, features, bias=False), nn.BatchNorm1d(features),
                                       nn.ReLU(inplace=True), nn.Linear(features, width))

    def forward(self, images):
        return F.normalize(self.projector(self.encoder(images)).float(), dim=1)


def nt_xent(z, temperature):
    """Normalised temperature-scaled cross entropy; the two views of a sample stand n rows apart."""
    n = z.shape[0] // 2
    scores = z @ z.T / temperature
    scores.fill_diagonal_(float("-inf"))
    positives = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(scores, positives)


def prepare(args, precision):
    model = SimCLR(args.network, args.stem, 128).to(args.device, memory_format=torch.channels_last).train()
    optimizer = torch_steps.optimizer(torch.optim.SGD, model.parameters(), lr=0.01, momentum=0.9,
                                      weight_decay=1e-4)
    images = torch.randn(2 * args.batch, 3, args.size, args.size, device=args.device)
    images = images.contiguous(memory_format=torch.channels_last)
    network = torch_steps.compiled(args, model)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch_steps.autocast(args, precision):
            z = network(images)
        loss = nt_xent(z, 0.2)
        loss.backward()
        optimizer.step()

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=list(BLOCKS), default="resnet18")
    parser.add_argument("--stem", choices=["cifar", "imagenet"], default="cifar")
    parser.add_argument("--batch", type=int, default=64, help="samples of a step")
    parser.add_argument("--size", type=int, default=32, help="side of the images")
    torch_steps.add_options(parser)
    torch_steps.run(parser.parse_args(), prepare)


if __name__ == "__main__":
    main()
