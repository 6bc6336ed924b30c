#!/usr/bin/python3
"""Weights exchanged with torchvision and open_clip, held against those libraries.

  interchange_reference.py reference            writes tests/parity/interchange/*.bin
  interchange_reference.py torchvision PLENUM   ResNets there and back, through the program
  interchange_reference.py open_clip PLENUM     an image-text model there and back

All need torch, torchvision and numpy, the last two h5dump, the first and the last open_clip.
The files hold float32, little endian: what the library's model computes, in double precision, of
formula images and texts with formula weights. resnet50.bin: features (rows, 2048) of torchvision's
ResNet-50; clip.bin: unit embeddings (rows, 16) of images and then of texts, by a small model of
open_clip. tests/unit/test_interchange_parity.c makes the same weights, images and texts and compares.

The checks train a small run, export it, load the file with strict=True, and compare what the model
makes of the run's images with what `plenum embed` made; then the other way, from fresh weights of
the library through `plenum import`. They print the largest differences and fail above 1e-5 of the
largest value.
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy
import torch
import torchvision

import formula

ROWS, SIDE, RESNET_SIDE = 2, 64, 224
VOCABULARY, CONTEXT = 40, 12
TOLERANCE = 1e-5
FOLDER = pathlib.Path(__file__).parent / "interchange"

def make_clip(side, patch, image_width, text_width, layers, heads, context, vocabulary, embedding):
    import open_clip.model as m
    return m.CLIP(embedding,
                  m.CLIPVisionCfg(layers=layers, width=image_width, head_width=image_width // heads,
                                  patch_size=patch, image_size=side),
                  m.CLIPTextCfg(context_length=context, vocab_size=vocabulary, width=text_width,
                                heads=heads, layers=layers))


def store(name, values):
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / name).write_bytes(values.detach().numpy().astype("<f4").tobytes())
    print(f"{name}: {tuple(values.shape)}, largest {values.abs().max():.4g}")


def write_reference():
    resnet = torchvision.models.resnet50()
    resnet.fc = torch.nn.Identity()
    clip = make_clip(SIDE, 16, 32, 24, 2, 2, CONTEXT, VOCABULARY, 16)
    resnet, clip = [formula.fill(model).eval() for model in (resnet, clip)]
    large, images = [formula.images("images", ROWS, side) for side in (RESNET_SIDE, SIDE)]
    texts = formula.texts(ROWS, CONTEXT, VOCABULARY)
    store("resnet50.bin", resnet(large))
    store("clip.bin", torch.cat([clip.encode_image(images, normalize=True),
                                 clip.encode_text(texts, normalize=True)]))


# ---- files, as the format's description has them ----


def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    length, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    types = {"F32": "<f4", "I64": "<i8"}
    return {name: torch.from_numpy(numpy.frombuffer(
                data, types[e["dtype"]], int(numpy.prod(e["shape"])),
                8 + length + e["data_offsets"][0]).reshape(e["shape"]).copy())
            for name, e in header.items() if name != "__metadata__"}


def write_safetensors(path, tensors):
    header, parts, at = {}, [], 0
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].element_size()):
        array = tensor.detach().contiguous().numpy()
        part = array.tobytes()
        kind = {"float32": "F32", "int64": "I64"}[str(array.dtype)]
        header[name] = {"dtype": kind, "shape": list(array.shape),
                        "data_offsets": [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def h5(path, name, dtype):
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["h5dump", "-d", name, "-b", "LE", "-o", out.name, path], check=True,
                       stdout=subprocess.DEVNULL)
        return numpy.fromfile(out.name, dtype)


# ---- runs of the program ----


class Program:
    """plenum in a scratch folder."""

    def __init__(self, path, folder):
        self.path, self.folder = str(pathlib.Path(path).resolve()), pathlib.Path(folder)

    def __call__(self, *arguments):
        done = subprocess.run([self.path, *map(str, arguments)], cwd=self.folder, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            sys.exit(f"plenum {' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout

    def images(self, side):
        """The images of the dataset `shapes`, normalised as in MEAN_STD."""
        pixels = h5(self.folder / "shapes/part-00000.h5", "/image/pixels", "u1")
        x = torch.from_numpy(pixels.reshape(-1, side, side, 3).copy()).permute(0, 3, 1, 2) / 255.0
        return (x - 0.5) / 0.25

    def embedding(self, run, *options):
        self("embed", run, "--data", "shapes", "--out", "e.h5", "--overwrite", *options)
        rows = len(h5(self.folder / "e.h5", "/id", "<i8"))
        return torch.from_numpy(h5(self.folder / "e.h5", "/embedding", "<f4").reshape(rows, -1))


failures = 0


def compare(what, ours, theirs):
    global failures
    error = ((ours.double() - theirs.double()).abs().max() / theirs.abs().max()).item()
    good = error <= TOLERANCE
    failures += not good
    print(f"{what}: largest difference {error:.2g} of the largest value{'' if good else '  FAILED'}")


def run_model(model, x):
    model.eval()
    with torch.no_grad():
        return torch.cat([model(part) for part in x.split(50)])


AUGMENT = ("augment: {preset: simclr-cifar, centre_ratio: 1, mean: [0.5, 0.5, 0.5], "
           "std: [0.25, 0.25, 0.25]}")


def check_torchvision(plenum):
    for name, stem, side in [("resnet18", "cifar", 32), ("resnet34", "imagenet", 64),
                             ("resnet50", "imagenet", 64)]:
        with tempfile.TemporaryDirectory() as folder:
            check_resnet(Program(plenum, folder), name, stem, side)


def make_resnet(name, stem):
    model = getattr(torchvision.models, name)()
    model.fc = torch.nn.Identity()
    if stem == "cifar":
        model.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
        model.maxpool = torch.nn.Identity()
    return model


def check_resnet(program, name, stem, side):
    program("data", "synth", "shapes", "--out", "shapes", "--samples", 100, "--size", side)
    (program.folder / "c.yaml").write_text(f"""
