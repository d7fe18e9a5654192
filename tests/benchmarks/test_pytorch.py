"""benchmarks.speed.pytorch: the peers agree with jaxgen, and impossible measurements are refused in one line."""

import importlib
import json
import sys
from functools import partial

import jax
import numpy as np
import pytest

from benchmarks.common import timing
from benchmarks.speed.pytorch import compare
from benchmarks.speed.pytorch.cases import GRADIENT_TOLERANCE, NO_DROPOUT, PLAIN, PLAIN_VAEGAN, Case
from jaxgen import models

SHAPE = (16, 16, 3)
CASE = Case("dcgan", {**compare.CASES["dcgan32"].changes, "base_channels": 4, "batch_size": 6}, SHAPE, "gan")
HIDDEN = {"hidden_sizes": (16, 12), "batch_size": 6}
FAST = {"learning_rates.reconstruction": 3e-2}  # with the recipe's rate, three steps change almost nothing
FASTER = {f"learning_rates.{player}": 1e-2 for player in ("reconstruction", "critic", "adversarial")}
MLPS = {
    "cond_aae": Case("cond_aae", {**HIDDEN, "critic_hidden_sizes": (8, 8)}, (6, 6, 1), "aae"),
    "cond_aae, other adversarial loss": Case(
        "cond_aae",
        {
            **HIDDEN,
            "critic_hidden_sizes": (8,),
            "r1_r2_weight": 0.0,
            "adversarial_loss_trains_std": True,
            "encoder_negative_slope": 0.1,
        },
        (6, 6, 1),
        "aae",
    ),
    "tutorial": Case(
        "cond_aae:tutorial",
        {**HIDDEN, "critic_hidden_sizes": (8, 8), "lr_schedule": "cosine", **FASTER},
        (6, 6, 1),
        "tutorial_loop",
        checked=NO_DROPOUT,
    ),
    "ae": Case("ae", HIDDEN, (6, 6, 1), "autoencoder"),
    "denoising_ae": Case("denoising_ae", {**HIDDEN, "mask_ratio": 0.0}, (6, 6, 1), "autoencoder"),
    "vae": Case("vae", HIDDEN, (6, 6, 1), "autoencoder"),
    "aae": Case("aae", {**HIDDEN, "critic_hidden_sizes": (8,)}, (6, 6, 1), "aae"),
    "hash_ae": Case("hash_ae", {**HIDDEN, "mask_ratio": 0.0, **FAST}, (6, 6, 1), "autoencoder"),
    "conv_ae": Case("conv_ae", {"batch_size": 6, **FAST}, (12, 12, 1), "autoencoder"),
    "anime_vae": Case(
        "anime_vae", {**HIDDEN, "dropout_rate": 0.0, "learning_rates.elbo": 1e-2}, (6, 6, 1), "autoencoder"
    ),
    "colorizer": Case("colorizer", {**HIDDEN, "dropout_rate": 0.0}, (7, 7, 3), "colorizer"),
    "semi_aae": Case(
        "semi_aae", {**HIDDEN, "critic_hidden_sizes": (8,)}, (6, 6, 1), "categorical_aae", GRADIENT_TOLERANCE
    ),
    "cluster_aae": Case(
        "cluster_aae", {**HIDDEN, "critic_hidden_sizes": (8,)}, (6, 6, 1), "categorical_aae", GRADIENT_TOLERANCE
    ),
}
VAEGAN = {**PLAIN_VAEGAN, "batch_size": 6, "base_channels": 8, "dense_units": 16, "latent_size": 5, "critic_layers": ()}
VAEGAN["feature_layers"] = (("space_to_depth", 2), ("conv", 4, 3, 1, 1), ("leaky_relu", 0.2), ("conv", 8, 4, 2, 1))
CONVS = {
    "conv": CASE,
    "dense_units": Case("gan", {**PLAIN, "batch_size": 6}, (6, 6, 1), "gan"),
    "vaegan": Case("vaegan", VAEGAN, SHAPE, "vaegan"),
}


def build_model(case=CASE, **changes):
    return compare.build_model(case._replace(changes={**case.changes, **case.checked, **changes}))


def test_an_unknown_case_is_refused_in_one_line(capsys):
    assert compare.main(["--configs=dcgan33"]) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: case "dcgan33" is unknown (did you mean "dcgan32"?); choose from')
    assert len(error.splitlines()) == 1


