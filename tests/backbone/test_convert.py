# SPDX-License-Identifier: GPL-2.0-or-later
"""Pickled models become architecture and tensors, and come back as the same model."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error

import numpy as np
import pytest
import torch
from tiny_models import as_backbone, density_model, mh1_model, omol_model, plain_model, residual_model

from lmp_uq.backbone.graph import graph_of_frames
from lmp_uq.backbone.load import load_backbone
from lmp_uq.backbone.mace import convert as module
from lmp_uq.backbone.mace.architecture import INTERACTIONS, READOUTS, default_dtype, o3, pack_tensors, quiet, unpack_tensors
from lmp_uq.backbone.mace.convert import convert_mace, known_models
from lmp_uq.backbone.mace.describe import describe_mace
from lmp_uq.backbone.mace.names import NAMES
from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone
from lmp_uq.backbone.mace.torch_engine import MaceTorchBackbone
from lmp_uq.errors import UqError

SMALL = {"max_ell": 1, "correlation": 2, "num_interactions": 2}
VARIANTS = {
    "nonlinear": {
        "interaction_cls": INTERACTIONS["RealAgnosticResidualNonLinearInteractionBlock"],
        "interaction_cls_first": INTERACTIONS["RealAgnosticResidualNonLinearInteractionBlock"],
        "readout_cls": READOUTS["NonLinearBiasReadoutBlock"],
        "apply_cutoff": False,
        "edge_irreps": o3.Irreps("8x0e+8x1o"),
        "use_edge_irreps_first": True,
        "radial_type": "gaussian",
    },
    "attention": {
        "interaction_cls": INTERACTIONS["RealAgnosticAttResidualInteractionBlock"],
        "radial_type": "chebyshev",
        "distance_transform": "Soft",
        "use_last_readout_only": True,
    },
    "one layer": {
        "use_so3": True,
        "use_agnostic_product": True,
        "use_reduced_cg": True,
        "num_interactions": 1,
    },
}


def save(model, path):
    with quiet():
        torch.save(model, path)
    return path


def results(backbone):
    """Energies and edge gradients of a fixed random frame."""
    frame = module._random_frame(backbone)
    graph, _ = graph_of_frames([frame], backbone.elements, backbone.cutoff)
    evaluation = backbone.evaluate(graph)
    return evaluation.energies, backbone.pull(evaluation.state, np.ones(graph.n_local))


@pytest.fixture(scope="module")
def density():
    return describe_mace(density_model())


@pytest.fixture(scope="module")
def plain():
    return describe_mace(plain_model())


def test_file_becomes_the_same_model(tmp_path, plain, capfd):
    converted = convert_mace(save(plain_model(), tmp_path / "a.model"))
    architecture, tensors, elements, cutoff, precision = converted
    assert (elements, cutoff, precision) == (("H", "O"), 3.0, "float64")
    assert json.loads(json.dumps(architecture)) == architecture == plain[0]
    assert set(tensors) == set(plain[1])
    rebuilt = load_backbone(json.loads(json.dumps(architecture)), tensors, engine="torch")
    for found, wanted in zip(results(rebuilt), results(as_backbone(plain_model())), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_of_the_architecture(name):
    model = residual_model(3, **(SMALL | VARIANTS[name]))
    architecture, tensors = describe_mace(model)
    module._verify(model, architecture, tensors)


def test_heads_and_single_precision(tmp_path):
    changes = SMALL | {"heads": ["pbe", "r2scan"], "atomic_numbers": [8, 14]}
    path = save(residual_model(2, **changes).float(), tmp_path / "two.model")
    with pytest.raises(UqError, match="several heads; choose one of: pbe, r2scan"):
        convert_mace(path)
    with pytest.raises(UqError, match="no head 'scan'; it has: pbe, r2scan"):
        convert_mace(path, head="scan")
    first, second = (convert_mace(path, head=head) for head in ("pbe", "r2scan"))
    assert first.architecture["head"] == "pbe" and second.architecture["head"] == "r2scan"
    assert first.precision == second.precision == "float32"
    assert np.dtype("f8") not in {value.dtype for value in first.tensors.values()}
    one, two = (results(load_backbone(c.architecture, c.tensors, engine="torch")) for c in (first, second))
    assert np.abs(one[0] - two[0]).min() > 1e-3 and np.abs(one[1] - two[1]).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("scale_shift.scale", lambda value: 2 * value),
        ("atomic_energies_fn.atomic_energies", lambda value: -value),
        ("pair_repulsion_fn.a_prefactor", lambda value: 2 * value),
        ("radial_embedding.distance_transform.a", lambda value: 2 * value),
        ("interactions.1.density_fn.layer0.weight", lambda value: 2 * value),
    ],
)
def test_verification_sees_planted_errors_in_tensors(density, name, change):
    architecture, tensors = density
    with pytest.raises(UqError, match="not supported"):
        module._verify(density_model(), architecture, tensors | {name: change(tensors[name])})


@pytest.mark.parametrize(
    "change",
    [
        {"avg_num_neighbors": 2 * 7.3},
        {"activation_constants": {"silu": 1.0}},
    ],
)
def test_verification_sees_planted_errors_in_the_architecture(plain, change):
    architecture, tensors = plain
    with pytest.raises(UqError, match="differs from the original"):
        module._verify(plain_model(), architecture | change, tensors)


def test_packing_is_exact_and_compact(density):
    state = {name: value.numpy() for name, value in density_model().state_dict().items()}
    packed = pack_tensors(state)
    dense = unpack_tensors(packed)
    for name, value in dense.items():
        np.testing.assert_array_equal(value, state[name])
    left_out = {name for name, value in state.items() if value.size and name not in dense}
    assert all(name.endswith(("output_mask", "_zeroed")) for name in left_out)
    before = sum(value.nbytes for name, value in state.items() if "U_matrix" in name)
    after = sum(value.nbytes for name, value in packed.items() if "U_matrix" in name)
    assert after < 0.4 * before
    assert set(packed) == set(density[1])


def test_architecture_is_checked_by_name(plain):
    architecture, tensors = plain
    cases = [
        (architecture | {"bogus": 1}, "unknown key bogus"),
        ({k: v for k, v in architecture.items() if k != "r_max"}, "key r_max is missing"),
        (architecture | {"class": "AtomicDipolesMACE"}, "class is 'AtomicDipolesMACE'; accepted: MACE or"),
        (architecture | {"interaction": "os.system"}, "interaction is 'os.system'"),
        (architecture | {"interaction": ["a"]}, "interaction is"),
        (architecture | {"gate": "eval"}, "gate is 'eval'"),
        (architecture | {"r_max": float("nan")}, "r_max is nan"),
        (architecture | {"max_ell": True}, "max_ell is True"),
        (architecture | {"hidden_irreps": "8x0q"}, "hidden_irreps is '8x0q'"),
        (architecture | {"atomic_numbers": [1, 300]}, "atomic_numbers is"),
        (architecture | {"head": "other"}, "head is 'other'; accepted: Default"),
        (architecture | {"correlation": [2]}, "one number per interaction"),
        (architecture | {"activation_constants": {}}, "activation_constants lacks silu"),
        (architecture | {"hidden_irreps": "8x0e"}, "MACE"),
        (architecture | {"max_ell": 1}, "MACE"),
    ]
    for changed, message in cases:
        with pytest.raises(UqError, match=message):
            MaceTorchBackbone(changed, tensors, precision="float64")


def test_tensors_are_checked_by_name(plain):
    architecture, tensors = plain
    coupling = next(name for name in tensors if name.endswith("U_matrix_2.indices"))
    stem = coupling.removesuffix(".indices")
    weight = "node_embedding.linear.weight"
    cases = [
        (tensors | {"bogus": np.zeros(1)}, "bogus has no place"),
        (tensors | {weight: np.zeros(3)}, f"{weight} has shape"),
        ({k: v for k, v in tensors.items() if k != weight}, f"{weight} missing"),
        ({k: v for k, v in tensors.items() if not k.startswith(stem)}, "U_matrix"),
        ({k: v for k, v in tensors.items() if k != f"{stem}.values"}, f"{stem}.values is missing"),
        (tensors | {coupling: tensors[coupling] + 10**6}, "indices of"),
        (tensors | {coupling: tensors[coupling] - 10**6}, "indices of"),
        (tensors | {f"{stem}.shape": np.array([3])}, "indices of"),
        (tensors | {f"{stem}.shape": np.array([-9, 9, 1])}, "indices of"),
        (tensors | {f"{stem}.shape": np.array([9, 9, 9, 9])}, "MACE"),
    ]
    for changed, message in cases:
        with pytest.raises(UqError, match=message):
            MaceTorchBackbone(architecture, changed, precision="float64")


class AtomicDipolesMACE(torch.nn.Module):
    """Stands for a class that is no energy model."""


def test_foreign_models_are_refused(tmp_path):
    with pytest.raises(UqError, match="class AtomicDipolesMACE is not supported"):
        describe_mace(AtomicDipolesMACE())
    charged = plain_model()
    charged.les = torch.nn.Linear(1, 1)
    with pytest.raises(UqError, match="part that is not supported: les"):
        describe_mace(charged)
    odd = plain_model()
    odd.radial_embedding.cutoff_fn.p = torch.tensor(5.5)
    with pytest.raises(UqError, match="of order 5"):
        describe_mace(odd)
    mixed = plain_model()
    mixed.interactions[1].avg_num_neighbors = 3.0
    with pytest.raises(UqError, match="avg_num_neighbors"):
        describe_mace(mixed)


def test_files_that_are_no_models(tmp_path):
    text = tmp_path / "text.model"
    text.write_text("not a model")
    table = save({"model": 1, "optimizer": 2}, tmp_path / "checkpoint.pt")
    array = save(torch.zeros(2), tmp_path / "tensor.pt")
    for path, message in (
        (text, "torch cannot open it"),
        (table, "holds a table \\(keys model, optimizer"),
        (array, "class Tensor is not supported"),
        (tmp_path, "is not a file"),
        (tmp_path / "absent.model", "no such file, and not a model that mace-torch knows: small, medium"),
    ):
        with pytest.raises(UqError, match=message):
            convert_mace(path)


def test_names_are_those_of_mace_torch():
    assert tuple(known_models()) == NAMES


FIT = ["fit", "--data", "no.xyz", "--backbone"]


@pytest.mark.parametrize(
    ("verb", "name"), [(["convert"], "absent.model"), (["convert"], "absent"), (["convert"], "empty"), (FIT, "absent.model")]
)
def test_a_missing_file_is_said_before_the_imports(tmp_path, verb, name):
    (tmp_path / "empty").touch()
    lines = [
        "import sys; from lmp_uq.cli import main",
        f"code = main({[*verb, name, '--out', 'out.uq']!r})",
        "print(code, *({'torch', 'mace', 'e3nn'} & set(sys.modules)))",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "1\n" and done.stderr.startswith(f"lmp-uq: error: {name}: ") and done.stderr.count("\n") == 1


def as_numbers(model):
    for name, value in (("num_interactions", 2), ("r_max", 3.5), ("atomic_numbers", [8, 14]), ("heads", "Default")):
        delattr(model, name)
        setattr(model, name, value)


def without(model):
    for name in ("num_interactions", "r_max", "heads", "apply_cutoff", "use_so3", "edge_irreps", "use_last_readout_only"):
        delattr(model, name)


@pytest.mark.parametrize("change", [as_numbers, without])
def test_models_of_other_versions_are_the_same_model(tmp_path, change):
    model = density_model()
    change(model)
    found, wanted = convert_mace(save(model, tmp_path / "other.model")), describe_mace(density_model())
    assert found.architecture == wanted[0]
    for key, value in wanted[1].items():
        np.testing.assert_array_equal(found.tensors[key], value)


def as_mh1(model):
    """The file of MH-1: e3nn's gate, and no attribute that says of the first block what its edges fetch."""
    from e3nn import nn

    del model.use_edge_irreps_first
    for block in model.interactions:
        parts = (block.equivariant_nonlin.irreps_scalars, block.equivariant_nonlin.irreps_gates, block.equivariant_nonlin.irreps_gated)
        acts = ([torch.nn.functional.silu] * len(parts[0]), [torch.sigmoid] * len(parts[1]))
        with quiet(), default_dtype(torch.float64):
            block.equivariant_nonlin = nn.Gate(parts[0], acts[0], parts[1], acts[1], parts[2])