run:    {{name: test, dir: run}}
data:   {{train: shapes, val: shapes}}
model:  {{encoder: {name}, stem: {stem}, image_size: {side}}}
method: {{name: simclr, projector: [64, 32]}}
{AUGMENT}
batch:  {{global: 32, micro: 16}}
train:  {{steps: 3, precision: f32}}
""")
    program("train", "c.yaml")
    program("export", "run", "out.safetensors")
    model, x = make_resnet(name, stem), program.images(side)
    model.load_state_dict(read_safetensors(program.folder / "out.safetensors"), strict=True)
    compare(f"{name} exported", program.embedding("run"), run_model(model, x))
    other = make_resnet(name, stem)
    other.train()(x[:32])  # statistics that are not the initial ones
    write_safetensors(program.folder / "in.safetensors", other.state_dict())
    program("import", "in.safetensors", "c.yaml", "--out", "imported")
    compare(f"{name} imported", program.embedding("imported"), run_model(other, x))
    program("train", "imported")


def check_open_clip(plenum):
    with tempfile.TemporaryDirectory() as folder:
        check_clip(Program(plenum, folder))


def check_clip(program):
    side, patch, layers, heads, context, embedding = 32, 8, 2, 4, 16, 48
    merges = pathlib.Path(__file__).parent.resolve() / "tokens/merges.txt"
    program("data", "synth", "shapes", "--out", "shapes", "--samples", 100, "--size", side)
    (program.folder / "c.yaml").write_text(f"""
run:    {{name: test, dir: run}}
data:   {{train: shapes, val: shapes, vocabulary: {merges}}}
model:  {{encoder: vit_tiny, patch: {patch}, image_size: {side}, width: 64, layers: {layers},
         heads: {heads},
         text: {{width: 96, layers: {layers}, heads: {heads}, context: {context}}}}}
method: {{name: clip, embedding: {embedding}, temperature: 0.07}}
{AUGMENT.replace("simclr-cifar", "none")}
batch:  {{global: 32, micro: 16}}
optim:  {{name: adamw, lr: 1.0e-3}}
train:  {{steps: 3, precision: f32}}
""")
    program("train", "c.yaml")
    program("export", "run", "out.safetensors")
    exported = read_safetensors(program.folder / "out.safetensors")
    vocabulary = len(exported["token_embedding.weight"])
    model, other = [make_clip(side, patch, 64, 96, layers, heads, context, vocabulary, embedding)
                    for _ in range(2)]
    x = program.images(side)
    model.load_state_dict(exported, strict=True)
    model.visual.proj = None  # `plenum embed` gives what comes before it
    compare("vit exported", program.embedding("run"), run_model(model.visual, x))
    write_safetensors(program.folder / "in.safetensors", other.state_dict())
    program("import", "in.safetensors", "c.yaml", "--out", "imported")
    program("export", "imported", "again.safetensors")
    again = read_safetensors(program.folder / "again.safetensors")
    for name, tensor in other.state_dict().items():
        if not torch.equal(again.pop(name), tensor):
            sys.exit(f"{name} came back changed")
    if again:
        sys.exit(f"came back besides: {list(again)}")
    other.visual.proj = None
    compare("vit imported", program.embedding("imported"), run_model(other.visual, x))
    program("train", "imported")


def main():
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "reference" and len(sys.argv) == 2:
        write_reference()
    elif command == "torchvision" and len(sys.argv) == 3:
        check_torchvision(sys.argv[2])
    elif command == "open_clip" and len(sys.argv) == 3:
        check_open_clip(sys.argv[2])
    else:
        sys.exit(__doc__)
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
