"""PyTorch's peers compute the same as jaxgen before anything is timed; what can't be measured is told in one line."""

import importlib
import json
import sys
from functools import partial

import jax
import numpy as np
import pytest

from benchmarks.common import timing
from benchmarks.speed.pytorch import compare
from benchmarks.speed.pytorch.cases import NO_DROPOUT, PLAIN, PLAIN_VAEGAN, SLOPES, Case
from jaxgen import models

SHAPE = (16, 16, 3)
CASE = Case("dcgan", {**compare.CASES["dcgan32"].changes, "base_channels": 4, "batch_size": 6}, SHAPE, "gan")
HIDDEN = {"hidden_sizes": (16, 12), "batch_size": 6}
FAST = {"learning_rates.reconstruction": 3e-2}  # of what else hardly moves in three steps
FASTER = {f"learning_rates.{player}": 1e-2 for player in ("reconstruction", "critic", "encoder")}
MLPS = {
    "cond_aae": Case("cond_aae", {**HIDDEN, "critic_hidden_sizes": (8, 8)}, (6, 6, 1), "aae"),
    "cond_aae, another game": Case(
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
    "semi_aae": Case("semi_aae", {**HIDDEN, "critic_hidden_sizes": (8,)}, (6, 6, 1), "categorical_aae", SLOPES),
    "cluster_aae": Case("cluster_aae", {**HIDDEN, "critic_hidden_sizes": (8,)}, (6, 6, 1), "categorical_aae", SLOPES),
}
VAEGAN = {**PLAIN_VAEGAN, "batch_size": 6, "base_channels": 8, "dense_units": 16, "latent_size": 5, "critic_layers": ()}
VAEGAN["feature_layers"] = (("space_to_depth", 2), ("conv", 4, 3, 1, 1), ("leaky_relu", 0.2), ("conv", 8, 4, 2, 1))
CONVS = {
    "conv": CASE,
    "dense_units": Case("gan", {**PLAIN, "batch_size": 6}, (6, 6, 1), "gan"),
    "vaegan": Case("vaegan", VAEGAN, SHAPE, "vaegan"),
}


def built(case=CASE, **changes):
    return compare.built(case._replace(changes={**case.changes, **case.checked, **changes}))


def test_an_unknown_case_is_refused_in_one_line(capsys):
    assert compare.main(["--configs=dcgan33"]) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: case "dcgan33" is unknown (did you mean "dcgan32"?); choose from')
    assert len(error.splitlines()) == 1


def test_without_pytorch_one_line_says_how_to_get_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert compare.main([f"--out={tmp_path / 'rows.jsonl'}"]) == 2
    assert capsys.readouterr().err == "error: PyTorch is not installed; try: pip install 'jaxgen[torch]'\n"
    assert not (tmp_path / "rows.jsonl").exists()


def test_a_peer_draws_and_judges_as_ours_does():
    torch = pytest.importorskip("torch", reason="PyTorch is an optional extra, for benchmarks.speed.pytorch")
    from benchmarks.speed.pytorch import layer_stack

    model, _ = built()
    state = jax.jit(model.init)(jax.random.key(0))
    code = np.random.default_rng(0).normal(size=(6, model.latent_size)).astype(np.float32)
    image = compare.noise(SHAPE).image[:6] / np.float32(255)
    for name, inputs, seen in (("generator", code, code), ("critic", image, image.transpose(0, 3, 1, 2))):
        ours, _ = model.apply_network_train(
            name, state.params, state.stats, jax.numpy.asarray(inputs), rng=jax.random.key(0)
        )
        network = layer_stack.network(model.networks[name], jax.device_get(state.params[name]), seen.shape[1:])
        theirs = network(torch.from_numpy(seen.copy())).detach().numpy()
        theirs = theirs.transpose(0, 2, 3, 1) if theirs.ndim == 4 else theirs
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def uncompiled(case, monkeypatch):
    """The peer of a case without the forms that take a minute to compile."""
    peer = importlib.import_module(f"benchmarks.speed.pytorch.{case.peer}")
    monkeypatch.setattr(peer, "FORMS", tuple(form for form in peer.FORMS if not form.startswith("compile")))
    return peer


@pytest.mark.parametrize("name", CONVS)
def test_the_first_steps_agree_and_are_seen_to_differ_where_they_do(name, monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is an optional extra, for benchmarks.speed.pytorch")
    case = CONVS[name]
    (model, config), data = built(case), compare.noise(case.image_shape)
    peer = uncompiled(case, monkeypatch)
    compare.check(peer, model, config, data)
    other, _ = built(case, **{"learning_rates.critic": 1e-2})
    with pytest.raises(ValueError, match=r"the first steps differ: .* in jaxgen, .* in PyTorch, eager"):
        compare.check(peer, other, config, data)


@pytest.mark.parametrize("name", MLPS)
def test_the_first_steps_of_fully_connected_peers_agree(name, monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is an optional extra, for benchmarks.speed.pytorch")
    peer = uncompiled(MLPS[name], monkeypatch)
    (model, config), data = built(MLPS[name]), compare.noise(MLPS[name].image_shape)
    config.steps = 4  # so that a rate that does not fall as it should shows
    compare.check(peer, models.build_model(config, model.info), config, data, MLPS[name].rounding)
    wrong = config.copy_and_resolve_references()
    wrong.decay = "none"
    with pytest.raises(ValueError, match="the first steps differ"):
        compare.check(peer, models.build_model(config, model.info), wrong, data, MLPS[name].rounding)


@pytest.mark.parametrize("name", [*MLPS, *CONVS])
def test_a_peer_computes_on_one_device_wherever_it_is_placed(name, monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch is an optional extra, for benchmarks.speed.pytorch")
    adam = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda *its, fused, **options: adam(*its, **options))
    case = {**MLPS, **CONVS}[name]
    (model, config), data = built(case), compare.noise(case.image_shape)
    monkeypatch.setattr(compare, "torch_device", lambda: "meta")  # which computes shapes alone, and refuses any other
    peer, params = importlib.import_module(f"benchmarks.speed.pytorch.{case.peer}"), compare.first_params(model)
    step = compare.stepper(peer, model, params, config, data, "eager")
    index = torch.zeros(config.batch_size, dtype=torch.int64, device="meta")
    found = step(index, partial(torch.randn, device="meta"))
    assert {value.device.type for value in found.values()} == {"meta"}


def test_a_gpu_that_pytorch_does_not_see_is_refused_in_one_line(monkeypatch, capsys):
    torch = pytest.importorskip("torch", reason="PyTorch is an optional extra, for benchmarks.speed.pytorch")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert compare.main(["--configs=ae"]) == 2
    assert capsys.readouterr().err.startswith("error: jax computes on a gpu, where this PyTorch can't; install one")


def test_a_network_that_no_peer_has_is_refused():
    pytest.importorskip("torch", reason="PyTorch is an optional extra, for benchmarks.speed.pytorch")
    from benchmarks.speed.pytorch import aae

    model, config = built(MLPS["cond_aae"], label_modulates_decoder=True)
    with pytest.raises(ValueError, match="no PyTorch peer has layers that a label modulates"):
        compare.check(aae, model, config, compare.noise((6, 6, 1)))


def test_a_row_has_the_ratio_its_spread_and_what_it_rests_on(monkeypatch, capsys, tmp_path):
    pytest.importorskip("torch", reason="PyTorch is an optional extra, for benchmarks.speed.pytorch")
    monkeypatch.setitem(compare.CASES, "tiny", CASE)
    uncompiled(CASE, monkeypatch)
    out = tmp_path / "rows.jsonl"
    assert compare.main(["--configs=tiny", "--steps=1", "--repeats=2", f"--out={out}"]) == 0
    row = json.loads(out.read_text())
    assert 0 < row["ratio_min"] <= row["ratio"] <= row["ratio_max"]
    assert set(row["forms"]) == {"jaxgen", "eager", "eager, channels last"}
    assert {"torch", "jax", "commit"} <= set(row["versions"])
    assert "tiny" in capsys.readouterr().out


def test_a_turn_lasts_a_second_and_ten_steps_at_least(monkeypatch):
    for seconds, steps in ((0.5, 20), (0.01, 1000), (100.0, 10)):
        clock = iter((0.0, 9.0, 20.0, 20.0 + seconds))  # the first of the two also compiles
        monkeypatch.setattr(timing.time, "perf_counter", lambda clock=clock: next(clock))
        assert compare.in_a_second(lambda index: None, batch_size=4) == steps
