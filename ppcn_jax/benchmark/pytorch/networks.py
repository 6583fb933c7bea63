"""The networks in PyTorch, written as is usual there, for comparisons of speed.

Modules and layers have the names that they have in `models/`, so parameters are copied by name.
Images are `[N, C, H, W]`. Functions make the classes, because PyTorch is imported inside functions.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ppcn_jax.inference.borders import border_of
from ppcn_jax.inference.structure import structure_of
from ppcn_jax.models import discriminator
from ppcn_jax.models.definitions import BLOCKS, CONTRAST, RESIDUALS, SLOPE, STRIDES, Params
from ppcn_jax.models.vgg import kernel_shapes
from ppcn_jax.weights.model import Model

Module = Any  # torch.nn.Module
Tensor = Any  # torch.Tensor


def to_torch(model: Model) -> Module:
    """A student, teacher or super-resolver as a PyTorch module; its output is not clipped."""
    border = border_of(structure_of(model))
    makers: dict[str, Callable[[], Module]] = {
        "student": lambda: make_student(border),
        "teacher": lambda: make_teacher(border),
        "super_resolver": lambda: make_super_resolver(model.settings["scale"]),
    }
    return load_params(makers[model.name](), model.params)


def load_params(module: Module, params: Params) -> Module:
    """Copy the parameters of the Flax module with the same names into a module, and return it."""
    import torch

    for name, layer in params.items():
        target = getattr(module, name)
        if not isinstance(layer, dict):  # VGG's mean and std
            target.copy_(torch.from_numpy(np.array(layer)).reshape(target.shape))
            continue
        kernel = np.asarray(layer["kernel"] if "kernel" in layer else layer["scale"])
        bias = layer["bias"] if "kernel" in layer else layer["shift"]
        if kernel.ndim == 4:
            kernel = kernel.transpose(3, 2, 0, 1)
        elif kernel.ndim == 2:
            kernel = _rows_by_channel(kernel, getattr(target, "map_shape", None)).T
        state = {"weight": kernel, "bias": np.asarray(bias)}
        target.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()})
    return module


def _rows_by_channel(kernel: np.ndarray, map_shape: tuple[int, int] | None) -> np.ndarray:
    # A map is flattened channel by channel in PyTorch, position by position in JAX.
    if map_shape is None:
        return kernel
    rows = kernel.reshape(*map_shape, -1, kernel.shape[1])
    return rows.transpose(2, 0, 1, 3).reshape(kernel.shape)


def make_student(border: int = 0) -> Module:
    """The student. With `taps=True` it also returns its two attention maps.

    It continues images by `border` pixels by reflection, unless that is 0.
    """
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Student(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv0 = nn.Conv2d(3, 8, (1, 7), padding="same")
            self.conv1 = nn.Conv2d(8, 8, (7, 1), padding="same")
            self.conv2 = nn.Conv2d(8, 16, (1, 7), padding="same", dilation=2)
            self.norm2 = _instance_norm(16, border)
            self.conv3 = nn.Conv2d(16, 8, (7, 1), padding="same", dilation=2)
            self.norm3 = _instance_norm(8, border)
            self.conv4 = nn.Conv2d(8, 3, 3, padding=1)

        def forward(self, images: Tensor, taps: bool = False) -> Any:
            mean = images.mean((2, 3), keepdim=True)
            x = CONTRAST * (images - mean) + mean
            x = F.pad(x, [border] * 4, mode="reflect") if border else x
            x = F.leaky_relu(self.conv0(x), SLOPE)
            c1 = F.leaky_relu(self.conv1(x), SLOPE)
            x = F.leaky_relu(self.norm2(self.conv2(c1)), SLOPE)
            c3 = F.leaky_relu(self.norm3(self.conv3(x)), SLOPE) + c1
            result = 0.58 * torch.tanh(_inside(self.conv4(c3), border)) + 0.5
            return (result, [_inside(c, border).mean(1) for c in (c1, c3)]) if taps else result

    return _without_bias_gradients(Student(), "conv2", "conv3")


def make_teacher(border: int = 0) -> Module:
    """The teacher. With `taps=True` it also returns its two attention maps.

    It continues images by `border` pixels by reflection, unless that is 0.
    """
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Teacher(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv0 = nn.Conv2d(3, 16, (1, 7), padding="same")
            self.conv1 = nn.Conv2d(16, 16, (7, 1), padding="same")
            self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
            self.norm2 = _instance_norm(32, border)
            self.conv3 = nn.Conv2d(32, 16, 3, padding=1)
            self.norm3 = _instance_norm(16, border)
            self.conv4 = nn.Conv2d(16, 32, 3, padding=2, dilation=2)
            self.norm4 = _instance_norm(32, border)
            self.conv5 = nn.Conv2d(32, 16, 3, padding=2, dilation=2)
            self.norm5 = _instance_norm(16, border)
            self.conv6 = nn.Conv2d(32, 16, 1)
            self.conv7 = nn.Conv2d(16, 3, 3, padding=1)

        def forward(self, images: Tensor, taps: bool = False) -> Any:
            mean = images.mean((2, 3), keepdim=True)
            x = CONTRAST * (images - mean) + mean
            x = F.pad(x, [border] * 4, mode="reflect") if border else x
            x = F.leaky_relu(self.conv0(x), SLOPE)
            c1 = F.leaky_relu(self.conv1(x), SLOPE)
            x = F.leaky_relu(self.norm2(self.conv2(c1)), SLOPE)
            c3 = self.norm3(self.conv3(x)) + c1
            x = F.leaky_relu(self.norm4(self.conv4(c3)), SLOPE)
            c5 = self.norm5(self.conv5(x)) + c3
            c6 = F.leaky_relu(self.conv6(torch.cat((c3, c5), 1)), SLOPE)
            result = 0.58 * torch.tanh(_inside(self.conv7(c6), border)) + 0.5
            return (result, [_inside(c, border).mean(1) for c in (c1, c6)]) if taps else result

    return _without_bias_gradients(Teacher(), "conv2", "conv3", "conv4", "conv5")


def make_super_resolver(scale: int) -> Module:
    """The super-resolver."""
    from torch import nn
    from torch.nn import functional as F

    first, second = STRIDES[scale]

    def pad(x: Tensor, stride: int) -> Tensor:
        height, width = (_padding(side, 3, stride) for side in x.shape[2:])
        return F.pad(x, (*width, *height))

    class SuperResolver(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down0 = nn.Conv2d(3, 32, 3, stride=first)
            self.down1 = nn.Conv2d(32, 64, 3, stride=second)
            self.entry = nn.Conv2d(64, 32, 3, padding=1)
            for block in range(BLOCKS):
                for residual in range(RESIDUALS):
                    name = f"block{block}_residual{residual}"
                    setattr(self, f"{name}_conv0", nn.Conv2d(32, 64, 3, padding=1))
                    setattr(self, f"{name}_conv1", nn.Conv2d(64, 32, 3, padding=1))
                setattr(self, f"block{block}_transition", nn.Conv2d(32, 32, 3, padding=1))
            self.merge = nn.Conv2d(32, 32, 3, padding=1)
            self.refine = nn.Conv2d(32, 32, 3, padding=1)
            self.pixels = nn.Conv2d(32, 3 * scale**2, 3, padding=1)

        def forward(self, images: Tensor) -> Tensor:
            images = 255 * images
            mean = images.mean((2, 3), keepdim=True)
            x = F.leaky_relu(self.down0(pad(images - mean, first)), SLOPE)
            x = F.leaky_relu(self.down1(pad(x, second)), SLOPE)
            entry = x = self.entry(x)
            for block in range(BLOCKS):
                start = x
                for residual in range(RESIDUALS):
                    name = f"block{block}_residual{residual}"
                    y = F.leaky_relu(getattr(self, f"{name}_conv0")(x), SLOPE)
                    x = x + getattr(self, f"{name}_conv1")(y)
                x = start + getattr(self, f"block{block}_transition")(x)
            x = self.pixels(self.refine(entry + self.merge(x)))
            x = F.pixel_shuffle(x, scale)[:, :, : images.shape[2], : images.shape[3]]
            return (x + mean) / 255

    return SuperResolver()


def make_vgg(depth: int) -> Module:
    """Frozen VGG up to conv4_2, before its ReLU, for images in [0, 1]."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    shapes = kernel_shapes(depth)

    class Vgg(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.zeros(3, 1, 1))
            self.register_buffer("std", torch.ones(3, 1, 1))
            for name, (*_, inputs, outputs) in shapes.items():
                setattr(self, name, nn.Conv2d(inputs, outputs, 3, padding=1))

        def forward(self, images: Tensor) -> Tensor:
            x = (255 * images - self.mean) / self.std
            for name in shapes:
                if name != "conv1_1":
                    x = F.relu(x)
                    if name.endswith("_1"):
                        x = F.max_pool2d(x, 2, ceil_mode=True)
                x = getattr(self, name)(x)
            return x

    return Vgg().requires_grad_(False)