def test_a_file_like_that_of_mh1_is_the_same_model(tmp_path):
    model = mh1_model()
    as_mh1(model)
    found, wanted = convert_mace(save(model, tmp_path / "mh1.model"), head="high"), describe_mace(mh1_model(), head="high")
    assert found.architecture == wanted[0] and found.architecture["use_edge_irreps_first"]
    assert found.tensors.keys() == wanted[1].keys()


def test_a_gate_may_have_a_normalisation_of_its_own(tmp_path):
    model = omol_model()
    for block in model.interactions:
        block.equivariant_nonlin._scalar_cst *= 1.0 + 1e-7
    found = convert_mace(save(model, tmp_path / "rounded.model"))  # which compares the rebuilt model to 1e-9
    assert found.architecture["activation_constants"]["gate silu"] == model.interactions[0].equivariant_nonlin._scalar_cst
    backbones = [kind(found.architecture, found.tensors, precision="float64") for kind in (MaceTorchBackbone, MaceNativeBackbone)]
    (energies, gradients), (native, native_gradients) = map(results, backbones)
    np.testing.assert_allclose(native, energies, rtol=1e-10)
    np.testing.assert_allclose(native_gradients, gradients, atol=1e-8 * np.abs(gradients).max())


LOST = {
    "": "atomic_numbers", "radial_embedding": "out_dim", "radial_embedding.cutoff_fn": "p", "interactions.1": "avg_num_neighbors",
    "atomic_energies_fn": "atomic_energies", "products.0": "use_sc",
}  # fmt: skip


