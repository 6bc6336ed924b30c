#!/usr/bin/python3
"""Writes tests/parity/augment/views.bin: what torchvision's functional operations make of fixed
images with fixed parameters. tests/unit/test_augment.c makes the same images (noise from a linear
congruential generator, pure colours in the first row) and compares.

Made with torch 1.13 and torchvision 0.14 (Debian: python3-torchvision). Run: augment_reference.py

Layout, little endian: int32 number of cases; per case a record (see RECORD) and the view as
(size, size, 3) float32.
"""
import os
import struct

import torch
import torchvision.transforms.functional as F
from torchvision.transforms import InterpolationMode

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
# name; image width, height; output size; bicubic; top, left, height, width; flip, jitter, grey,
# blur kernel (0: none), solarize; jitter order; brightness, contrast, saturation, hue, sigma, mean, std
RECORD = struct.Struct("<32s13i4i5f6f")


def noise_image(width, height):
    state, pixels = 1, []
    for _ in range(width * height * 3):
        state = (state * 1664525 + 1013904223) % 2**32
        pixels.append(state >> 24)
    corners = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0),
               (0, 255, 255), (255, 0, 255), (128, 128, 128), (127, 128, 128)]
    for x, colour in enumerate(corners[:width]):
        pixels[3 * x:3 * x + 3] = colour
    image = torch.tensor(pixels, dtype=torch.uint8).reshape(height, width, 3)
    return image.permute(2, 0, 1).to(torch.float32) / 255


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


class Case:
    def __init__(self, name, source=(20, 20), size=20, bicubic=False, box=None, flip=False,
                 order=None, brightness=1, contrast=1, saturation=1, hue=0, grey=False, kernel=0,
                 sigma=1, solarize=False, mean=(0, 0, 0), std=(1, 1, 1)):
        self.name, self.source, self.size, self.bicubic = name, source, size, bicubic
        self.box = box or (0, 0, source[1], source[0])  # top, left, height, width
        self.flip, self.order, self.grey, self.kernel, self.solarize = flip, order, grey, kernel, solarize
        self.factors = [f32(x) for x in (brightness, contrast, saturation, hue, sigma)]
        self.mean, self.std = [f32(x) for x in mean], [f32(x) for x in std]

    def record(self):
        return RECORD.pack(self.name.encode(), *self.source, self.size, self.bicubic, *self.box,
                           self.flip, self.order is not None, self.grey, self.kernel, self.solarize,
                           *(self.order or range(4)), *self.factors, *self.mean, *self.std)

    def view(self):
        mode = InterpolationMode.BICUBIC if self.bicubic else InterpolationMode.BILINEAR
        x = F.crop(noise_image(*self.source), *self.box)
        x = F.resize(x, [self.size, self.size], mode, antialias=True)
        if self.bicubic:
            x = x.clamp(0, 1)
        if self.flip:
            x = F.hflip(x)
        brightness, contrast, saturation, hue, sigma = self.factors
        for operation in self.order or []:
            if operation == BRIGHTNESS:
                x = F.adjust_brightness(x, brightness)
            elif operation == CONTRAST:
                x = F.adjust_contrast(x, contrast)
            elif operation == SATURATION:
                x = F.adjust_saturation(x, saturation)
            else:
                x = F.adjust_hue(x, hue)
        if self.grey:
            x = F.rgb_to_grayscale(x, num_output_channels=3)
        if self.kernel:
            x = F.gaussian_blur(x, [self.kernel] * 2, [sigma] * 2)
        if self.solarize:
            x = F.solarize(x, 0.5)
        x = F.normalize(x, self.mean, self.std)
        assert torch.isfinite(x).all()
        return x.permute(1, 2, 0).contiguous().numpy().astype("<f4").tobytes()


def cases():
    order = (BRIGHTNESS, CONTRAST, SATURATION, HUE)
    yield Case("copy")
    yield Case("flip", flip=True)
    for kind, bicubic in (("bilinear", False), ("bicubic", True)):
        yield Case(kind + " enlarge", (24, 17), 20, bicubic, (3, 5, 7, 9))
        yield Case(kind + " enlarge from a pixel", (9, 9), 6, bicubic, (4, 4, 1, 1))
        yield Case(kind + " enlarge from 2x3, flip", (9, 9), 13, bicubic, (6, 7, 3, 2), True)
        yield Case(kind + " shrink", (61, 47), 16, bicubic)
        yield Case(kind + " shrink by 11, flip", (200, 34), 3, bicubic, (1, 2, 33, 197), True)
        yield Case(kind + " enlarge and shrink", (64, 12), 21, bicubic, (2, 1, 9, 62), True)
        yield Case(kind + " to one pixel", (13, 15), 1, bicubic)
    for factor in (0, 0.3, 1.7):
        yield Case(f"brightness {factor}", order=order, brightness=factor)
        yield Case(f"contrast {factor}", order=order, contrast=factor)
        yield Case(f"saturation {factor}", order=order, saturation=factor)
    for shift in (-0.5, -0.21, -0.01, 0.07, 1 / 3, 0.5):
        yield Case(f"hue {shift:.2f}", order=order, hue=shift)
    yield Case("grey", grey=True)
    yield Case("blur 3", kernel=3, sigma=0.1)
    yield Case("blur 3 wide", kernel=3, sigma=2)
    yield Case("blur 9", kernel=9, sigma=1.3)
    yield Case("blur 23 on 12", (20, 20), 12, kernel=23, sigma=1.9)
    yield Case("solarize", solarize=True)
    yield Case("normalise", mean=(0.4914, 0.4822, 0.4465), std=(0.247, 0.2435, 0.2616))
    orders = ((HUE, BRIGHTNESS, SATURATION, CONTRAST), (CONTRAST, HUE, BRIGHTNESS, SATURATION),
              (SATURATION, CONTRAST, HUE, BRIGHTNESS), (BRIGHTNESS, SATURATION, CONTRAST, HUE))
    for i, jitter in enumerate(orders):
        yield Case(f"all {i}", (32, 33), 24, i == 3, (4 + i, 2, 20 + i, 27 - i), i % 2 == 0, jitter,
                   1.4 - 0.3 * i, 0.5 + 0.35 * i, 1.6 - 0.4 * i, 0.09 * (i - 1.5), i == 2, 5,
                   0.5 + 0.4 * i, i == 1, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "augment", "views.bin")
    all_cases = list(cases())
    with open(path, "wb") as out:
        out.write(struct.pack("<i", len(all_cases)))
        for case in all_cases:
            out.write(case.record())
            out.write(case.view())
    print(f"{len(all_cases)} views in {path}, {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
