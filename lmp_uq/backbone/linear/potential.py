# SPDX-License-Identifier: GPL-2.0-or-later
"""Linear potentials as backbones: energies, forces and virials that are linear in Theta, with rows that LAMMPS computes.

E = E_reference + sum_i Theta.D_i. The descriptors D_i of an atom stand in the block of its element, the other blocks are zero, so that
Theta has a block for each element, followed by one constant for each. LAMMPS runs in this process, one frame at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms

from lmp_uq.errors import UqError

BAR = 1.602176634e6
"""1 eV/Angstrom^3 in bar, the pressure of units metal."""
VACUUM = 4.0
"""Angstrom beyond the cutoff, to the next image across an open boundary."""
LAMMPS_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


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


class Columns(NamedTuple):
    """What is linear in Theta, in LAMMPS' axes: descriptors (N, P), force rows (3 N, P) and virial rows (6, P), xx yy zz yz xz xy."""

    descriptors: np.ndarray
    force_rows: np.ndarray
    virial_rows: np.ndarray


class Reference(NamedTuple):
    """The potential beneath, in LAMMPS' axes: energy (eV), forces (N, 3) (eV/Angstrom) and pressure (6,) (bar), xx yy zz xy xz yz."""

    energy: float
    forces: np.ndarray
    pressure: np.ndarray


