"""Numbers by formula, the same here and in tests/unit/formula.c: weights, images and texts that need
not be stored, and signs to reduce a large tensor to a few numbers."""
import numpy
import torch

SIGNS = 8  # vectors of signs that a tensor is reduced by


def seed_of(name):
    seed = 2166136261  # FNV-1a
    for byte in name.encode():
        seed = (seed ^ byte) * 16777619 & 0xFFFFFFFF
    return seed


def scramble(seed, count):
    h = numpy.arange(count, dtype=numpy.uint32) * numpy.uint32(0x9E3779B1) + numpy.uint32(seed)
    h ^= h >> numpy.uint32(15)
    h *= numpy.uint32(0x85EBCA77)
    h ^= h >> numpy.uint32(13)
    h *= numpy.uint32(0xC2B2AE3D)
    h ^= h >> numpy.uint32(16)
    return h


def numbers(name, count):
    """In [-1, 1), a function of name and place alone."""
    return (scramble(seed_of(name), count) >> numpy.uint32(8)) / 2.0**23 - 1


def weights(name, shape):
    if name == "logit_scale":
        return torch.tensor(2.5)
    if name == "logit_bias":
        return torch.tensor(-2.0)
    u = numbers(name, int(numpy.prod(shape)))
    if name.endswith("running_var") or name.endswith("weight") and len(shape) == 1:
        u = 0.75 + 0.25 * u
        if name.endswith("bn3.weight"):  # branches of a ResNet-50: they would amplify rounding
            u = 0.2 * u
    elif name.endswith("weight"):
        u = u * numpy.sqrt(6.0 / numpy.prod(shape[1:]))
    else:
        u = 0.125 * u
    return torch.from_numpy(u.astype(numpy.float32)).reshape(shape)


def fill(model):
    """The model with weights and running statistics by formula, in double precision."""
    state = {n: weights(n, t.shape) for n, t in model.state_dict().items()
             if not n.endswith("num_batches_tracked")}
    model.load_state_dict(state, strict=False)
    return model.double()


def images(name, rows, side):
    """(rows, 3, side, side); the formula counts channels fastest."""
    u = numbers(name, rows * side * side * 3).astype(numpy.float32)
    return torch.from_numpy(u.reshape(rows, side, side, 3)).permute(0, 3, 1, 2).double()


def texts(rows, context, vocabulary):
    """(rows, context): ids, then the largest of all, which ends a text, then nothing."""
    u = numbers("texts", rows * context)
    ids = torch.from_numpy(((u + 1) / 2 * (vocabulary - 1)).astype(numpy.int64))
    ids = ids.reshape(rows, context)
    for row in range(rows):
        end = 5 + 29 * row % (context - 5)
        ids[row, end] = vocabulary - 1
        ids[row, end + 1:] = 0
    return ids


def digest(name, values):
    """The tensor's length, and its products with SIGNS vectors of signs: those of the difference of
    two tensors have its length as their deviation."""
    values = values.detach().double().reshape(-1).numpy()
    bits = scramble(~seed_of(name) & 0xFFFFFFFF, values.size)
    total = values.sum()
    products = [2 * values[(bits >> numpy.uint32(31 - k) & 1).astype(bool)].sum() - total
                for k in range(SIGNS)]
    return [float(numpy.sqrt((values * values).sum())), *map(float, products)]
