#!/usr/bin/env python3
"""Writes tests/parity/method/: a step of image-text training by PyTorch, one process with the whole
batch in double precision, differentiated by autograd.

  method_reference.py [CASE …]          all cases, or those named
  method_reference.py check [CASE …]    computes again and compares with what is stored

Needs torch, torchvision, open_clip (2.24 or later: it brings the loss of SigLIP) and numpy. Towers
and losses are those of open_clip, ResNets torchvision's, weights, images and texts by formula.

CASE.txt has a line each of: `images N`, the number in the images' name; `loss X`; and for each
parameter and running statistic its name and the digest (formula.py) of its gradient, or of its value
after the step. CASE.bin holds float32, little endian: unit embeddings of images, then of texts,
(rows, embedding), with running statistics as they were before the step.

Batch norm sees the whole batch, or, as with model.norm.scope=micro, each micro-batch by itself: then
the model is called for one after another, and running statistics move by the mean over them.

A gradient jumps where the input of a ReLU passes zero, or where two inputs of a maximum are alike:
there single precision can't agree with double. Of a number of images by formula those are taken that
stay farthest from any such place, among all ReLUs and maxima of a case.
"""
import copy
import pathlib
import sys

import numpy
import open_clip.loss
import open_clip.model
import torch
import torch.nn.functional as F
import torchvision
from torchvision.models.resnet import BasicBlock

import formula

FOLDER = pathlib.Path(__file__).parent / "method"


class Case:
    def __init__(self, pairs, side, vision, text, embedding, sigmoid=False, micro=None, tries=1):
        self.pairs, self.side, self.embedding, self.sigmoid = pairs, side, embedding, sigmoid
        self.vision, self.text, self.tries = vision, text, tries
        self.micro = micro or pairs  # what a batch norm sees


def small_text():
    return open_clip.model.CLIPTextCfg(context_length=12, vocab_size=40, width=24, heads=2, layers=2)


def vit(side, patch, width, heads, layers):
    return open_clip.model.CLIPVisionCfg(layers=layers, width=width, head_width=width // heads,
                                         patch_size=patch, image_size=side)


def thin_resnet18(width):
    """torchvision's, with `width` channels in the first stage and a stem for small images."""
    m = torchvision.models.resnet18()
    m.inplanes = width
    m.conv1 = torch.nn.Conv2d(3, width, 3, padding=1, bias=False)
    m.bn1 = torch.nn.BatchNorm2d(width)
    m.maxpool = torch.nn.Identity()
    for stage in range(4):
        layer = m._make_layer(BasicBlock, width << stage, 2, stride=1 if stage == 0 else 2)
        setattr(m, f"layer{stage + 1}", layer)
    m.fc = torch.nn.Linear(8 * width, 1)
    return m


CASES = {
    "clip": Case(12, 16, vit(16, 4, 32, 2, 2), small_text(), 16),
    "siglip": Case(12, 16, vit(16, 4, 32, 2, 2), small_text(), 16, sigmoid=True),
    "clip_resnet": Case(12, 16, lambda: thin_resnet18(8), small_text(), 16, tries=100),
    "clip_resnet_micro": Case(12, 16, lambda: thin_resnet18(8), small_text(), 16, micro=3,
                              tries=100),
    "resnet50": Case(2, 64, torchvision.models.resnet50, small_text(), 128, tries=200),
    "vit_b_32": Case(2, 224, vit(224, 32, 768, 12, 12),
                     open_clip.model.CLIPTextCfg(context_length=77, vocab_size=49408, width=512,
                                                 heads=8, layers=12), 512),
}


def make_model(case):
    """open_clip's; a ResNet takes the place of its image tower, projected likewise."""
    given = callable(case.vision)
    vision = vit(16, 4, 8, 1, 1) if given else case.vision
    bias = {"init_logit_bias": 0.0} if case.sigmoid else {}
    model = open_clip.model.CLIP(case.embedding, vision, case.text, **bias)
    if given:
        resnet = case.vision()
        resnet.proj = torch.nn.Parameter(torch.empty(resnet.fc.in_features, case.embedding))
        resnet.fc = torch.nn.Identity()
        resnet.register_forward_hook(lambda module, inputs, features: features @ module.proj)
        model.visual = resnet
    return formula.fill(model)


# ---- away from where gradients jump ----


def nearest_zero(x):
    return (x.abs().min() / x.std()).item()


def nearest_tie(x):
    """Where the maximum is 0, what came before, a ReLU, passes no gradient on."""
    windows = F.unfold(F.pad(x, (1, 1, 1, 1)), 3, stride=2).reshape(*x.shape[:2], 9, -1)
    first, second = windows.topk(2, dim=2).values.unbind(2)
    return ((first - second)[first > 0].min() / x.std()).item()