@pytest.mark.parametrize("part", LOST)
def test_what_cannot_be_told_of_another_version_is_one_sentence(tmp_path, part):
    model = plain_model()
    delattr(model.get_submodule(part), LOST[part])
    with pytest.raises(UqError, match=rf"other.model: (the model is not as|mace-torch itself cannot evaluate) .*{LOST[part]}") as caught:
        convert_mace(save(model, tmp_path / "other.model"))
    assert "\n" not in str(caught.value)


def test_without_network_the_error_gives_the_recipe(monkeypatch, tmp_path, capfd):
    import mace.calculators.foundations_models as foundations

    def no_network(*_arguments, **_keywords):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(foundations.urllib.request, "urlopen", no_network)
    for name in ("medium-mpa-0", "off-small"):
        with pytest.raises(UqError, match="could not be downloaded") as caught:
            convert_mace(name)
        assert known_models()[name] in str(caught.value) and "no route to host" in str(caught.value)
    assert capfd.readouterr().out == ""


def test_download_is_opened_and_licence_text_is_not_lost(monkeypatch, tmp_path, caplog):
    import mace.calculators.foundations_models as foundations

    def download(url):
        print("the model has a license")
        return str(save(plain_model(), tmp_path / "cached"))

    monkeypatch.setattr(foundations, "download_mace_mp_checkpoint", download)
    assert convert_mace("small").elements == ("H", "O")
    assert "the model has a license" in caplog.text


