# SPDX-License-Identifier: GPL-2.0-or-later
"""Small SNAP potentials and frames whose labels no SNAP potential can match: a Morse solid with a third neighbour shell."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
from ase.build import bulk
from ase.calculators.morse import MorsePotential
from model_example import make_header

from lmp_uq.backbone.linear.snap import SnapBackbone
from lmp_uq.backbone.linear.snap_settings import read_settings

ZBL = ("zbl 2.0 2.4",)
TWO = ("W:0.5:1.0", "Be:0.42:0.96")


def parameter_file(folder: Path, twojmax: int = 2, **changes) -> Path:
    """A *.snapparam file; bzeroflag is 0, which is not what LAMMPS assumes."""
    given = {"rcutfac": 4.6, "twojmax": twojmax, "bzeroflag": 0} | changes
    path = folder / f"{'-'.join(f'{k}{v}' for k, v in given.items())}.snapparam"
    path.write_text("# made for a test\n\n" + "".join(f"{k} {v}\n" for k, v in given.items()))
    return path


def backbone_of(settings, seed: int = 0) -> SnapBackbone:
    """A potential with random Theta."""
    n = len(settings.elements) * (settings.n_per_element + 1)
    return SnapBackbone(settings.header(), {"coefficients": 0.01 * np.random.default_rng(seed).normal(size=n)}, settings.elements)


def crystal(seed: int, size=(1, 1, 2), elements=("W",), rattle: float = 0.1, strain: float = 0.03):
    """A strained, rattled bcc crystal whose elements are dealt out in turn."""
    generator = np.random.default_rng(seed)
    atoms = bulk("W", "bcc", a=3.2, cubic=True) * size
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain * generator.normal(size=(3, 3))), scale_atoms=True)
    atoms.positions += rattle * generator.normal(size=atoms.positions.shape)
    atoms.symbols[:] = [elements[k % len(elements)] for k in range(len(atoms))]
    return atoms


def labelled(group: str, n: int, seed: int, elements=("W",), **options) -> list:
    """Frames with energies, forces and stress of a Morse potential that does not know the elements."""
    frames = []
    for k in range(n):
        frames.append(label(crystal(1000 * seed + k, elements=elements, **options), group))
    return frames


def label(atoms, group: str):
    """The frame with its labels, whose forces reach further than the descriptors."""
    atoms.calc = MorsePotential(epsilon=0.8, r0=2.75, rho0=4.0, rcut1=5.0, rcut2=6.0)
    atoms.info |= {"REF_energy": atoms.get_potential_energy(), "REF_stress": atoms.get_stress(voigt=False).ravel(), "config_type": group}
    atoms.arrays["REF_forces"] = atoms.get_forces()
    atoms.calc = None
    return atoms


def data_files(folder: Path, elements=("W",)) -> tuple[Path, Path, Path]:
    """Frames to fit on, to calibrate on (two groups of their own) and to test on."""
    parts = {
        "train": labelled("bulk", 40, 1, elements) + labelled("hot", 20, 2, elements, rattle=0.2),
        "calibration": labelled("dense", 15, 3, elements, strain=0.05) + labelled("large", 8, 4, elements, size=(1, 2, 2)),
        "test": labelled("new", 8, 5, elements, rattle=0.15),
    }
    for name, frames in parts.items():
        ase.io.write(folder / f"{name}.xyz", frames, format="extxyz")
    return tuple(folder / f"{name}.xyz" for name in parts)


def settings_of(folder: Path, elements=("W",), reference=ZBL, **changes):
    """Settings of a parameter file with these changes."""
    return read_settings(str(parameter_file(folder, **changes)), elements, reference)


def model_content(folder: Path, **changes):
    """Header and tensors of a potential of two elements with a posterior; changes: of its parameters."""
    settings = settings_of(folder, TWO, **changes)
    n, header = 2 * settings.n_per_element, make_header()
    header |= {"elements": list(settings.elements), "cutoff": settings.cutoff, "precision": "float64", "grade": None, "calibration": None}
    header["backbone"] = {"family": "snap", "architecture": settings.header(), "n_features": n, "n_parameters": n + 2}
    header["posterior"] |= {"n_features": n, "n_modes": 2, "n_members": 3, "n_force_members": 0, "bias": "element"}
    header["provenance"]["roles"] = {}
    generator = np.random.default_rng(0)
    tensors = {"backbone/coefficients": generator.normal(size=n + 2), "posterior/coefficients": np.zeros(n + 2)}
    tensors |= {"posterior/modes": generator.normal(size=(n + 2, 2)), "posterior/members": generator.normal(size=(3, n + 2))}
    return header, tensors | {"posterior/lower": -np.ones(2), "posterior/upper": np.ones(2)}


POD = """\
species {elements}
rin 0.8
rcut 4.2
bessel_polynomial_degree 3
inverse_polynomial_degree 4
twobody_number_radial_basis_functions 4
threebody_number_radial_basis_functions 3
threebody_angular_degree 2
fourbody_number_radial_basis_functions 0
fourbody_angular_degree 0
"""


def compute_file(folder: Path, lines: dict[str, str], name: str = "x") -> str:
    """A *.compute file of these lines, as --backbone names it."""
    path = folder / f"{name}.compute"
    path.write_text("# made for a test\n\n" + "".join(f"{keyword} {words}\n" for keyword, words in lines.items()))
    return f"compute:{path}"


def pod_lines(folder: Path, elements=("W", "Be")) -> dict[str, str]:
    """Lines of a *.compute file of proper orthogonal descriptors, with a parameter file beside it."""
    names = " ".join(elements)
    (folder / "x.pod").write_text(POD.format(elements=names))
    computes = {"descriptors": f'pod/atom x.pod "" {names}', "gradient": f'podd/atom x.pod "" {names}'}
    return {"elements": names, "cutoff": "4.2", **computes, "file": "x.pod", "pair": "pod"}


def sna_lines(settings) -> dict[str, str]:
    """Lines of a *.compute file of the descriptors of a SNAP potential."""
    computes = {"descriptors": "sna/atom", "gradient": "snad/atom", "virial": "snav/atom"}
    computes = {role: f"{style} {settings.compute_arguments()}" for role, style in computes.items()}
    return {"elements": " ".join(settings.elements), "cutoff": repr(settings.cutoff), **computes, "pair": "snap"}


def compute_content(folder: Path):
    """Header and tensors of a potential on the columns of a compute, of two elements with a posterior."""
    header, tensors = model_content(folder)
    computes = {"descriptors": 'pod/atom x.pod "" W Be', "gradient": "", "virial": "snav/atom 4.6 0.99 2 0.5 0.4 1 1"}
    reference = {"styles": ["zbl 4 5"], "coefficients": ["1 1 zbl 74 74"]}
    files = {"x.pod": POD.format(elements="W Be")}
    header["backbone"]["architecture"] = {"cutoff": 4.2, "computes": computes, "files": files, "pair": "pod", "reference": reference}
    header["backbone"]["family"] = "compute"
    return header, tensors