def test_without_pytorch_one_line_explains_the_installation(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert compare.main([f"--out={tmp_path / 'rows.jsonl'}"]) == 2
    assert capsys.readouterr().err == "error: PyTorch is not installed; try: pip install 'jaxgen[torch]'\n"
    assert not (tmp_path / "rows.jsonl").exists()


def test_a_peers_generator_and_critic_equal_ours():
    torch = pytest.importorskip("torch", reason="PyTorch is an optional extra, for benchmarks.speed.pytorch")
    from benchmarks.speed.pytorch import layer_stack

    model, _ = build_model()
    state = jax.jit(model.init)(jax.random.key(0))
    code = np.random.default_rng(0).normal(size=(6, model.latent_size)).astype(np.float32)
    image = compare.make_noise(SHAPE).image[:6] / np.float32(255)
    for name, inputs, torch_inputs in (("generator", code, code), ("critic", image, image.transpose(0, 3, 1, 2))):
        ours, _ = model.apply_network_train(
            name, state.params, state.stats, jax.numpy.asarray(inputs), rng=jax.random.key(0)
        )
        network = layer_stack.build_network(
            model.networks[name], jax.device_get(state.params[name]), torch_inputs.shape[1:]
        )
        theirs = network(torch.from_numpy(torch_inputs.copy())).detach().numpy()
        theirs = theirs.transpose(0, 2, 3, 1) if theirs.ndim == 4 else theirs
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def load_uncompiled_peer(case, monkeypatch):
    """Returns the peer of a case, without the forms that take a minute to compile."""
    peer = importlib.import_module(f"benchmarks.speed.pytorch.{case.peer}")
    monkeypatch.setattr(peer, "FORMS", tuple(form for form in peer.FORMS if not form.startswith("compile")))
    return peer


@pytest.mark.parametrize("name", CONVS)
def test_the_first_steps_agree_and_a_difference_is_found(name, monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is an optional extra, for benchmarks.speed.pytorch")
    case = CONVS[name]
    (model, config), data = build_model(case), compare.make_noise(case.image_shape)
    peer = load_uncompiled_peer(case, monkeypatch)
    compare.check_agreement(peer, model, config, data)
    other, _ = build_model(case, **{"learning_rates.critic": 1e-2})
    with pytest.raises(ValueError, match=r"the first steps differ: .* in jaxgen, .* in PyTorch, eager"):
        compare.check_agreement(peer, other, config, data)


@pytest.mark.parametrize("name", MLPS)
def test_the_first_steps_of_fully_connected_peers_agree(name, monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is an optional extra, for benchmarks.speed.pytorch")
    peer = load_uncompiled_peer(MLPS[name], monkeypatch)
    (model, config), data = build_model(MLPS[name]), compare.make_noise(MLPS[name].image_shape)
    config.steps = 4  # short, so that a wrong schedule changes the metrics
    compare.check_agreement(peer, models.build_model(config, model.info), config, data, MLPS[name].tolerance)
    wrong = config.copy_and_resolve_references()
    wrong.lr_schedule = "constant"
    with pytest.raises(ValueError, match="the first steps differ"):
        compare.check_agreement(peer, models.build_model(config, model.info), wrong, data, MLPS[name].tolerance)


@pytest.mark.parametrize("name", [*MLPS, *CONVS])
def test_all_tensors_of_a_peer_are_on_one_device(name, monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch is an optional extra, for benchmarks.speed.pytorch")
    adam = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda *arguments, fused, **options: adam(*arguments, **options))
    case = {**MLPS, **CONVS}[name]
    (model, config), data = build_model(case), compare.make_noise(case.image_shape)
    monkeypatch.setattr(
        compare, "torch_device", lambda: "meta"
    )  # computes only shapes, and raises for tensors elsewhere
    peer, params = importlib.import_module(f"benchmarks.speed.pytorch.{case.peer}"), compare.initial_params(model)
    step = compare.make_peer_step(peer, model, params, config, data, "eager")
    index = torch.zeros(config.batch_size, dtype=torch.int64, device="meta")
    metrics = step(index, partial(torch.randn, device="meta"))
    assert {value.device.type for value in metrics.values()} == {"meta"}


def test_a_gpu_that_pytorch_cannot_use_is_refused_in_one_line(monkeypatch, capsys):
    torch = pytest.importorskip("torch", reason="PyTorch is an optional extra, for benchmarks.speed.pytorch")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert compare.main(["--configs=ae"]) == 2
    assert capsys.readouterr().err.startswith("error: jax computes on a gpu, where this PyTorch can't; install one")


def test_a_network_without_a_peer_is_refused():
    pytest.importorskip("torch", reason="PyTorch is an optional extra, for benchmarks.speed.pytorch")
    from benchmarks.speed.pytorch import aae

    model, config = build_model(MLPS["cond_aae"], decoder_film=True)
    with pytest.raises(ValueError, match="no PyTorch peer has FiLM layers"):
        compare.check_agreement(aae, model, config, compare.make_noise((6, 6, 1)))


def test_a_row_has_the_ratio_its_spread_and_its_provenance(monkeypatch, capsys, tmp_path):
    pytest.importorskip("torch", reason="PyTorch is an optional extra, for benchmarks.speed.pytorch")
    monkeypatch.setitem(compare.CASES, "tiny", CASE)
    load_uncompiled_peer(CASE, monkeypatch)
    out = tmp_path / "rows.jsonl"
    assert compare.main(["--configs=tiny", "--steps=1", "--repeats=2", f"--out={out}"]) == 0
    row = json.loads(out.read_text())
    assert 0 < row["ratio_min"] <= row["ratio"] <= row["ratio_max"]
    assert set(row["forms"]) == {"jaxgen", "eager", "eager, channels last"}
    assert {"torch", "jax", "commit"} <= set(row["versions"])
    assert "tiny" in capsys.readouterr().out


def test_a_round_lasts_a_second_and_at_least_ten_steps(monkeypatch):
    for seconds, steps in ((0.5, 20), (0.01, 1000), (100.0, 10)):
        clock = iter((0.0, 9.0, 20.0, 20.0 + seconds))  # the first of the two calls also compiles
        monkeypatch.setattr(timing.time, "perf_counter", lambda clock=clock: next(clock))
        assert compare.steps_per_second(lambda index: None, batch_size=4) == steps
