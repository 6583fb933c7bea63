"""A finished run that the tests of averages and of starting networks share."""

import pytest

from configs import student
from tests.tiny_runs import run, small


@pytest.fixture(scope="session")
def averaged(tmp_path_factory):
    """A student trained with a discriminator for six steps, with an average: config, workdir, state."""
    workdir = tmp_path_factory.mktemp("averaged")
    config = small(student.get_config("no_distillation"))
    config.model_settings.padding = "reflect"  # as the shipped student's
    for name in ("ssim", "color", "total_variation"):  # fewer losses compile sooner
        config.objective[name].weight = 0.0
    config.objective.mae.weight = config.objective.texture.weight = 1.0
    config.data.crop = 16
    config.train.ema = 0.7
    return config, workdir, run(config, workdir)
