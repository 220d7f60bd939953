# SPDX-License-Identifier: GPL-2.0-or-later
"""Systems, input scripts, results and comparisons of the LAMMPS tests."""

from __future__ import annotations

from pathlib import Path

import ase
import numpy as np
from ase.build import bulk

FIELDS = ("energy_std", "energy_lower", "energy_upper", "force_error", "grade")
TOTALS = ("energy_std", "energy_lower", "energy_upper", *(f"{f}_{s}" for f in FIELDS for s in ("max", "tag", "mean")))
VOIGT = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
LATTICE = 4.9
"""Angstrom: pairs 2.1 apart, 28 neighbours within the cutoff of 3.5 of the tiny model, and a cell smaller than twice that cutoff."""

# ---- systems ------------------------------------------------------------------------------------------------------------------


def crystal(repeat: tuple[int, int, int] = (1, 1, 1), *, tilt: bool = False, rattle: float = 0.12, seed: int = 0) -> ase.Atoms:
    """Si and O at random on a rattled diamond lattice, 8 atoms per cell; tilt: a triclinic cell that LAMMPS can hold as it is."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Si", "diamond", a=LATTICE, cubic=True).repeat(repeat)
    atoms.symbols = rng.permutation(np.resize(["Si", "O"], len(atoms)))
    if tilt:
        skew = np.array([[1.0, 0.0, 0.0], [0.17, 0.97, 0.0], [-0.11, 0.2, 1.04]])
        atoms.set_cell(atoms.cell.lengths()[:, None] * skew, scale_atoms=True)
    atoms.positions += rng.normal(0.0, rattle, (len(atoms), 3))
    return atoms


def half_empty(length: float = 40.0) -> ase.Atoms:
    """32 atoms at one end of a long box: with its x axis cut in four, one rank has neither atoms nor ghosts."""
    atoms = crystal((2, 2, 1))
    atoms.set_cell([length, *atoms.cell.lengths()[1:]])
    atoms.positions[:, 0] += 0.5
    return atoms


def write_data(path: Path, atoms: ase.Atoms, elements: tuple[str, ...] = ("Si", "O")) -> Path:
    """LAMMPS data file; atom i has ID i + 1, the lines are shuffled, types follow `elements`."""
    (xx, xy_, xz_), (yx, yy, yz_), (zx, zy, zz) = np.asarray(atoms.cell)
    if np.any([xy_, xz_, yz_]):
        raise ValueError("LAMMPS needs a lower triangular cell")
    lines = [f"{len(atoms)} atoms", f"{len(elements)} atom types"]
    lines += [f"0.0 {size!r} {axis}lo {axis}hi" for size, axis in zip(map(float, (xx, yy, zz)), "xyz", strict=True)]
    if np.any([yx, zx, zy]):
        lines.append(f"{float(yx)!r} {float(zx)!r} {float(zy)!r} xy xz yz")
    lines += ["", "Masses", "", *(f"{k + 1} {ase.data.atomic_masses[ase.data.atomic_numbers[e]]}" for k, e in enumerate(elements))]
    lines += ["", "Atoms # atomic", ""]
    types = [elements.index(symbol) + 1 for symbol in atoms.get_chemical_symbols()]
    for i in np.random.default_rng(1).permutation(len(atoms)):
        x, y, z = map(float, atoms.positions[i])
        lines.append(f"{i + 1} {types[i]} {x!r} {y!r} {z!r}")
    path.write_text("\n".join(["made for a test of lmp_uq", "", *lines, ""]))
    return path


# ---- input scripts ------------------------------------------------------------------------------------------------------------

ASK = f"""
compute pe all pe/atom pair
compute va all stress/atom NULL virial
compute uq all uq/atom {" ".join(FIELDS)}
compute tot all uq {" ".join(TOTALS)}
compute sums all reduce sum c_pe c_va[*]
thermo_style custom step temp pe pxx pyy pzz pxy pxz pyz c_sums[*] c_tot[*]
thermo_modify format float %.17g
"""
"""Computes that a snapshot knows, and thermo that makes LAMMPS evaluate them."""


PLAIN = "pair_style mace/uq\npair_coeff * * {model} Si O"
TORCH = PLAIN.replace("mace/uq", "mace/uq engine torch", 1)
"""For tests that look into Python: what the engine of `lmp_uq.run.engine` is asked for, or what becomes of its failures."""
ENGINES = {"torch": 1e-8, "native": 1e-7, "device": 1e-7}
"""Largest deviation of a force from mace-torch's, eV/Angstrom: the native engine tabulates radial functions. "device" is that engine on the
emulated device."""
DEVICE = "native device cuda"


def with_engine(name, pair=PLAIN):
    """A pair style that begins with an engine of `ENGINES`, after which keywords may follow."""
    first, *keywords = name.split(" ", 1)
    return pair.replace("mace/uq", " ".join(["mace/uq engine", DEVICE if first == "device" else first, *keywords]), 1)


WITH_ZBL = """pair_style hybrid/overlay mace/uq zbl 1.8 2.6
pair_coeff * * mace/uq {model} Si O
pair_coeff 1 1 zbl 14 14
pair_coeff 1 2 zbl 14 8
pair_coeff 2 2 zbl 8 8"""
HOT = """velocity all create 3000 7 loop geom
fix nve all nve
timestep 0.0005
neigh_modify every 1 delay 0 check yes"""
"""Motion that changes every field in every step."""


def script(data: str, model: Path, *more: str, pair: str = PLAIN, before: str = "") -> str:
    """Input script: system, pair style and the lines of `more`."""
    head = [before, "units metal", "atom_style atomic", "atom_modify map array", f"read_data {data}"]
    return "\n".join([*head, pair.format(model=model), *more, ""])


# ---- results ------------------------------------------------------------------------------------------------------------------


def thermo_tables(log: str) -> list[dict[str, np.ndarray]]:
    """Tables of a LAMMPS log, column name to values."""
    tables, names, lines = [], None, []
    for line in log.splitlines():
        words = line.split()
        if words[:1] == ["Step"]:
            names, lines = words, []
        elif names and line.startswith("Loop time"):
            tables.append({name: np.array(column) for name, column in zip(names, zip(*lines, strict=True), strict=True)})
            names = None
        elif names and len(words) == len(names) and words[0].isdigit():
            lines.append([float(word) for word in words])
    return tables


def read_dump(path: Path) -> dict[int, np.ndarray]:
    """Custom dump as {step: rows (n, columns) sorted by the first column}."""
    frames, lines = {}, path.read_text().splitlines()
    k = 0
    while k < len(lines):
        step, n = int(lines[k + 1]), int(lines[k + 3])
        values = [[float(word) for word in line.split()] for line in lines[k + 9 : k + 9 + n]]
        frames[step] = np.array(sorted(values)).reshape(n, -1) if n else np.zeros((0, 0))
        k += 9 + n
    return frames


def columns_of(frame: ase.Atoms) -> dict[str, np.ndarray]:
    """Per-atom values of a frame that ASE read: also results of its calculator, where lmp_uq.calculator has told ASE their names."""
    return frame.arrays | (frame.calc.results if frame.calc else {})


def column_of(frame: ase.Atoms, name: str) -> np.ndarray:
    return columns_of(frame)[name]


def assert_equal(name: str, found, expected, *, absolute: float | None = None, relative: float | None = None) -> None:
    """Largest deviation at most `absolute`, or at most `relative` times the largest expected magnitude; infinities must agree."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    assert found.shape == expected.shape, f"{name}: shapes {found.shape} and {expected.shape}"
    assert not np.isnan(found).any() and not np.isnan(expected).any(), f"{name}: NaN"
    finite = np.isfinite(expected)
    assert np.array_equal(found[~finite], expected[~finite]), f"{name}: infinities differ"
    found, expected = found[finite], expected[finite]
    if not expected.size:
        return
    allowed = absolute if absolute is not None else relative * np.abs(expected).max()
    worst = np.abs(found - expected).max()
    assert worst <= allowed, f"{name}: largest deviation {worst:.3e}, allowed {allowed:.3e}"


def assert_same_state(found: dict, expected: dict, relative: float = 1e-10) -> None:
    """Two snapshots agree in every quantity."""
    for name in ("energy", "x", "f", "pe", "va", "pressure", "uq", "tot"):
        assert (name in found) == (name in expected), f"{name} is there in one snapshot only"
        if name not in expected:
            continue
        first, second = np.asarray(found[name]), np.asarray(expected[name])
        if name == "uq":
            for k in range(second.shape[-1]):
                assert_equal(f"uq {k}", first[:, k], second[:, k], relative=relative)
        elif name == "tot":
            for k in range(len(second)):
                assert_equal(f"tot {k}", first[k], second[k], relative=relative)
        else:
            assert_equal(name, first, second, relative=relative)
