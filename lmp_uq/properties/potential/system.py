# SPDX-License-Identifier: GPL-2.0-or-later
"""One structure under a linear potential with any Theta: energies, forces and virials, Phi and directions, relaxation.

LAMMPS runs in this process; each call builds the structure anew (1.5 ms), so that nothing of one Theta is left for the next.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ase import Atoms
from scipy.linalg import expm

from lmp_uq.backbone.linear.potential import BAR, LinearBackbone, LinearEvaluation, lammps_cell, order_of, symmetric
from lmp_uq.errors import UqError
from lmp_uq.properties.failure import ENERGY_NOISE, FORCE_TOLERANCE, LARGEST_VOLUME_CHANGE, PropertyFailure
from lmp_uq.properties.minima.quasi_newton import bfgs

CELLS = ("fixed", "iso", "aniso", "shape")
PRESSURE_TOLERANCE = 1.0
"""Bar, of the stresses that a relaxation sets to zero: 3e-7 of the volume of tungsten."""
CELL_STEPS, HALVINGS = 60, 10
"""Steps over the cell, and how often one is halved."""
LARGEST_STRAIN = 0.03
"""Of one step."""
LARGEST_DISPLACEMENT = 2.0
"""Angstrom, of an atom in one minimisation: beyond, the structure is another one."""
STRAIN_UNIT = 15.0
"""Strains times this have a curvature of about 1 eV per atom in metals, which is what BFGS begins with."""


@dataclass(frozen=True)
class Relaxed:
    """A minimum of the energy.

    Attributes
    ----------
    positions, cell : (n, 3), (3, 3) Angstrom
        Atoms in their order, not wrapped: positions less those of the start are displacements.
    energy, forces, virial
        As `LinearSystem.evaluate`.
    displacement : float
        Angstrom, the farthest that an atom went beyond the homogeneous strain of the cell.
    """

    positions: np.ndarray
    cell: np.ndarray
    energy: float
    forces: np.ndarray
    virial: np.ndarray
    displacement: float


class _Point(NamedTuple):
    """Atoms at rest in a strained cell."""

    amplitudes: np.ndarray
    positions: np.ndarray
    energy: float
    forces: np.ndarray
    virial: np.ndarray


class LinearSystem:
    """One structure under E = E_reference + Theta.Phi.

    n atoms, P coefficients (blocks of the elements, then their constants). Positions (n, 3) and cells (3, 3, rows are vectors) are in
    Angstrom; the cell is periodic in all directions, slabs have vacuum in it. Positions need not be inside.

    Parameters
    ----------
    backbone : LinearBackbone
        With Theta = 0: the reference and the settings of the descriptors. Systems may share one.
    atoms : ase.Atoms
        Elements and order of the atoms; its positions and cell are where a call without them evaluates.

    Raises
    ------
    UqError
        An element that the potential lacks, a cell that is open or has no volume.
    """

    def __init__(self, backbone: LinearBackbone, atoms: Atoms) -> None:
        self.species = backbone.species_of(atoms)
        if not atoms.pbc.all() or atoms.cell.rank < 3:
            raise UqError("a structure has an open cell; accepted: cells periodic in all directions, with vacuum where it is wanted")
        self.atoms = atoms.copy()
        self.n_atoms, self.n_parameters = len(atoms), backbone.n_parameters
        self._backbone = backbone
        self._files = tempfile.TemporaryDirectory(prefix="lmp-uq-")

    def evaluate(
        self, theta: np.ndarray, positions: np.ndarray | None = None, cell: np.ndarray | None = None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Energy (eV), forces (n, 3) (eV/Angstrom) and virial (3, 3) (eV, -dE/dstrain) with Theta, the reference included.

        Raises
        ------
        PropertyFailure
            LAMMPS cannot evaluate it, or the energy is not finite.
        """
        box, rotation, inside = self._place(positions, cell)
        lmp = self._commands(["run 0"], theta, box, inside)
        return self._state(lmp, rotation)

    def energy(self, theta: np.ndarray, positions: np.ndarray | None = None, cell: np.ndarray | None = None) -> float:
        """That of `evaluate`."""
        return self.evaluate(theta, positions, cell)[0]

    def rows(self, positions: np.ndarray | None = None, cell: np.ndarray | None = None) -> LinearEvaluation:
        """Energy, forces and virial of the reference alone, descriptors, force rows and virial rows: what is linear in Theta.

        The descriptors and rows have a column for each coefficient that is no constant; `phi` counts atoms for those.
        """
        return self._backbone.evaluate_frame(placed(self.atoms, positions, cell))

    def energy_row(self, positions: np.ndarray | None = None, cell: np.ndarray | None = None) -> tuple[np.ndarray, float]:
        """Phi (P,), constants included, and the energy of the reference (eV): E = reference + Theta.Phi for every Theta."""
        found = self.rows(positions, cell)
        return self.sum_of(found), found.energy

    def sum_of(self, rows: LinearEvaluation) -> np.ndarray:
        """(P,) Phi from `rows`: summed descriptors, then the number of atoms of each element."""
        return np.concatenate([rows.descriptors.sum(axis=0), np.bincount(self.species, minlength=len(self._backbone.elements))])

    def phi(self, positions: np.ndarray | None = None, cell: np.ndarray | None = None) -> np.ndarray:
        """(P,) dE/dTheta: summed descriptors, then the number of atoms of each element."""
        return self.energy_row(positions, cell)[0]

    def direction(
        self, d_theta: np.ndarray, positions: np.ndarray | None = None, cell: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Energies, forces and virials of d_theta.Phi alone, without the reference.

        Parameters
        ----------
        d_theta : (P,) or (K, P)

        Returns
        -------
        energies : () or (K,), forces : (n, 3) or (K, n, 3), virials : (3, 3) or (K, 3, 3)
        """
        d_theta, found = np.asarray(d_theta, dtype=np.float64), self.rows(positions, cell)
        varying = d_theta[..., : found.descriptors.shape[1]]
        energies = d_theta @ self.sum_of(found)
        forces = (varying @ found.force_rows.T).reshape(*d_theta.shape[:-1], self.n_atoms, 3)
        return energies, forces, np.einsum("...p,abp->...ab", varying, found.virial_rows)

    def relax(
        self,
        theta: np.ndarray,
        cell: str = "fixed",
        positions: np.ndarray | None = None,
        vectors: np.ndarray | None = None,
        *,
        couple: str = "none",
    ) -> Relaxed:
        """The minimum downhill from here: LAMMPS minimises over positions, BFGS over the free strains of the cell at zero stress.

        ``fix box/relax`` strains and moves atoms along one line; on cells with internal coordinates it stalls far from the minimum.

        Parameters
        ----------
        theta : (P,)
        cell : {"fixed", "iso", "aniso", "shape"}
            What of the cell is free: nothing, its volume, its lengths along Cartesian axes, or these lengths at constant volume.
        positions, vectors
            Where to start; those of the structure if not given.
        couple : {"none", "xy"}
            With aniso and shape: axes that are strained alike, as in hexagonal and tetragonal crystals.

        Raises
        ------
        PropertyFailure
            It does not converge, the volume leaves what `LARGEST_VOLUME_CHANGE` allows, or LAMMPS stops.
        """
        directions = free_strains(cell, couple)
        start = placed(self.atoms, positions, vectors)
        last = _Point(np.zeros(len(directions)), *self._minimise(theta, start.positions, start.cell.array))
        if len(directions):
            last = self._strained_minimum(theta, start, directions, last)
        strain = expm(np.tensordot(last.amplitudes, directions, 1)) if len(directions) else np.eye(3)
        beyond = last.positions - start.positions @ strain
        beyond -= beyond.mean(axis=0)
        return Relaxed(last.positions, start.cell.array @ strain, last.energy, last.forces, last.virial,
                       float(np.linalg.norm(beyond, axis=1).max()))  # fmt: skip

    def _strained_minimum(self, theta, start, directions, point):
        """The point at which the atoms and the free strains are at a minimum: BFGS with short steps, which stay in the basin."""
        scale = self.n_atoms * STRAIN_UNIT
        # a stress of the tolerance as a slope of the energy of an atom
        small = PRESSURE_TOLERANCE / BAR * start.get_volume() / scale
        inverse, slope = np.eye(len(directions)), _slope(point, directions) / scale
        for _ in range(CELL_STEPS):
            if np.abs(slope).max() < small:
                return point
            step = -inverse @ slope
            step *= min(1.0, LARGEST_STRAIN * STRAIN_UNIT / np.abs(step).max())
            if slope @ step >= 0.0:
                inverse, step = np.eye(len(directions)), -slope
            for _ in range(HALVINGS):
                trial = self._strained(theta, start, directions, point, point.amplitudes + step / STRAIN_UNIT)
                if trial.energy <= point.energy + 1e-4 * self.n_atoms * (slope @ step) + ENERGY_NOISE * self.n_atoms:
                    break
                step = 0.5 * step
            else:
                raise PropertyFailure("the relaxation does not converge")
            change = _slope(trial, directions) / scale - slope
            inverse, point, slope = bfgs(inverse, step, change), trial, slope + change
        raise PropertyFailure("the relaxation does not converge")

    def _strained(self, theta, start, directions, known, amplitudes):
        """Atoms at rest after other strains, beginning with those of a known point."""
        before, after = (expm(np.tensordot(a, directions, 1)) for a in (known.amplitudes, amplitudes))
        if not 1.0 / LARGEST_VOLUME_CHANGE < np.linalg.det(after) < LARGEST_VOLUME_CHANGE:
            raise PropertyFailure("the cell has come apart or collapsed")
        return _Point(amplitudes, *self._minimise(theta, known.positions @ np.linalg.solve(before, after), start.cell.array @ after))

    def _minimise(self, theta, positions, cell):
        """Positions, energy, forces and virial at the minimum of a fixed cell."""
        first = positions
        for style, steps in (("cg", 300), ("fire", 500), ("cg", 300), ("fire", 500)):
            box, rotation, inside = self._place(positions, cell)
            lines = [f"min_style {style}", "min_modify norm inf dmax 0.1" + " line quadratic" * (style == "cg")]
            lmp = self._commands([*lines, f"minimize 0.0 {FORCE_TOLERANCE:g} {steps} {10 * steps}"], theta, box, inside)
            moved = (self._positions(lmp) - inside) @ np.linalg.inv(box)
            positions = positions + (moved - np.round(moved)) @ box @ rotation.T
            energy, forces, virial = self._state(lmp, rotation)
            if np.linalg.norm(positions - first, axis=1).max() > LARGEST_DISPLACEMENT:
                raise PropertyFailure("atoms leave their places")
            if np.abs(forces).max() < 2.0 * FORCE_TOLERANCE:
                return positions, energy, forces, virial
        raise PropertyFailure("the relaxation does not converge")

    def _commands(self, lines, theta, box, inside):
        """LAMMPS after these commands with Theta on these atoms."""
        prefix = str(Path(self._files.name) / "theta")
        settings = self._backbone.settings
        theta = np.asarray(theta, dtype=np.float64)
        if theta.shape != (self.n_parameters,):
            raise UqError(f"Theta of shape {theta.shape}; this potential accepts ({self.n_parameters},)")
        for suffix, text in settings.potential_files(theta, "# of a property").items():
            Path(f"{prefix}.{suffix}").write_text(text)
        setup = ["neighbor 0.3 bin", "neigh_modify every 1 delay 0 check yes one 100000 page 1000000", *settings.pair_lines(prefix)]
        setup += ["compute lmp_uq_virial all pressure NULL virial", "thermo_style custom step pe c_lmp_uq_virial[1]", "thermo 1000000"]
        try:
            lmp = self._backbone.place(box, inside, self.species)
            lmp.commands_string("\n".join([*setup, *lines]))
        except Exception as error:  # the lammps module raises bare exceptions
            self._backbone.close()
            raise PropertyFailure("LAMMPS stops: " + _reason(error)) from error
        return lmp

    def _state(self, lmp, rotation):
        """Energy, forces and virial in the axes x = x' R^T."""
        energy, box = lmp.get_thermo("pe"), _box(lmp)
        forces = np.array(lmp.numpy.extract_atom("f")[: self.n_atoms])[order_of(lmp, self.n_atoms)]
        virial = symmetric(np.array(lmp.numpy.extract_compute("lmp_uq_virial", 0, 1)))
        # LAMMPS' own constant, which differs from today's by 1e-7
        virial *= abs(np.linalg.det(box)) / lmp.extract_global("nktv2p")
        if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(virial).all()):
            raise PropertyFailure("the energy is not finite")
        return float(energy), forces @ rotation.T, rotation @ virial @ rotation.T

    def _positions(self, lmp):
        """(n, 3) in LAMMPS' axes, in order, relative to the corner of the box."""
        corner = np.array(lmp.extract_box()[0])
        return np.array(lmp.numpy.extract_atom("x")[: self.n_atoms])[order_of(lmp, self.n_atoms)] - corner

    def _place(self, positions, cell):
        return lammps_cell(placed(self.atoms, positions, cell), self._backbone.cutoff)


