# SPDX-License-Identifier: GPL-2.0-or-later
"""Other models and systems than the usual ones: wide, deep, of one layer, in single precision; clusters, lone atoms, none at all."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_models
from conftest import evaluate
from lammps_cases import ENGINES, PLAIN, assert_equal, column_of, crystal, half_empty, with_engine

from lmp_uq import modelfile

ENERGIES = """
compute pe all pe/atom pair
compute va all stress/atom NULL virial
compute sums all reduce sum c_pe c_va[*]
thermo_style custom step pe pxx pyy pzz pxy pxz pyz c_sums[*]
thermo_modify format float %.17g
"""
SNAPSHOT = (ENERGIES, "run 0", "#snapshot end")
ARCHITECTURES = {
    # more columns than LAMMPS' communication carries at once
    "wide": (tiny_models.density_model, {"hidden_irreps": tiny_models.o3.Irreps("24x0e+24x1o")}, ("Si", "O")),
    "three layers of older blocks": (tiny_models.residual_model, {}, ("Te", "Ge")),
    "three nonlinear layers": (tiny_models.omol_model, {}, ("O", "H")),
    "one layer": (tiny_models.plain_model, {"num_interactions": 1}, ("O", "H")),
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def other_model(request, tmp_path_factory):
    """(model file without posterior, function of atoms as mace_reference, elements) of one architecture."""
    import torch
    from mace.calculators import MACECalculator

    from lmp_uq.backbone.mace.architecture import default_dtype
    from lmp_uq.recipes.convert import convert

    make, changes, elements = ARCHITECTURES[request.param]
    folder = tmp_path_factory.mktemp("other")
    model = make(**changes)
    torch.save(model, folder / "other.model")
    convert(str(folder / "other.model"), folder / "other.uq")
    calculator = MACECalculator(models=[model], device="cpu", default_dtype="float64")

    def reference(atoms):
        with default_dtype(torch.float64):
            return evaluate(atoms, calculator)

    return folder / "other.uq", reference, elements


def of_elements(atoms, elements):
    atoms.symbols = [{"Si": elements[0], "O": elements[1]}[symbol] for symbol in atoms.symbols]
    return atoms


@pytest.mark.parametrize("engine", ENGINES)
def test_other_architectures(engine, other_model, lammps):
    model, reference, elements = other_model
    atoms = of_elements(crystal((2, 1, 1), tilt=True), elements)
    pair = with_engine(engine).replace("Si O", " ".join(elements))
    found = lammps.state(atoms, *SNAPSHOT, n=2, model=model, pair=pair, elements=elements)
    energy, forces, stress = reference(atoms)
    assert_equal("energy", found["energy"] / len(atoms), energy / len(atoms), absolute=1e-9)
    assert_equal("forces", found["f"], forces, absolute=ENGINES[engine])
    expected = -stress[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    assert_equal("stress", found["pressure"] / found["nktv2p"], expected, absolute=1e-8)
    assert_equal("sum of atomic virials", -found["va"].sum(axis=0) / atoms.cell.volume / found["nktv2p"], expected, absolute=1e-8)


# ---- precision ------------------------------------------------------------------------------------------------------------------

ASK_FIELDS = ("compute uq all uq/atom energy_std energy_lower energy_upper force_error grade", "compute top all reduce max c_uq[*]",
              "thermo_style custom step pe pxx pyy pzz pxy pxz pyz c_top[*]", "run 0", "#snapshot end")  # fmt: skip


@pytest.mark.parametrize("n", [1, 2])
def test_single_precision_rounds_and_no_more(n, lammps):
    atoms = crystal((2, 1, 1))
    exact = lammps.state(atoms, *ASK_FIELDS)
    single = lammps.state(atoms, *ASK_FIELDS, n=n, pair=PLAIN.replace("mace/uq", "mace/uq precision float32 threads 1", 1))
    assert_equal("energy", single["energy"], exact["energy"], relative=1e-5)
    assert_equal("forces", single["f"], exact["f"], relative=1e-4)
    for k in range(5):
        assert_equal(f"field {k}", single["uq"][:, k], exact["uq"][:, k], relative=1e-3)
    assert single["energy"] != exact["energy"]


# ---- systems --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n", [1, 2])
def test_a_cluster_in_open_boundaries(n, engine, lammps, mace_reference):
    atoms = crystal()
    atoms.pbc = False
    atoms.positions += 3.0
    atoms.set_cell([12.0, 13.0, 14.0])
    found = lammps.state(atoms, *SNAPSHOT, n=n, before="boundary s f s", pair=with_engine(engine))
    lone = atoms.copy()
    lone.set_cell(np.diag([40.0, 40.0, 40.0]))
    energy, forces, _ = mace_reference(lone)
    assert_equal("energy", found["energy"] / len(atoms), energy / len(atoms), absolute=1e-9)
    assert_equal("forces", found["f"], forces, absolute=ENGINES[engine])


@pytest.mark.parametrize("n", [1, 2])
def test_lone_atoms(n, lammps, mace_reference):
    """Atoms without any neighbour: energies of the free atoms, no force, a finite bar."""
    atoms = half_empty()[:2]
    atoms.positions = [[1.0, 1.0, 1.0], [25.0, 1.0, 1.0]]
    atoms.set_cell(np.diag([40.0, 20.0, 20.0]))
    found = lammps.state(atoms, *ASK_FIELDS, n=n)
    assert_equal("energy", found["energy"], mace_reference(atoms)[0], absolute=1e-9)
    assert np.array_equal(found["f"], np.zeros((2, 3))) and np.isfinite(found["uq"]).all()


@pytest.mark.parametrize("n", [1, 2])
def test_no_atoms_at_all(n, lammps):
    more = ("compute tot all uq energy_std energy_lower grade_max grade_tag grade_mean", "thermo_style custom step pe c_tot[*]", "run 2")
    nobody = ("fix h all uq/halt 1 grade >= 0", "fix s all uq/select 1 grade -1 INF file s.extxyz")
    result = lammps.run(crystal(), "delete_atoms group all", *nobody, *more, n=n)
    assert not (result.folder / "s.extxyz").exists()
    table = result.thermo[0]
    assert table["PotEng"].tolist() == [0.0, 0.0]
    assert all(table[f"c_tot[{k}]"].tolist() == [0.0, 0.0] for k in range(1, 6))


# ---- elements without training atoms --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def silicon_only(models, tmp_path_factory):
    """The full model as if no oxygen had been in the training frames."""
    file = modelfile.read(models.full)
    radius = file.tensors["grade/radius"].copy()
    radius[file.header.elements.index("O")] = np.nan
    path = tmp_path_factory.mktemp("silicon") / "silicon.uq"
    modelfile.write(path, file.header, file.tensors | {"grade/radius": radius})
    return path


@pytest.mark.parametrize("n", [1, 2])
def test_an_unknown_element_is_infinitely_novel(n, lammps, silicon_only):
    import ase.io

    atoms = crystal()
    more = ("fix s all uq/select 1 grade 5 INF file s.extxyz", "fix h all uq/halt 1 force_error > 1e6", "timestep 1e-6", "fix nve all nve")
    result = lammps.run(atoms, *more, *ASK_FIELDS, "run 3", n=n, model=silicon_only)
    oxygen = atoms.symbols == "O"
    force_error, grade = result.snapshots["end"]["uq"].T[3:]
    assert np.isposinf(grade[oxygen]).all() and np.isfinite(grade[~oxygen]).all()
    assert np.isposinf(force_error).all(), "every atom of this cell has oxygen within two hops"
    assert "no training atoms of O in this file" in result.log
    assert "run stops at step 1: force_error = inf > 1e+06 (eV/Angstrom) on atom" in result.log
    frames = ase.io.read(result.folder / "s.extxyz", ":")
    assert len(frames) == 1 and np.isposinf(column_of(frames[0], "grade")[oxygen]).all()
