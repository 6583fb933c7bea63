"""What a call of a step costs the host."""

import json

import pytest

from configs import student
from ppcn_jax.benchmark.parts import host
from ppcn_jax.runtime.files import write_json


@pytest.fixture
def config():
    """A student's configuration without files."""
    config = student.get_config("no_distillation")
    config.objective.contextual.weight = config.objective.texture.weight = 0.0
    config.data.crop = 16
    return config


def test_the_fastest_measurement_of_each_form_has_a_row(config, tmp_path, monkeypatch):
    measured = {host.DIRECT: [3.0, 1.0], host.CONVERTED: [7.0, 8.0]}
    seen = []

    def run(form, file, calls, processes):
        seen.append((form, json.loads(file.read_text(encoding="utf-8"))["model"], calls, processes))
        return measured[form].pop(0)

    monkeypatch.setattr(host, "_run", run)
    first, second = host.measure_host(config, tmp_path, processes=2, calls=5, rounds=2)
    assert first["task"] == "host's time of a call, 2 processes"
    assert (first["name"], first["milliseconds"]) == (host.DIRECT, 1000)
    assert (second["name"], second["milliseconds"], second["ratio"]) == (host.CONVERTED, 7000, 7)
    assert seen == [(form, "student", 5, 2) for form in (host.DIRECT, host.CONVERTED)] * 2


@pytest.mark.parametrize("form", [host.DIRECT, host.CONVERTED])
def test_both_forms_run(config, tmp_path, form):
    write_json(tmp_path / "host.json", json.loads(config.to_json()))
    assert host.seconds_of_call(form, str(tmp_path / "host.json"), 2) > 0
