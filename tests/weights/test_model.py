"""Networks by name: their settings, which are known without Flax, and their classes."""

import dataclasses

import pytest

from ppcn_jax import models
from ppcn_jax.models.int8 import Ranges, in_int8
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import NETWORKS, Model, identify, make_network


@pytest.mark.parametrize("name", NETWORKS)
def test_settings_are_the_attributes_of_the_class(name):
    network = NETWORKS[name]
    fields = dataclasses.fields(getattr(models, network.module))
    # Every Flax module has the last two, and parameters do not depend on the precision.
    others = {"precision", "parent", "name"}
    assert network.settings == {f.name: f.default for f in fields if f.name not in others}


def test_a_model_has_all_settings():
    model = Model("dped_resnet", "paper", {"blocks": 2}, {}, "x")
    assert model.settings == {"blocks": 2, "features": 64}
    assert model.module == models.DpedResnet(blocks=2)
    other = dataclasses.replace(model, settings={"blocks": 3})
    assert other.module == models.DpedResnet(blocks=3)
    with pytest.raises(InputError, match="the network dped_resnet has no setting scale"):
        Model("dped_resnet", "paper", {"scale": 2}, {}, "x")
    with pytest.raises(InputError, match="unknown network 'new_network'"):
        dataclasses.replace(model, name="new_network")


def test_networks_are_identified():
    module = make_network("super_resolver", {"scale": 3}).clone(precision="bfloat16")
    for each in (module, in_int8(module, {"entry": Ranges((0, 1), (0, 1))})):
        assert identify(each) == ("super_resolver", {"scale": 3})
    with pytest.raises(ValueError, match="Vgg is not a network of"):
        identify(models.Vgg(19))