def distance_to_jumps(case, model, x):
    distances = [float("inf")]
    probe = copy.deepcopy(model.visual).train()
    for module in probe.modules():
        if isinstance(module, torch.nn.ReLU):
            module.register_forward_pre_hook(lambda _, x: distances.append(nearest_zero(x[0])))
        if isinstance(module, torch.nn.MaxPool2d):
            module.register_forward_pre_hook(lambda _, x: distances.append(nearest_tie(x[0])))
    with torch.no_grad():
        for part in x.split(case.micro):
            probe(part)
    return min(distances)


def choose_images(case, model, number):
    def images(number):
        return formula.images(f"images {number}", case.pairs, case.side)
    if number is not None:
        return number, images(number)
    if case.tries == 1:
        return 0, images(0)
    distance, number = max((distance_to_jumps(case, model, images(number)), number)
                           for number in range(case.tries))
    print(f"  images {number}: {distance:.2g} of a deviation from the nearest jump")
    return number, images(number)


# ---- a step ----


def embed_images(case, model, x):
    """Each micro-batch from the same running statistics, which then move by the mean."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    before = [(m.running_mean, m.running_var) for m in norms]
    parts, means, variances = [], [], []
    for part in x.split(case.micro):
        for m, (mean, variance) in zip(norms, before):
            m.running_mean, m.running_var = mean.clone(), variance.clone()
        parts.append(model.encode_image(part, normalize=True))
        means.append([m.running_mean for m in norms])
        variances.append([m.running_var for m in norms])
    for i, m in enumerate(norms):
        m.running_mean = torch.stack([of_part[i] for of_part in means]).mean(0)
        m.running_var = torch.stack([of_part[i] for of_part in variances]).mean(0)
    return torch.cat(parts)


def loss_of(case, model, image, text):
    scale = model.logit_scale.exp()
    if case.sigmoid:
        return open_clip.loss.SigLipLoss()(image, text, scale, model.logit_bias)
    return open_clip.loss.ClipLoss()(image, text, scale)


def compute(case, stored_number=None):
    """The lines of the text file, and the embeddings."""
    model = make_model(case)
    number, x = choose_images(case, model, stored_number)
    y = formula.texts(case.pairs, case.text.context_length, case.text.vocab_size)
    model.eval()
    with torch.no_grad():
        rows = torch.cat([model.encode_image(x, normalize=True), model.encode_text(y, normalize=True)])
    model.train()
    loss = loss_of(case, model, embed_images(case, model, x), model.encode_text(y, normalize=True))
    loss.backward()
    lines = [f"images {number}", f"loss {loss.item():.12g}"]
    tensors = [(n, p.grad) for n, p in model.named_parameters()]
    tensors += [(n, b) for n, b in model.named_buffers() if "running" in n]
    for n, values in tensors:
        lines.append(" ".join([n, *(f"{v:.9g}" for v in formula.digest(n, values))]))
    return lines, rows.numpy().astype("<f4")


def write(name, case):
    lines, rows = compute(case)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (FOLDER / f"{name}.bin").write_bytes(rows.tobytes())
    print(f"{name}: {lines[1]}, {len(lines) - 2} tensors, {len(rows)} embeddings")


def check(name, case):
    """Numbers within 1e-6 of the line's largest: sums in another order differ less."""
    stored = (FOLDER / f"{name}.txt").read_text().splitlines()
    lines, rows = compute(case, int(stored[0].split()[1]))
    stored_rows = numpy.fromfile(FOLDER / f"{name}.bin", "<f4").reshape(rows.shape)
    if [line.split()[0] for line in stored] != [line.split()[0] for line in lines]:
        sys.exit(f"{name}: other tensors are stored")
    errors = {"embeddings": abs(rows - stored_rows).max() / abs(rows).max()}
    for old, new in zip(stored, lines):
        a, b = [numpy.array(line.split()[1:], float) for line in (old, new)]
        errors[new.split()[0]] = abs(a - b).max() / max(abs(b).max(), 1e-300)
    farthest = max(errors, key=errors.get)
    print(f"{name}: {farthest} differs most, by {errors[farthest]:.2g}")
    if not all(error <= 1e-6 for error in errors.values()):
        sys.exit(f"{name}: that is not what is stored")


def main():
    arguments = sys.argv[1:]
    act = write
    if arguments[:1] == ["check"]:
        act, arguments = check, arguments[1:]
    for name in arguments or CASES:
        if name not in CASES:
            sys.exit(__doc__)
        act(name, CASES[name])


main()