def placed(atoms: Atoms, positions: np.ndarray | None, cell: np.ndarray | None) -> Atoms:
    """A copy of atoms (ase.Atoms) with other positions (n, 3) and another cell (3, 3), Angstrom; with a cell alone they scale with it."""
    frame = atoms.copy()
    if cell is not None:
        frame.set_cell(np.asarray(cell), scale_atoms=positions is None)
    if positions is not None:
        frame.positions[:] = positions
    return frame


def _box(lmp):
    """(3, 3) lower triangular cell of LAMMPS."""
    low, high, xy, yz, xz, _, _ = lmp.extract_box()
    lx, ly, lz = np.array(high) - np.array(low)
    return np.array([[lx, 0.0, 0.0], [xy, ly, 0.0], [xz, yz, lz]])


def free_strains(cell: str, couple: str) -> np.ndarray:
    """(S, 3, 3) the strains that `LinearSystem.relax` is free in; UqError for words that it does not know."""
    x, y, z = (np.diag(row) for row in np.eye(3))
    free: dict[str, list[np.ndarray]] = {
        "fixed": [],
        "iso": [x + y + z],
        "aniso": [x, y, z] if couple == "none" else [x + y, z],
        "shape": [x - y, x + y - 2.0 * z] if couple == "none" else [x + y - 2.0 * z],
    }
    if cell not in free or couple not in ("none", "xy"):
        raise UqError(f"relaxation of the cell {cell!r}, coupled {couple!r}; accepted: {', '.join(CELLS)}, coupled none or xy")
    return np.array(free[cell]).reshape(-1, 3, 3)


def _slope(point, directions):
    """(S,) dE/d(amplitude) of the strains, eV."""
    return -np.einsum("kab,ab->k", directions, point.virial)


def _reason(error):
    """The error of LAMMPS without what differs from member to member."""
    text = str(error).strip().split("\n")[0].removeprefix("ERROR: ").removeprefix("ERROR on proc 0: ")
    return text.split(" (src")[0].split(" (/")[0][:80]