def make_discriminator(crop: int, outputs: int, first_norm: bool) -> Module:
    """The discriminator for gray images of `crop` x `crop` px."""
    from torch import nn
    from torch.nn import functional as F

    class Discriminator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            inputs, side = 1, crop
            self.uneven = set()  # convolutions with one more row and column of padding at the end
            for index, (features, kernel, stride) in enumerate(discriminator.STAGES):
                before, after = _padding(side, kernel, stride)
                if after > before:
                    self.uneven.add(index)
                conv = nn.Conv2d(inputs, features, kernel, stride, padding=before)
                setattr(self, f"conv{index}", conv)
                if index or first_norm:
                    norm = nn.InstanceNorm2d(features, eps=1e-3, affine=True)
                    setattr(self, f"norm{index}", norm)
                inputs, side = features, -(-side // stride)
            self.dense = nn.Linear(side * side * inputs, 1024)
            self.dense.map_shape = side, side
            self.logits = nn.Linear(1024, outputs)

        def forward(self, images: Tensor) -> Tensor:
            x = images
            for index in range(len(discriminator.STAGES)):
                if index in self.uneven:
                    x = F.pad(x, (0, 1, 0, 1))
                x = F.leaky_relu(getattr(self, f"conv{index}")(x), 0.2)
                if index or first_norm:
                    x = getattr(self, f"norm{index}")(x)
            x = F.leaky_relu(self.dense(x.flatten(1)), 0.2)
            return self.logits(x)

    return Discriminator()


def _inside(x: Tensor, border: int) -> Tensor:
    height, width = x.shape[2:]
    return x[:, :, border : height - border, border : width - border]


def _instance_norm(features: int, border: int) -> Module:
    """Instance norm whose statistics leave out a border."""
    import torch
    from torch import nn

    class InnerNorm(nn.InstanceNorm2d):
        def forward(self, x: Tensor) -> Tensor:
            inner = _inside(x, border)
            variance, mean = torch.var_mean(inner, (2, 3), correction=0, keepdim=True)
            scale = self.weight[:, None, None] * torch.rsqrt(variance + self.eps)
            return (x - mean) * scale + self.bias[:, None, None]

    norm = InnerNorm if border else nn.InstanceNorm2d
    return norm(features, eps=1e-3, affine=True)


def _padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after a side, for an output of side / stride, rounded up."""
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def _without_bias_gradients(module: Module, *names: str) -> Module:
    """Freeze biases before an instance norm, which cancels them."""
    for name in names:
        getattr(module, name).bias.requires_grad_(False)
    return module
