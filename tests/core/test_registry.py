"""The registry of models."""

import dataclasses
import re

import pytest

from ccip_plugin.core import registry
from ccip_plugin.core.errors import CCIPError, UnknownModelError

PUBLISHED = [spec for spec in registry.MODELS.values() if not spec.is_stand_in]

# name: (f1, precision, recall, threshold, cluster_2, cluster_free) as the model card rounds them
MODEL_CARD = {
    "ccip-caformer_b36-24": (0.940925, 0.938254, 0.943612, 0.213231, 0.89508, 0.957017),
    "ccip-caformer-24-randaug-pruned": (0.917211, 0.933481, 0.901499, 0.178475, 0.890366, 0.922375),
    "ccip-v2-caformer_s36-10": (0.906422, 0.932779, 0.881513, 0.207757, 0.874592, 0.89241),
    "ccip-caformer-6-randaug-pruned_fp32": (0.878403, 0.893648, 0.863669, 0.195122, 0.810176, 0.897904),
    "ccip-caformer-5_fp32": (0.864363, 0.90155, 0.830121, 0.183973, 0.792051, 0.862289),
    "ccip-caformer-4_fp32": (0.844967, 0.870553, 0.820842, 0.18367, 0.795565, 0.868133),
    "ccip-caformer_query-12": (0.823928, 0.871122, 0.781585, 0.141308, 0.787237, 0.809426),
    "ccip-caformer-23_randaug_fp32": (0.81625, 0.854134, 0.781585, 0.136797, 0.745697, 0.8068),
    "ccip-caformer-2-randaug-pruned_fp32": (0.78561, 0.800148, 0.771592, 0.171053, 0.686617, 0.728195),
    "ccip-caformer-2_fp32": (0.755125, 0.790172, 0.723055, 0.141275, 0.64977, 0.718516),
}


def test_has_the_ten_published_models_and_the_stand_in():
    assert {spec.name for spec in PUBLISHED} == set(MODEL_CARD)
    assert [name for name, spec in registry.MODELS.items() if spec.is_stand_in] == [registry.DEMO_MODEL]
    assert all(name == spec.name for name, spec in registry.MODELS.items())


@pytest.mark.parametrize("name", MODEL_CARD)
def test_numbers_agree_with_the_model_card(name):
    spec = registry.get_spec(name)
    numbers = (spec.f1, spec.precision, spec.recall, spec.threshold, spec.cluster_2, spec.cluster_free)
    assert numbers == pytest.approx(MODEL_CARD[name], abs=5.1e-7)


def test_thresholds_and_presets_have_full_precision():
    spec = registry.get_spec("ccip-caformer-24-randaug-pruned")
    assert spec.threshold == 0.17847511429108218
    assert spec.presets == {
        "dbscan_2": (0.12921094122454668, 2),
        "dbscan_free": (0.1291187648928262, 2),
        "optics": (0.1836453739562513, 5),
    }
    assert registry.get_spec("ccip-caformer_b36-24").threshold == 0.21323118981474148


def test_models_without_published_presets_have_none():
    without = {spec.name for spec in PUBLISHED if not spec.presets}
    assert without == {"ccip-caformer-4_fp32", "ccip-caformer-2-randaug-pruned_fp32", "ccip-caformer-2_fp32"}


@pytest.mark.parametrize("spec", PUBLISHED, ids=lambda spec: spec.name)
def test_published_models_are_pinned_and_complete(spec):
    assert re.fullmatch("[0-9a-f]{40}", spec.revision)
    assert (spec.input_size, spec.dim, spec.license) == (384, 768, "openrail")
    assert 100 < spec.size_mb < 500
    assert spec.backbone


def test_the_default_model_is_published():
    assert registry.get_spec(registry.DEFAULT_MODEL) in PUBLISHED


def test_the_stand_in_has_no_published_scores():
    spec = registry.get_spec("ccip-demo")
    assert (spec.f1, spec.precision, spec.recall, spec.cluster_2, spec.cluster_free) == (None,) * 5
    assert spec.revision == registry.BUNDLED
    assert 0 < spec.threshold < 0.5


@pytest.mark.parametrize(
    "name, close",
    [
        pytest.param("ccip-caformer-24", ("ccip-caformer-24-randaug-pruned",), id="beginning of a name"),
        pytest.param("CCIP-Demo", ("ccip-demo",), id="capitals"),
        pytest.param("ccip-cafromer-5_fp32", ("ccip-caformer-5_fp32",), id="letters swapped"),
        pytest.param("クリップ 🎀", (), id="nothing like it"),
        pytest.param("", (), id="empty"),
    ],
)
def test_unknown_names_are_refused_with_what_is_close(name, close):
    with pytest.raises(UnknownModelError) as caught:
        registry.get_spec(name)
    assert caught.value.close[: len(close)] == close
    assert bool(caught.value.close) == bool(close)
    assert isinstance(caught.value, CCIPError | ValueError)
    message = str(caught.value)
    assert all(known in message for known in registry.MODELS)
    assert ("did you mean" in message) == bool(close)


def test_records_can_be_copied_and_hashed():
    spec = registry.get_spec(registry.DEFAULT_MODEL)
    assert dataclasses.asdict(spec)["presets"] == spec.presets
    assert len(set(registry.MODELS.values())) == len(registry.MODELS)
