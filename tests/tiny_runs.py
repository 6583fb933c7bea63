"""Training runs of a few seconds in this process, on synthetic pictures."""

import json
import os
import signal

import jax

import data
from ppcn_jax.training import loop

CROP = 24


def small(config):
    """Change a configuration to a run of a few seconds: no VGG, synthetic pictures."""
    config.data.source = "synthetic"
    config.data.crop = CROP
    if "vgg" in config:
        config.objective.contextual.weight = 0.0
        config.objective.texture.weight = 0.0
    config.train.batch_size = 4
    config.train.steps = 6
    config.log.every = 2
    config.evaluate.every = 3
    config.checkpoint.every = 2
    return config


def run(config, workdir, interrupt_at=None, **arguments):
    source = data.make_source(**config.data, split="train")

    def batches(step):
        stream = data.batches(
            source,
            seed=config.train.seed,
            batch_size=config.train.batch_size,
            start_step=step,
            local_devices=jax.local_device_count(),
        )
        for index, batch in enumerate(stream, start=step):
            if index == interrupt_at:
                os.kill(os.getpid(), signal.SIGINT)
            yield batch

    test = data.make_source(**config.data, split="test")
    return loop.run(config, workdir, batches, test, **arguments)


def rows(workdir, *splits):
    """Rows of some splits; by default those that are equal in every run with the same seed."""
    lines = (workdir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["split"] in (splits or ("train", "test"))]
