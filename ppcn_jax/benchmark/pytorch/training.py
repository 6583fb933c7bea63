"""The student's training step in PyTorch, written as is usual there."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ppcn_jax.benchmark.peaks import FLOAT32, HALF
from ppcn_jax.benchmark.pytorch import losses as torch_losses
from ppcn_jax.benchmark.pytorch import networks as torch_networks
from ppcn_jax.inference.borders import without_reflection
from ppcn_jax.models.definitions import Params
from ppcn_jax.runtime.machine import core_count
from ppcn_jax.steps.augment import image_keys
from ppcn_jax.steps.optimizers import EPSILON, MEAN_DECAY, SQUARE_DECAY
from ppcn_jax.training.enhancer import load_teachers
from ppcn_jax.training.experiment import Experiment

Tensor = Any  # torch.Tensor
Losses = dict[str, Tensor]
Draws = Sequence[Any]  # flips of each image, and which ones the discriminator gets as targets
DRAWN_STEPS = 8  # random draws are made for this many steps in advance, and then repeat


def open_torch_step(
    config: ConfigDict,
    experiment: Experiment,
    batch: Mapping[str, np.ndarray],
    *,
    compiled: bool,
    device: str,
    format: str,
) -> Callable[..., dict[str, float]]:
    """A function `run(steps=1)` that repeats the step on one batch and returns the last losses.

    It returns when the device is done. `config` is a configuration of the student with the losses
    of configs/student.py, and `experiment` is made from it; both networks start with its
    parameters. `batch`, uint8 `[N, S, S, 3]`, is copied to the device once. `format` is a key of
    `peaks.FORMATS`.
    """
    import torch

    allow_tensorfloat32(format != FLOAT32)
    step = make_torch_step(
        config, experiment, compiled=compiled, device=device, half=format == HALF
    )
    images = {name: torch.as_tensor(x, device=device) for name, x in batch.items()}
    count, seed = len(batch["input"]), config.train.seed
    drawn = [draws_of_step(seed, index, count) for index in range(DRAWN_STEPS)]
    draws = itertools.cycle([[torch.as_tensor(x, device=device) for x in each] for each in drawn])

    def run(steps: int = 1) -> dict[str, float]:
        for _ in range(steps):
            losses = step(images, next(draws))
        return {name: float(value) for name, value in losses.items()}

    return run


def make_torch_step(
    config: ConfigDict,
    experiment: Experiment,
    *,
    compiled: bool = False,
    device: str = "cpu",
    half: bool = False,
) -> Callable[[Mapping[str, Any], Draws], Losses]:
    """Build `step(batch, draws) -> losses`, which updates both networks as steps/enhancer.py does.

    `draws` are those of `draws_of_step`; batch and draws are arrays or tensors. The losses are
    tensors that the device may still be computing. With `compiled`, the differentiated functions
    go through torch.compile; with `half`, VGG and the discriminator compute in bfloat16 by
    autocast.
    """
    import torch

    torch.set_num_threads(core_count())

    def load(module: Any, params: Params) -> Any:
        return torch_networks.load_params(module, params).to(device)

    players, frozen = experiment.state.players, experiment.frozen
    teachers = load_teachers(config.teacher, model=config.model, preset=config.preset)
    borders = [without_reflection(module)[1] for module in (experiment.module, teachers[0].module)]
    generator = load(torch_networks.make_student(borders[0]), players["generator"].params)
    teacher = load(torch_networks.make_teacher(borders[1]), frozen["teachers"][0])
    teacher.requires_grad_(False)
    vgg = load(torch_networks.make_vgg(19), frozen["vgg"])
    head = config.discriminator
    discriminator = load(
        torch_networks.make_discriminator(config.data.crop, head.outputs, head.first_norm),
        players["discriminator"].params,
    )
    adam = {
        "betas": (MEAN_DECAY, SQUARE_DECAY),
        "eps": EPSILON,
        "fused": True,  # one pass over the parameters
    }
    trained = [p for p in generator.parameters() if p.requires_grad]
    generator_adam = torch.optim.Adam(trained, lr=config.train.learning_rate, **adam)
    discriminator_adam = torch.optim.Adam(
        discriminator.parameters(), lr=config.discriminator.learning_rate, **adam
    )
    weights = {name: term.weight for name, term in config.objective.items() if term.weight}

    def in_half(module: Any, images: Tensor) -> Tensor:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
            return module(images).float()

    def logits(images: Tensor) -> Tensor:
        return in_half(discriminator, torch_losses.grayscale(images))

    def generator_loss(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Losses, Tensor]:
        with torch.no_grad():
            features = in_half(vgg, targets)
            _, teacher_maps = teacher(inputs, taps=True)
        enhanced, maps = generator(inputs, taps=True)
        bandwidth = config.objective.contextual.bandwidth
        terms = {
            "contextual": torch_losses.contextual(
                in_half(vgg, enhanced), features, bandwidth=bandwidth
            ),
            "ssim": torch_losses.ssim(enhanced, targets),
            "texture": torch_losses.texture(logits(enhanced)),
            "color": torch_losses.color(enhanced, targets),
            "total_variation": torch_losses.total_variation(enhanced),
            "attention": torch_losses.attention(maps, teacher_maps),
        }
        return sum(weights[name] * value for name, value in terms.items()), terms, enhanced

    def discriminator_loss(enhanced: Tensor, targets: Tensor, is_real: Tensor) -> Tensor:
        images = torch.where(is_real.view(-1, 1, 1, 1), targets, enhanced)
        return torch_losses.discrimination(logits(images), is_real)

    if compiled:
        generator_loss = torch.compile(generator_loss)
        discriminator_loss = torch.compile(discriminator_loss)

    def step(batch: Mapping[str, Any], draws: Draws) -> Losses:
        turns, is_real, images, references = (
            torch.as_tensor(x, device=device) for x in (*draws, batch["input"], batch["target"])
        )
        inputs, targets = _turned(images, turns), _turned(references, turns)
        generator_adam.zero_grad()
        discriminator_adam.zero_grad()
        discriminator.requires_grad_(False)  # the generator's loss does not train it
        total, terms, enhanced = generator_loss(inputs, targets)
        total.backward()
        discriminator.requires_grad_(True)
        # Both networks are updated from the state before the step.
        discrimination = discriminator_loss(enhanced.detach(), targets, is_real)
        discrimination.backward()
        generator_adam.step()
        discriminator_adam.step()
        losses = {**terms, "total": total, "discriminator_loss": discrimination}
        return {name: value.detach() for name, value in losses.items()}

    return step


def allow_tensorfloat32(allowed: bool) -> None:
    """Let PyTorch round the factors of float32 products on a GPU, or forbid it."""
    import torch

    precision = "tf32" if allowed else "ieee"
    torch.backends.cuda.matmul.fp32_precision = precision
    torch.backends.cudnn.conv.fp32_precision = precision


def run_with_peak_memory(
    run: Callable[[], dict[str, float]], device: str
) -> tuple[dict[str, float], float | None]:
    """Losses of one step, and on a GPU the most memory that PyTorch held during it, megabytes."""
    import torch

    if device != "cuda":
        return run(), None
    torch.cuda.reset_peak_memory_stats()
    return run(), torch.cuda.max_memory_allocated() / 1e6


def draws_of_step(seed: int, index: int, count: int) -> Draws:
    """The random draws of JAX's step `index`, from 0, for a batch of `count` images.

    Returns, as bool: the flips of each image (vertical, horizontal, transposition) `[count, 3]`,
    and for which images the discriminator gets the target `[count]`.
    """
    keys = image_keys(seed, jnp.int32(index), count)
    turns = jax.vmap(lambda key: jax.random.bernoulli(key, shape=(3,)))(keys)
    is_real = jax.vmap(lambda key: jax.random.bernoulli(jax.random.fold_in(key, 1)))(keys)
    return np.array(turns), np.array(is_real)


def _turned(images: Any, turns: Any) -> Any:
    """A batch in [0, 1], flipped and transposed as `random_dihedral` does."""
    import torch

    x = images.permute(0, 3, 1, 2)
    upside_down, mirrored, transposed = turns.view(-1, 3, 1, 1, 1).unbind(1)
    x = torch.where(upside_down, x.flip(2), x)
    x = torch.where(mirrored, x.flip(3), x)
    x = torch.where(transposed, x.transpose(2, 3), x)
    return x.contiguous().float() / 255
