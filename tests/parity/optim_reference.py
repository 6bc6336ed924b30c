#!/usr/bin/env python3
"""Writes the trajectories in tests/parity/optim/ that tests/unit/test_optim.c is held against.

SGD and AdamW are PyTorch's own optimizers, in float64. LARS and LAMB, which PyTorch lacks, are
written out here in float64 NumPy straight from the formulas that runtime/optim/lars.c and lamb.c
state. Parameters and gradients are made by value(), an integer formula that the test has too, so
only results are stored: lines "step tensor element weight moment [moment]".

Usage: optim_reference.py [FOLDER]      (needs PyTorch and NumPy)
"""

import os
import sys

import numpy as np
import torch

# (elements, is a weight, starts at zero); the first is longer than one block of the flat vector
TENSORS = [(1200, True, False), (7, False, False), (5, False, True), (24, True, False), (3, True, True)]
RATES = [0.5, 1.0, 0.75, 0.25, 0.125]
STRIDE = 37  # between the elements that are stored


def value(salt, tensor, count):
    index = np.arange(count, dtype=np.int64)
    return ((index * 7919 + tensor * 104729 + salt * 15485863) % 2003 - 1001) / 1024.0


def initial(tensor):
    count, _, zero = TENSORS[tensor]
    return np.zeros(count) if zero else value(0, tensor, count)


def gradient(tensor, step):
    return value(step + 1, tensor, TENSORS[tensor][0]) / 4


def norm_ratio(trust, weight, direction):
    w, d = np.linalg.norm(weight), np.linalg.norm(direction)
    return trust * w / d if w > 0 and d > 0 else 1.0


class Lars:
    def __init__(self, momentum, nesterov, decay, trust):
        self.momentum, self.nesterov, self.decay, self.trust = momentum, nesterov, decay, trust
        self.moments = [[np.zeros(t[0])] for t in TENSORS]

    def step(self, weights, step, lr):
        for t, (_, is_weight, _) in enumerate(TENSORS):
            d = gradient(t, step)
            rate = lr
            if is_weight:
                d = d + self.decay * weights[t]
                rate = lr * norm_ratio(self.trust, weights[t], d)
            m = self.momentum * self.moments[t][0] + rate * d
            self.moments[t][0] = m
            weights[t] -= self.momentum * m + rate * d if self.nesterov else m


class Lamb:
    def __init__(self, beta1, beta2, epsilon, decay):
        self.beta1, self.beta2, self.epsilon, self.decay = beta1, beta2, epsilon, decay
        self.moments = [[np.zeros(t[0]), np.zeros(t[0])] for t in TENSORS]

    def step(self, weights, step, lr):
        for t, (_, is_weight, _) in enumerate(TENSORS):
            g = gradient(t, step)
            m, v = self.moments[t]
            m = self.beta1 * m + (1 - self.beta1) * g
            v = self.beta2 * v + (1 - self.beta2) * g * g
            self.moments[t] = [m, v]
            corrected = m / (1 - self.beta1 ** (step + 1))
            spread = np.sqrt(v / (1 - self.beta2 ** (step + 1)))
            u = corrected / (spread + self.epsilon)
            rate = lr
            if is_weight:
                u = u + self.decay * weights[t]
                rate = lr * norm_ratio(1.0, weights[t], u)
            weights[t] -= rate * u


class Torch:
    """A torch.optim class; decay goes to weights only, as its users do by parameter groups."""

    def __init__(self, kind, moment_names, decay, **options):
        self.moment_names = moment_names
        self.parameters = [torch.tensor(initial(t)) for t in range(len(TENSORS))]
        groups = [
            {"params": [p for p, t in zip(self.parameters, TENSORS) if t[1] == is_weight],
             "weight_decay": decay if is_weight else 0.0}
            for is_weight in (True, False)
        ]
        self.optimizer = kind(groups, lr=1.0, **options)
        self.moments = []

    def step(self, weights, step, lr):
        for t, parameter in enumerate(self.parameters):
            parameter.grad = torch.tensor(gradient(t, step))
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        states = [self.optimizer.state[p] for p in self.parameters]
        self.moments = [[s[name].numpy() for name in self.moment_names] for s in states]
        for t, parameter in enumerate(self.parameters):
            weights[t] = parameter.numpy().copy()


# name -> (base rate, optimizer); the options stand in test_optim.c too
CASES = {
    "sgd": (0.1, Torch(torch.optim.SGD, ["momentum_buffer"], 5e-3, momentum=0.9)),
    "nesterov": (0.1, Torch(torch.optim.SGD, ["momentum_buffer"], 5e-3, momentum=0.9, nesterov=True)),
    "adamw": (0.02, Torch(torch.optim.AdamW, ["exp_avg", "exp_avg_sq"], 0.1, betas=(0.9, 0.999), eps=1e-6)),
    "lars": (2.0, Lars(0.9, False, 1e-2, 0.02)),
    "lars_nesterov": (2.0, Lars(0.9, True, 1e-2, 0.02)),
    "lamb": (0.02, Lamb(0.9, 0.99, 1e-6, 0.1)),
}


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "optim")
    os.makedirs(folder, exist_ok=True)
    for name, (base, optimizer) in CASES.items():
        weights = [initial(t) for t in range(len(TENSORS))]
        with open(os.path.join(folder, name + ".txt"), "w", encoding="ascii") as file:
            for step, rate in enumerate(RATES):
                optimizer.step(weights, step, base * rate)
                for t, (count, _, _) in enumerate(TENSORS):
                    for i in range(0, count, STRIDE if count > STRIDE else 1):
                        numbers = [weights[t][i]] + [m[i] for m in optimizer.moments[t]]
                        print(step, t, i, *("%.12g" % x for x in numbers), file=file)


if __name__ == "__main__":
    main()