def test_default_dtype_does_not_matter(plain):
    with default_dtype(torch.float64):
        architecture, tensors = describe_mace(plain_model())
    assert architecture == plain[0]
    for name, value in tensors.items():
        np.testing.assert_array_equal(value, plain[1][name])
        assert value.dtype == plain[1][name].dtype


@pytest.mark.parametrize(("make", "head"), [(density_model, None), (plain_model, None), (mh1_model, "high")])
def test_a_model_of_some_elements_gives_the_same_numbers(tmp_path, make, head):
    model = make(atomic_numbers=[1, 8, 14])
    path = save(model, tmp_path / "three.model")
    whole, part = convert_mace(path, head=head), convert_mace(path, head=head, elements=["Si", "H"])
    assert part.elements == ("H", "Si")
    assert sum(array.nbytes for array in part.tensors.values()) < sum(array.nbytes for array in whole.tensors.values())
    backbones = [MaceTorchBackbone(one.architecture, one.tensors, precision="float64") for one in (whole, part)]
    frame = module._random_frame(backbones[1])
    graphs = [graph_of_frames([frame], backbone.elements, backbone.cutoff)[0] for backbone in backbones]
    found, expected = (backbone.evaluate(graph) for backbone, graph in zip(reversed(backbones), reversed(graphs), strict=True))
    np.testing.assert_allclose(found.energies, expected.energies, rtol=1e-11)
    np.testing.assert_allclose(found.descriptors, expected.descriptors, atol=1e-11 * np.abs(expected.descriptors).max())
    native = MaceNativeBackbone(part.architecture, part.tensors, precision="float64").evaluate(graphs[1])
    np.testing.assert_allclose(native.energies, expected.energies, rtol=1e-9)
    with pytest.raises(UqError, match=r"elements=\['Si', 'Xx'\]: Xx not in the model; accepted: H O Si"):
        convert_mace(path, head=head, elements=["Si", "Xx"])
