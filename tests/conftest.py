# SPDX-License-Identifier: GPL-2.0-or-later
"""Model files and LAMMPS processes that the tests share; everything is made when first asked for, once per session."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
import pytest

# `python -m pytest` puts the folder of the sources before the installed package, which has the compiled parts
ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [folder for folder in sys.path if Path(folder or ".").resolve() != ROOT]

from emulated_device import library  # noqa: E402
from lammps_cases import crystal  # noqa: E402
from lammps_processes import Lammps  # noqa: E402
from model_example import HEADER, make_header, make_tensors  # noqa: E402

from lmp_uq import modelfile  # noqa: E402


@dataclass(frozen=True)
class Models:
    """One tiny random MACE model as mace (mace-torch file), bare (*.uq without posterior) and full (*.uq with everything)."""

    mace: Path
    bare: Path
    full: Path


def evaluate(atoms, calculator) -> tuple[float, np.ndarray, np.ndarray]:
    """Energy (eV), forces (n, 3) and stress (3, 3) of any ASE calculator."""
    atoms = atoms.copy()
    atoms.calc = calculator
    return atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)


def labelled_frames(reference, group: str, rattles: np.ndarray, seed: int) -> list:
    """Crystals whose labels are the model plus a soft pair repulsion, which is the error that the fit has to see."""
    from ase.calculators.morse import MorsePotential

    correction = MorsePotential(epsilon=0.02, r0=2.3, rho0=4.0, rcut1=2.8, rcut2=3.4)
    frames = []
    for k, rattle in enumerate(rattles):
        atoms = crystal((1, 1, 1 + k % 2), tilt=k % 3 == 0, rattle=rattle, seed=1000 * seed + k)
        parts = zip(reference(atoms), evaluate(atoms, correction), strict=True)
        energy, forces, stress = (a + b for a, b in parts)
        atoms.info |= {"REF_energy": energy, "REF_stress": stress.ravel(), "config_type": group}
        atoms.arrays["REF_forces"] = forces
        frames.append(atoms)
    return frames


def pytest_collection_modifyitems(items):
    """For several processes: the files whose tests keep ranks of LAMMPS are one group, each other file is one; the large group first.

    Two groups of ranks at once would be eight processes that wait for one another on two cores.
    """
    ranks = {item.path for item in items if "lammps" in item.fixturenames}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("ranks" if item.path in ranks else item.path.stem))
    items.sort(key=lambda item: item.path not in ranks)


@pytest.fixture(scope="session")
def mace_file(tmp_path_factory) -> Path:
    """A tiny Si-O model with random weights, as mace-torch stores it."""
    import torch
    from tiny_models import density_model

    path = tmp_path_factory.mktemp("mace") / "tiny.model"
    torch.save(density_model(), path)
    return path


@pytest.fixture(scope="session")
def mace_reference(mace_file):
    """Function of atoms: energy, forces and stress from mace-torch's own calculator on the weights of `models`."""
    import torch
    from mace.calculators import MACECalculator

    from lmp_uq.backbone.mace.architecture import default_dtype

    calculator = MACECalculator(model_paths=str(mace_file), device="cpu", default_dtype="float64")

    def reference(atoms):
        with default_dtype(torch.float64):  # mace-torch rounds constants of the pair repulsion to torch's default
            return evaluate(atoms, calculator)

    return reference


@pytest.fixture(scope="session")
def models(tmp_path_factory, mace_file, mace_reference) -> Models:
    """Files made by the package's own convert and fit."""
    from lmp_uq.recipes.convert import convert
    from lmp_uq.recipes.fit import FitOptions, fit

    folder = tmp_path_factory.mktemp("models")
    out = Models(mace_file, folder / "bare.uq", folder / "full.uq")
    convert(str(out.mace), out.bare)
    train, cold, hot = (folder / f"{name}.xyz" for name in ("train", "cold", "hot"))
    ase.io.write(train, labelled_frames(mace_reference, "train", np.linspace(0.02, 0.15, 40), 1))
    ase.io.write(cold, labelled_frames(mace_reference, "cold", np.full(8, 0.06), 2))
    ase.io.write(hot, labelled_frames(mace_reference, "hot", np.full(12, 0.2), 3))
    options = FitOptions(str(out.bare), (str(train),), str(out.full), calibration=(str(cold), str(hot)), n_members=64, progress=False)
    fit(options, "made by the tests")
    return out


@pytest.fixture(scope="session")
def lammps(tmp_path_factory, models):
    """LAMMPS processes that stay for the session (`lammps_processes.Lammps`)."""
    processes = Lammps(tmp_path_factory.mktemp("lammps"), models)
    yield processes
    processes.stop()


@pytest.fixture(scope="session")
def emulated_library() -> str:
    """Path of the library of device kernels, compiled through the emulation; for LMP_UQ_CUDA_LIBRARY."""
    return library()


@pytest.fixture(scope="session")
def average_potential(tmp_path_factory):
    """A small linear potential with a crystal to run (`averages_example.Potential`)."""
    from averages_example import Potential

    return Potential(tmp_path_factory.mktemp("averages"))


@pytest.fixture(scope="session")
def property_model(tmp_path_factory) -> Path:
    """A small linear potential with a posterior (`properties_example.make_model`)."""
    from properties_example import make_model

    return make_model(tmp_path_factory.mktemp("properties"))


@pytest.fixture(scope="session")
def potential(property_model):
    """That model file, opened for properties."""
    from lmp_uq.properties.potential.linear import LinearPotential

    return LinearPotential.read(str(property_model))


@pytest.fixture
def header() -> dict:
    """Header of a small made-up model file."""
    return make_header()


@pytest.fixture
def tensors() -> dict[str, np.ndarray]:
    """Tensors that go with `header`."""
    return make_tensors()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The made-up model file on disk."""
    path = tmp_path / "model.uq"
    modelfile.write(path, HEADER, make_tensors())
    return path
