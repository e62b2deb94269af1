"""Reverse-mode differentiation of NumPy expressions: values remember how they came about, `gradients` walks back."""
import math

import numpy as np


class Var:
    """A float64 array and, for each input it was made from, the function that maps its gradient to the input's."""

    def __init__(self, data, parents=()):
        self.data = np.asarray(data, dtype=np.float64)
        self.parents = parents

    @property
    def shape(self):
        return self.data.shape

    def __add__(self, other):
        other = lift(other)
        return Var(self.data + other.data,
                   ((self, lambda g: fold(g, self.shape)), (other, lambda g: fold(g, other.shape))))

    def __sub__(self, other):
        return self + lift(other) * -1.0

    def __mul__(self, other):
        other = lift(other)
        return Var(self.data * other.data,
                   ((self, lambda g: fold(g * other.data, self.shape)),
                    (other, lambda g: fold(g * self.data, other.shape))))

    def __truediv__(self, other):
        return self * power(lift(other), -1.0)

    def __matmul__(self, other):
        return Var(self.data @ other.data,
                   ((self, lambda g: fold(g @ np.swapaxes(other.data, -1, -2), self.shape)),
                    (other, lambda g: fold(np.swapaxes(self.data, -1, -2) @ g, other.shape))))

    def __getitem__(self, key):
        def back(g):
            result = np.zeros(self.shape)
            np.add.at(result, key, g)  # a row taken twice receives both gradients
            return result
        return Var(self.data[key], ((self, back),))

    def reshape(self, *shape):
        return Var(self.data.reshape(shape), ((self, lambda g: g.reshape(self.shape)),))

    def transpose(self, *axes):
        inverse = np.argsort(axes)
        return Var(self.data.transpose(axes), ((self, lambda g: g.transpose(inverse)),))

    @property
    def T(self):
        return self.transpose(1, 0)

    def sum(self, axis=None):
        """Keeps the summed axis with extent 1 (all axes: a scalar)."""
        keep = axis is not None
        return Var(self.data.sum(axis=axis, keepdims=keep), ((self, lambda g: np.broadcast_to(g, self.shape)),))

    def mean(self, axis):
        return self.sum(axis) * (1.0 / self.shape[axis])


def lift(value):
    return value if isinstance(value, Var) else Var(value)


def fold(gradient, shape):
    """Sums a gradient over the axes that broadcasting added or stretched."""
    while gradient.ndim > len(shape):
        gradient = gradient.sum(axis=0)
    for axis, extent in enumerate(shape):
        if extent == 1 and gradient.shape[axis] != 1:
            gradient = gradient.sum(axis=axis, keepdims=True)
    return gradient


def pointwise(x, value, slope):
    return Var(value, ((x, lambda g: g * slope),))


def power(x, exponent):
    return pointwise(x, x.data ** exponent, exponent * x.data ** (exponent - 1.0))


def exp(x):
    value = np.exp(x.data)
    return pointwise(x, value, value)


def log(x):
    return pointwise(x, np.log(x.data), 1.0 / x.data)


def tanh(x):
    value = np.tanh(x.data)
    return pointwise(x, value, 1.0 - value ** 2)


def erf(x):
    return pointwise(x, np.vectorize(math.erf)(x.data), 2.0 / math.sqrt(math.pi) * np.exp(-x.data ** 2))


def concat(parts, axis):
    ends = np.cumsum([part.shape[axis] for part in parts])

    def back(i):
        begin = ends[i] - parts[i].shape[axis]
        return lambda g: np.take(g, range(begin, ends[i]), axis=axis)
    return Var(np.concatenate([part.data for part in parts], axis=axis),
               tuple((part, back(i)) for i, part in enumerate(parts)))


def gradients(value, wanted):
    """d value / d x for each Var x of `wanted`; zero where the value does not depend on it."""
    order, seen = [], set()
    stack = [(value, False)]
    while stack:  # inputs before results, without recursion
        var, done = stack.pop()
        if done:
            order.append(var)
        elif id(var) not in seen:
            seen.add(id(var))
            stack.append((var, True))
            stack.extend((parent, False) for parent, _ in var.parents)
    found = {id(value): np.ones(value.shape)}
    for var in reversed(order):
        for parent, back in var.parents:
            found[id(parent)] = found.get(id(parent), 0.0) + back(found[id(var)])
    return [found.get(id(x), np.zeros(x.shape)) for x in wanted]
