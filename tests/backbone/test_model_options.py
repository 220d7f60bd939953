# SPDX-License-Identifier: GPL-2.0-or-later
"""What users change in a MACE model: adapters, radial functions, heads; and the kinds of models that are refused by name."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
import torch
from backbone_checks import evaluated, forces_of, make_frame, reference
from tiny_models import density_model, odd_scalars_model, plain_model, residual_model

from lmp_uq.backbone.load import load_backbone
from lmp_uq.backbone.mace.architecture import default_dtype, o3, quiet
from lmp_uq.backbone.mace.convert import convert_mace
from lmp_uq.backbone.mace.describe import describe_mace
from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone
from lmp_uq.backbone.mace.torch_engine import MaceTorchBackbone
from lmp_uq.errors import UqError
from lmp_uq.modelfile.source import open_backbone


def save(model, path):
    with quiet():
        torch.save(model, path)
    return path


def with_adapters(model, seed=0):
    """Low-rank adapters of every kind of layer that mace-torch gives them, all with weights of their own."""
    from mace.modules.lora import inject_LoRAs

    with quiet(), torch.random.fork_rng(devices=[]), default_dtype(torch.float64):
        torch.manual_seed(seed)
        model = inject_LoRAs(model, rank=2, alpha=3)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data.normal_(std=0.3)
    return model


@pytest.mark.parametrize("build", [density_model, residual_model])
def test_adapters_are_merged(tmp_path, build):
    model = with_adapters(build())
    kinds = {type(module).__name__ for module in model.modules() if type(module).__name__.startswith("LoRA")}
    assert kinds == {"LoRAO3Linear", "LoRAFCLayer"}
    converted = convert_mace(save(model, tmp_path / "adapted.model"))
    native = MaceNativeBackbone(converted.architecture, converted.tensors, precision="float64")
    frame = make_frame("triclinic", native.elements)
    energy, forces, _ = reference(model, frame)
    graph, evaluation, gradients = evaluated(native, frame)
    assert abs(energy - evaluation.energies.sum()) < 1e-9 * len(frame)
    assert np.abs(forces - forces_of(graph, gradients)).max() < 1e-7
    without = reference(build(), frame)
    assert abs(energy - without[0]) > 1e-3 and np.abs(forces - without[1]).max() > 1e-2
    # the model itself keeps its adapters
    assert any(type(module).__name__.startswith("LoRA") for module in model.modules())


def test_an_adapter_that_is_merged_wrongly_is_seen(tmp_path, monkeypatch):
    from mace.modules.lora import LoRAFCLayer

    path = save(with_adapters(plain_model()), tmp_path / "adapted.model")
    right = LoRAFCLayer.compute_delta
    monkeypatch.setattr(LoRAFCLayer, "merge_into_base", lambda layer: layer.base)
    with pytest.raises(UqError, match="the rebuilt model differs from the original"):
        convert_mace(path)
    assert LoRAFCLayer.compute_delta is right


def test_adapters_of_others_are_refused():
    class LoraLayer(torch.nn.Linear):
        """Stands for an adapter that mace-torch does not know."""

    model = plain_model()
    model.interactions[0].extra = LoraLayer(1, 1)
    with pytest.raises(UqError, match=r"adapters of class LoraLayer are not supported; accepted: those of mace\.modules\.lora"):
        describe_mace(model)


@pytest.mark.parametrize(
    ("name", "feature"),
    [
        ("MACELES", "electrostatics"),
        ("PolarMACE", "electrostatics and electric fields"),
        ("MACEField", "electric fields"),
        ("AtomicDipolesMACE", "dipoles"),
        ("EnergyDipolesMACE", "dipoles"),
        ("AtomicDielectricMACE", "dipoles and polarisabilities"),
    ],
)
def test_other_kinds_of_models_are_refused_by_name(tmp_path, name, feature):
    model = plain_model()
    type(model)
    model.__class__ = type(name, (type(model),), {})
    with pytest.raises(UqError, match=f"model class {name} is not supported: it (adds|gives) {feature}; accepted: MACE, ScaleShiftMACE"):
        describe_mace(model)


def features(model, frame):
    """(irrep, largest feature) of each layer, as mace-torch computes them."""
    found = []

    def keep(product, _inputs, output):
        irreps = o3.Irreps(str(product.linear.irreps_out))
        found.append({str(one.ir): float(output[:, s].abs().max()) for s, one in zip(irreps.slices(), irreps, strict=True)})

    hooks = [product.register_forward_hook(keep) for product in model.products]
    reference(model, frame)
    for hook in hooks:
        hook.remove()
    return found


# couplings of 32 components of both parities, degree 3, take mace-torch 9 GB
@pytest.mark.parametrize(
    "changes", [pytest.param({"max_ell": 3}, marks=pytest.mark.long), {}, {"num_interactions": 3, "correlation": [2, 3, 2]}], ids=str
)
def test_odd_scalars_are_zero_and_left_out(tmp_path, changes):
    model = odd_scalars_model(**changes)
    converted = convert_mace(save(model, tmp_path / "odd.model"))
    assert converted.architecture["hidden_irreps"] == "4x0e"
    native = MaceNativeBackbone(converted.architecture, converted.tensors, precision="float64")
    frame = make_frame("triclinic", native.elements)
    for layer in features(model, frame):
        assert layer["0e"] > 1e-2 and layer.get("0o", 0.0) < 1e-14
    energy, forces, _ = reference(model, frame)
    graph, evaluation, gradients = evaluated(native, frame)
    assert abs(energy - evaluation.energies.sum()) < 1e-9 * len(frame)
    assert np.abs(forces - forces_of(graph, gradients)).max() < 1e-7
    descriptors = evaluated(MaceTorchBackbone(converted.architecture, converted.tensors, precision="float64"), frame)[1].descriptors
    np.testing.assert_allclose(evaluation.descriptors, descriptors, atol=1e-9)


def test_odd_scalars_beside_vectors_are_not_zero(tmp_path):
    """Then layer 1 has pseudo-vectors, which reach the energy: torch runs the model, the native engine refuses it by name."""
    model = odd_scalars_model(hidden_irreps=o3.Irreps("4x0e+4x0o+4x1o"), max_ell=2, num_interactions=3, correlation=[2, 3, 2])
    first, second, last = features(model, make_frame("triclinic", ("O", "Si")))
    assert first["0o"] < 1e-14 and second["0o"] > 1e-6 and "0o" not in last
    converted = convert_mace(save(model, tmp_path / "odd.model"))
    assert converted.architecture["hidden_irreps"] == "4x0e+4x0o+4x1o"
    assert load_backbone(converted.architecture, converted.tensors).engine == "torch"
    refusal = r"native engine: hidden_irreps is '4x0e\+4x0o\+4x1o'; accepted: irreps like .* parities e, o, e; engine torch runs it$"
    with pytest.raises(UqError, match=refusal):
        load_backbone(converted.architecture, converted.tensors, engine="native")


@pytest.mark.parametrize("hidden", ["4x0e+4x2e", "3x0e+3x1o+3x2e+3x3o", "4x1o+4x0e"])
def test_other_hidden_features_run_with_torch(hidden, caplog):
    architecture, tensors = describe_mace(plain_model(hidden_irreps=o3.Irreps(hidden), max_ell=3))
    with pytest.raises(UqError, match=r"native engine: hidden_irreps is .*; engine torch runs it$"):
        load_backbone(architecture, tensors, engine="native")
    backbone = load_backbone(architecture, tensors, engine="auto")
    assert backbone.engine == "torch" and "torch is used" in caplog.text
    assert np.isfinite(evaluated(backbone, make_frame("triclinic", backbone.elements))[1].energies).all()


def test_unequal_hidden_features_are_nothing_that_mace_torch_runs(tmp_path):
    """Its products have as many channels of each irrep as of 0e, and its linear map behind them expects the numbers that were asked for."""
    model = density_model(hidden_irreps=o3.Irreps("8x0e+4x1o"), max_ell=1)
    with pytest.raises(RuntimeError, match="invalid for input"):
        reference(model, make_frame("triclinic", ("O", "Si")))
    refusal = r"hidden features 8x0e\+4x1o: mace-torch makes such a model and cannot evaluate it; accepted: equally many"
    with pytest.raises(UqError, match=refusal):
        convert_mace(save(model, tmp_path / "unequal.model"))


def test_a_last_layer_of_more_than_scalars_is_refused_by_name(tmp_path):
    model = density_model(keep_last_layer_irreps=True, max_ell=1)
    reference(model, make_frame("triclinic", ("O", "Si")))  # mace-torch runs it
    refusal = r"the last layer gives 8x0e\+8x1o \(keep_last_layer_irreps\), which is not supported; accepted: 8x0e"
    with pytest.raises(UqError, match=refusal):
        convert_mace(save(model, tmp_path / "kept.model"))


def test_a_coupling_that_does_not_cancel_is_kept():
    stored = io.BytesIO()
    save(odd_scalars_model(), stored)
    stored.seek(0)
    with quiet():
        model = torch.load(stored, weights_only=False)
    assert describe_mace(model)[0]["hidden_irreps"] == "4x0e"
    model.products[0].symmetric_contractions.contractions[1].U_matrix_3[1, 2, 3, 0] += 0.1
    assert describe_mace(model)[0]["hidden_irreps"] == "4x0e+4x0o"


def test_one_layer_without_its_readout_has_nothing_to_give(tmp_path):
    """mace-torch builds it, and its energy is that of the isolated atoms."""
    model = plain_model(num_interactions=1, use_last_readout_only=True)
    with pytest.raises(UqError, match="this MACE has no readout"):
        convert_mace(save(model, tmp_path / "silent.model"))
    architecture, tensors = describe_mace(plain_model(num_interactions=1))
    with pytest.raises(UqError, match="use_last_readout_only is true with one interaction, which leaves no readout; accepted: false"):
        MaceNativeBackbone(architecture | {"use_last_readout_only": True}, tensors, precision="float64")


@pytest.mark.parametrize("transform", ["None", "Soft"])
def test_gaussians_of_a_float32_model(tmp_path, transform):
    """Their width is a number that only the module has, made of the cutoff before that was rounded."""
    changes = {"r_max": 3.7, "radial_type": "gaussian", "num_bessel": 24, "distance_transform": transform}
    model = density_model(**changes).float()
    converted = convert_mace(save(model, tmp_path / "gaussian.model"))
    assert (converted.precision, converted.cutoff) == ("float32", 3.7)
    native = MaceNativeBackbone(converted.architecture, converted.tensors, precision="float64")
    frame = make_frame("triclinic", native.elements)
    energy, forces, _ = reference(model.double(), frame)
    graph, evaluation, gradients = evaluated(native, frame)
    assert abs(energy - evaluation.energies.sum()) < 1e-6 * len(frame)
    assert np.abs(forces - forces_of(graph, gradients)).max() < 1e-6


def test_a_head_that_a_file_lacks_is_named():
    assert open_backbone("nbmotaw", "Default").entry.architecture["head"] == "Default"
    with pytest.raises(UqError, match="--head pbe: nbmotaw holds Default; several heads are in models of mace-torch only"):
        open_backbone("nbmotaw", "pbe")


def test_heads_and_charges_that_a_model_lacks(tmp_path):
    with pytest.raises(UqError, match="the model has no head 'pbe'; it has: low, high"):
        describe_mace(density_model(heads=["low", "high"]), head="pbe")
    with pytest.raises(UqError, match=r"nbmotaw: charge, spin and elements of a \*\.uq file are fixed; these options are for"):
        open_backbone("nbmotaw", charge=1.0)


def chebyshev(transform):
    """Few of them of distances themselves, where they grow without bound."""
    return density_model(radial_type="chebyshev", num_bessel=3 if transform == "None" else 8, distance_transform=transform)


@pytest.mark.parametrize("transform", ["None", "Agnesi"])
def test_forces_of_a_chebyshev_basis_are_the_slope_of_mace_torchs_energy(tmp_path, caplog, transform):
    model = chebyshev(transform)
    with caplog.at_level(logging.WARNING):
        converted = convert_mace(save(model, tmp_path / "chebyshev.model"))
    assert "lack the derivative of the radial functions" in caplog.text
    native = MaceNativeBackbone(converted.architecture, converted.tensors, precision="float64", table_tolerance=0.0)
    frame = make_frame("cluster", native.elements)
    graph, evaluation, gradients = evaluated(native, frame)
    forces = forces_of(graph, gradients)

    def energy(atom, axis, step):
        moved = frame.copy()
        moved.positions[atom, axis] += step
        return reference(model, moved)[0]

    total = evaluation.energies.sum()
    assert abs(energy(0, 0, 0.0) - total) < 1e-12 * abs(total) + 1e-9
    h = 1e-4
    for atom, axis in ((0, 0), (3, 2)):
        slope = (8 * (energy(atom, axis, h) - energy(atom, axis, -h)) - (energy(atom, axis, 2 * h) - energy(atom, axis, -2 * h))) / (12 * h)
        assert abs(slope + forces[atom, axis]) < 1e-7 * np.abs(forces).max()
    # what mace-torch itself gives is something else
    assert np.abs(reference(model, frame)[1] - forces).max() > 1e-2 * np.abs(forces).max()