class LinearBackbone(ABC):
    """A linear potential whose rows LAMMPS computes; the families differ in which compute gives them.

    Parameters
    ----------
    architecture : mapping
        As `header` of the family's settings gives it.
    tensors : mapping
        ``coefficients`` (P + Z,): Theta in eV per unit of its descriptor, blocks of the elements, then their constants.
    elements : sequence of str
    communicator : MPI communicator or None
        On which LAMMPS runs: of this process alone where several share a fit.

    Raises
    ------
    UqError
        Coefficients of another length than the settings ask for, or a LAMMPS without the compute.
    """

    linear = True
    precision, device, engine = "float64", "cpu", "lammps"

    def __init__(
        self, architecture: Mapping[str, Any], tensors: Mapping[str, np.ndarray], elements: Sequence[str], communicator: Any = None
    ) -> None:
        self.elements = tuple(elements)
        self.coefficients = np.asarray(tensors["coefficients"], dtype=np.float64)
        self.settings = self._settings(architecture)
        self.cutoff = self.settings.cutoff
        self.n_features = len(self.elements) * self.settings.n_per_element
        self.n_parameters = self.n_features + len(self.elements)
        if self.coefficients.shape != (self.n_parameters,):
            raise UqError(f"coefficients of shape {self.coefficients.shape}; the settings of this potential accept ({self.n_parameters},)")
        self._communicator = communicator
        self._lammps: Any = None

    @abstractmethod
    def _settings(self, architecture: Mapping[str, Any]):
        """Settings of the family, with elements, cutoff, n_per_element, compute_styles, reference and the lines of its pair style."""

    @abstractmethod
    def _run(self, cell, positions, species) -> tuple[Columns, Reference]:
        """Columns and the potential beneath, of atoms as `lammps_cell` gives them."""

    def __del__(self):
        if getattr(self, "_lammps", None) is not None:
            self.close()

    def evaluate_frame(self, atoms: Atoms) -> LinearEvaluation:
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
            columns, reference = self._run(cell, positions, species)
        except UqError:
            raise
        except Exception as error:  # the lammps module raises bare exceptions
            raise UqError(f"LAMMPS could not evaluate a frame of {len(atoms)} atoms: {str(error).strip()}") from error
        virial = symmetric(reference.pressure) * np.linalg.det(cell) / BAR
        return self._assemble(columns, reference, virial, species, rotation)

    def species_of(self, atoms: Atoms) -> np.ndarray:
        """(N,) index of each atom's element; UqError for one that the potential lacks."""
        symbols = atoms.get_chemical_symbols()
        foreign = sorted(set(symbols) - set(self.elements))
        if foreign:
            raise UqError(f"element {foreign[0]} is not in this potential (elements: {' '.join(self.elements)})")
        return np.array([self.elements.index(s) for s in symbols])

    def _assemble(self, columns, reference, virial, species, rotation):
        """From what LAMMPS gives in its own frame of axes to that of the atoms."""
        n, width = len(species), self.n_features
        theta, constants = self.coefficients[:width], self.coefficients[width:]
        # x' = x R, so a vector goes back with R^T and a matrix with R . R^T
        force_rows = np.einsum("nap,ba->nbp", columns.force_rows.reshape(n, 3, width), rotation).reshape(3 * n, width)
        strained = np.empty((3, 3, width))
        for row, (a, b) in zip(columns.virial_rows, LAMMPS_VOIGT, strict=True):
            strained[a, b] = strained[b, a] = row
        virial_rows = np.einsum("ca,abp,db->cdp", rotation, strained, rotation)
        return LinearEvaluation(
            energy=float(reference.energy + (columns.descriptors @ theta).sum() + constants[species].sum()),
            forces=reference.forces @ rotation.T + (force_rows @ theta).reshape(n, 3),
            virial=rotation @ virial @ rotation.T + virial_rows @ theta,
            descriptors=columns.descriptors,
            species=species,
            force_rows=force_rows,
            virial_rows=virial_rows,
        )

    def place(self, cell: np.ndarray, positions: np.ndarray, species: np.ndarray) -> Any:
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

    def _evaluate(self, cell, positions, species, computes: Sequence[str]):
        """LAMMPS after an evaluation of the potential beneath with more computes, and its `Reference`."""
        lmp = self.place(cell, positions, species)
        lines = ["neighbor 0.1 bin", "neigh_modify one 100000 page 1000000", *self.settings.pair_lines(), *computes]
        lines += ["compute lmp_uq_virial all pressure NULL virial", "thermo_style custom step pe c_lmp_uq_virial[1]", "run 0"]
        lmp.commands_string("\n".join(lines))
        forces = np.array(lmp.numpy.extract_atom("f")[: len(species)])[order_of(lmp, len(species))]
        pressure = np.array(lmp.numpy.extract_compute("lmp_uq_virial", 0, 1))
        return lmp, Reference(lmp.get_thermo("pe"), forces, pressure)

    def _box_lines(self, cell, n_types):
        sides = " ".join(f"0 {cell[k, k]:.17g}" for k in range(3))
        tilts = " ".join(f"{value:.17g}" for value in (cell[1, 0], cell[2, 0], cell[2, 1]))
        # compute snap may be used in one run only: everything is made anew for each frame
        lines = ["clear", "units metal", "atom_modify map array sort 0 0", "box tilt large"]
        lines += [f"region lmp_uq_cell prism {sides} {tilts} units box", f"create_box {n_types} lmp_uq_cell", "mass * 1.0"]
        return lines

    def _program(self):
        if self._lammps is None:
            import lammps

            options = ["-log", "none", "-screen", "none", "-nocite"]
            self._lammps = lammps.lammps(cmdargs=options, comm=self._communicator)
            missing = [style for style in self.settings.compute_styles if not self._lammps.has_style("compute", style)]
            if missing:
                raise UqError(f"this LAMMPS has no compute {missing[0]}; accepted: one built with the package that has it")
        return self._lammps


def order_of(lmp: Any, n: int) -> np.ndarray:
    """(n,) where LAMMPS keeps the atoms with IDs 1 to n."""
    return np.argsort(lmp.numpy.extract_atom("id")[:n])


def lammps_cell(atoms: Atoms, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def symmetric(voigt: np.ndarray) -> np.ndarray:
    """(3, 3) from LAMMPS' pressure order xx yy zz xy xz yz."""
    xx, yy, zz, xy, xz, yz = voigt
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
