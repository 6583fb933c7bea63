"""The student's training step in PyTorch, as one writes it there."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppcn_jax.benchmark.pytorch import losses as torch_losses
from ppcn_jax.benchmark.pytorch import networks as torch_networks
from ppcn_jax.runtime.machine import core_count
from ppcn_jax.steps.augment import image_keys
from ppcn_jax.steps.optimizers import EPSILON, MEAN_DECAY, SQUARE_DECAY
from ppcn_jax.training.experiment import Experiment

Draws = tuple[Any, Any]

# The losses as configs/student.py has them, the only ones that are written in PyTorch here.
FORMS = {
    "contextual": {"distance": "cosine"},
    "texture": {"form": "non_saturating"},
    "color": {"kernel": "paper"},
    "attention": {"form": "norm"},
}


def make_torch_step(
    config,
    experiment: Experiment,
    *,
    compiled: bool = False,
    device: str = "cpu",
    half: bool = False,
) -> Callable[[Mapping[str, Any], Draws], dict[str, Any]]:
    """Build the step.

    Both players are updated from the state before it, as in `steps`.

    Args:
        config: of configs/student.py, with `FORMS`.
        experiment: made from it; the step starts with its parameters.
        compiled: by torch.compile, all that is differentiated; otherwise eager.
        device: as PyTorch names it.
        half: VGG and discriminator compute in bfloat16, by autocast.

    Returns:
        `step(batch, draws) -> losses`: trains on a batch `{"input", "target"}`, uint8
        `[N, S, S, 3]`, with what `draws_of_step` returns, arrays or tensors. Losses are tensors,
        which the device may still be computing.
    """
    import torch

    torch.set_num_threads(core_count())

    def load(module, params):
        return torch_networks.load_params(module, params).to(device)

    players, frozen = experiment.state.players, experiment.frozen
    generator = load(torch_networks.make_student(), players["generator"].params)
    teacher = load(torch_networks.make_teacher(), frozen["teachers"][0]).requires_grad_(False)
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
    opponent_adam = torch.optim.Adam(
        discriminator.parameters(), lr=config.discriminator.learning_rate, **adam
    )
    weights = {name: term.weight for name, term in config.objective.items() if term.weight}

    def in_half(module, images):
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
            return module(images).float()

    def judged(images):
        return in_half(discriminator, torch_losses.grayscale(images))

    def generator_loss(inputs, targets):
        with torch.no_grad():
            features = in_half(vgg, targets)
            _, teacher_taps = teacher(inputs, taps=True)
        enhanced, taps = generator(inputs, taps=True)
        bandwidth = config.objective.contextual.bandwidth
        terms = {
            "contextual": torch_losses.contextual(
                in_half(vgg, enhanced), features, bandwidth=bandwidth
            ),
            "ssim": torch_losses.ssim(enhanced, targets),
            "texture": torch_losses.texture(judged(enhanced)),
            "color": torch_losses.color(enhanced, targets),
            "total_variation": torch_losses.total_variation(enhanced),
            "attention": torch_losses.attention(taps, teacher_taps),
        }
        return sum(weights[name] * value for name, value in terms.items()), terms, enhanced

    def discriminator_loss(enhanced, targets, is_real):
        shown = torch.where(is_real.view(-1, 1, 1, 1), targets, enhanced)
        return torch_losses.discrimination(judged(shown), is_real)

    if compiled:
        generator_loss = torch.compile(generator_loss)
        discriminator_loss = torch.compile(discriminator_loss)

    def step(batch: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
        turns, is_real, images, references = (
            torch.as_tensor(x, device=device) for x in (*draws, batch["input"], batch["target"])
        )
        inputs, targets = _turned(images, turns), _turned(references, turns)
        generator_adam.zero_grad()
        opponent_adam.zero_grad()
        discriminator.requires_grad_(False)  # the enhancer's loss is not the opponent's
        total, terms, enhanced = generator_loss(inputs, targets)
        total.backward()
        discriminator.requires_grad_(True)
        opponent_loss = discriminator_loss(enhanced.detach(), targets, is_real)
        opponent_loss.backward()
        generator_adam.step()
        opponent_adam.step()
        found = {**terms, "total": total, "discriminator_loss": opponent_loss}
        return {name: value.detach() for name, value in found.items()}

    return step


def repeat_torch_step(
    step: Callable, batch: Mapping[str, np.ndarray], seed: int, device: str
) -> Callable[[int], dict[str, float]]:
    """A step, again and again on one batch that is on the device.

    Args:
        step: of `make_torch_step`.
        batch: on the host.
        seed: of the run.
        device: the step's.

    Returns:
        `run(steps) -> losses` of the last; the device is done then. Draws are those of the first
        eight steps, over and over.
    """
    import torch

    images = {name: torch.as_tensor(x, device=device) for name, x in batch.items()}
    draws = [draws_of_step(seed, index, len(batch["input"])) for index in range(8)]
    order = itertools.cycle([[torch.as_tensor(x, device=device) for x in each] for each in draws])

    def run(steps: int) -> dict[str, float]:
        for _ in range(steps):
            losses = step(images, next(order))
        return {name: float(value) for name, value in losses.items()}

    return run


def allow_tensorfloat32(allowed: bool) -> None:
    """Whether PyTorch may round the factors of float32 products on a GPU."""
    import torch

    precision = "tf32" if allowed else "ieee"
    torch.backends.cuda.matmul.fp32_precision = precision
    torch.backends.cudnn.conv.fp32_precision = precision


def with_peak_memory(
    run: Callable[[int], dict[str, float]], device: str
) -> tuple[dict[str, float], float | None]:
    """The first step's losses, and the most memory that PyTorch held on a GPU meanwhile.

    Args:
        run: of `repeat_torch_step`.
        device: the step's.

    Returns:
        Losses, and megabytes; None on other devices.
    """
    import torch

    if device != "cuda":
        return run(1), None
    torch.cuda.reset_peak_memory_stats()
    return run(1), torch.cuda.max_memory_allocated() / 1e6


def draws_of_step(seed: int, index: int, count: int) -> Draws:
    """What JAX's step draws for a batch.

    Args:
        seed: of the run.
        index: of the step, from 0.
        count: images in the batch.

    Returns:
        Whether each image is flipped vertically, horizontally and transposed, bool `[count, 3]`;
        whether the discriminator is shown its target, bool `[count]`.
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
