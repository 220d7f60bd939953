# SPDX-License-Identifier: GPL-2.0-or-later
"""Phases: lattice constants, cohesive energies, bulk moduli, and energy and volume relative to another phase."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import ClassVar, cast

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.properties.crystal.minimum import Crystal, crystal_at_minimum, element_of
from lmp_uq.properties.crystal.structures import Structure
from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.minima.stability import HELD
from lmp_uq.properties.property import EXACT, EXPANSION, Curves, Expansion, Option, Outcome, Property, Quantity

KEPT = 2
"""Minima of a member that are kept for the next phase relative to them."""


class Phase(Property):
    """A crystal at its minimum, relaxed in what its symmetry leaves free; flagged where that is all that holds it.

    Quantities: ``volume``, ``energy``, ``bulk_modulus``; of cubic crystals ``a``, of hexagonal, tetragonal and rhombohedral ones
    ``c_over_a`` (not by first order); relative to another phase ``formation_energy`` and ``volume_ratio``. Differences are formed for each
    Theta before any bound is.
    """

    OPTIONS: ClassVar = {
        "structure": Option(None, str, (), "a phase by name, or the path of a file that ASE reads"),
        "relative_to": Option("bcc", str, (), "the phase that formation_energy and volume_ratio are relative to"),
        "element": Option("", str, (), "needed if the potential has several"),
        "volume": Option(0.0, float, (), "Angstrom^3 per atom to start from; 0: that of the element"),
    }

    def mean(self) -> np.ndarray:
        """See `Property.mean`."""
        options = self.options
        element, volume = element_of(self.potential, options["element"]), options["volume"] or None
        self.crystal = crystal_at_minimum(self.potential, options["structure"], element, volume)
        self.other = None
        if options["relative_to"] not in ("", options["structure"]):
            self.other = crystal_at_minimum(self.potential, options["relative_to"], element, volume)
            refuse_another_composition(self.crystal.structure, self.other.structure)
        rigid = self.crystal.rigid and (self.other is None or self.other.rigid)
        self.expansion_rests_on = EXACT if rigid else EXPANSION
        cubic, hexagonal = self.crystal.structure.cubic_atoms, self.crystal.structure.couple == "xy"
        self.quantities = [Quantity("volume", "Angstrom^3"), Quantity("energy", "eV/atom", ".4f"), Quantity("bulk_modulus", "GPa", ".0f")]
        self.quantities += [Quantity("a", "Angstrom", ".4f")] if cubic else [Quantity("c_over_a", "", ".4f")] if hexagonal else []
        if self.other is not None:
            self.quantities += [Quantity("formation_energy", "eV/atom", ".4f"), Quantity("volume_ratio", "", ".4f")]
        bulk = self.crystal.mean_bulk_modulus()
        if self.crystal.only_symmetry_holds(self.potential.theta, self.crystal.relaxed.x):
            self.notes.append("only symmetry holds the structure of the mean, it has an unstable mode")
        own = self._own(self.crystal.relaxed, bulk)
        return own if self.other is None else np.append(own, _relative(self.crystal.relaxed, self.other.relaxed))

    def member(self, theta: np.ndarray) -> Outcome:
        """See `Property.member`."""
        relaxed = self.crystal.member(theta)
        values, flags = self._own(relaxed, self.crystal.bulk_modulus(theta, relaxed)), self._held(theta, relaxed.x)
        if self.other is not None:
            values = np.append(values, _relative(relaxed, self._minimum_of_other(theta)))
        return Outcome(values, flags)

    def gradient(self) -> np.ndarray | None:
        """See `Property.gradient`."""
        volume, energy, bulk = self.crystal.curve().gradients(self.potential.theta)
        rows = [volume, energy, bulk]
        names = [q.name for q in self.quantities]
        if "a" in names:
            rows.append(volume * self._lattice_constant(self.crystal.volume) / (3.0 * self.crystal.volume))
        if "c_over_a" in names:
            rows.append(np.full_like(volume, np.nan))
        if self.other is not None:
            other_volume, other_energy, _ = self.other.curve().gradients(self.potential.theta)
            ratio = self.crystal.volume / self.other.volume
            rows += [energy - other_energy, (volume - ratio * other_volume) / self.other.volume]
        return np.array(rows)

    def expansion(self, thetas: np.ndarray) -> Expansion | None:
        """See `Property.expansion`."""
        own = self.crystal.expansion.minima(thetas)
        columns, names = [own.volume, own.energy, own.bulk_modulus], [q.name for q in self.quantities]
        reasons = [why or self._held(theta, x) for theta, x, why in zip(thetas, own.x, own.reasons, strict=True)]
        if "a" in names:
            columns.append(self._lattice_constant(own.volume))
        if "c_over_a" in names:
            at, start = self.crystal.coordinates, self.crystal.structure.atoms.cell.array
            columns.append(np.array([_c_over_a(at.at(x)[1], start) for x in own.x]))
        if self.other is not None:
            other = self.other.expansion.minima(thetas)
            columns += [own.energy - other.energy, own.volume / other.volume]
            name, both = self.other.structure.name, zip(reasons, other.reasons, strict=True)
            reasons = [mine + tuple(f"{name}: {reason}" for reason in his) for mine, his in both]
        return Expansion(np.array(columns).T, reasons, own.n_evaluations)

    def curves(self, thetas: np.ndarray) -> Curves | None:
        """See `Property.curves`."""
        curve, theta = self.crystal.curve(), self.potential.theta
        labels = ("volume, Å³/atom", "energy, eV/atom")
        return Curves(curve.volumes, curve.energies(theta)[0], curve.energies(thetas), *labels)

    def _held(self, theta, x):
        return (HELD,) if self.crystal.only_symmetry_holds(theta, x) else ()

    def _own(self, relaxed, bulk):
        n = self.crystal.system.n_atoms
        volume = abs(np.linalg.det(relaxed.cell)) / n
        values = [volume, relaxed.energy / n, bulk]
        names = [q.name for q in self.quantities]
        if "a" in names:
            values.append(self._lattice_constant(volume))
        if "c_over_a" in names:
            values.append(_c_over_a(relaxed.cell, self.crystal.structure.atoms.cell.array))
        return np.array(values)

    def _lattice_constant(self, volume):
        return np.cbrt(self.crystal.structure.cubic_atoms * volume)

    def _minimum_of_other(self, theta):
        # the crystal itself is shared, and differs from others of its name by element and volume
        other = cast(Crystal, self.other)
        kept = self.potential.shared.setdefault(("minimum", id(other)), OrderedDict())
        key = np.asarray(theta).tobytes()
        if key not in kept:
            try:
                kept[key] = other.member(theta)
            except PropertyFailure as failure:
                raise PropertyFailure(f"{other.structure.name}: {failure}") from failure
            while len(kept) > KEPT:
                kept.popitem(last=False)
        return kept[key]


def refuse_another_composition(own: Structure, other: Structure) -> None:
    """UqError for a compound relative to another composition: energies of atoms of different elements have no common zero."""
    counts = [Counter(s.atoms.get_chemical_symbols()) for s in (own, other)]
    shares = [{element: count / sum(found.values()) for element, count in found.items()} for found in counts]
    if shares[0] != shares[1]:
        formulas = [s.atoms.get_chemical_formula(empirical=True) for s in (own, other)]
        raise UqError(f"structure {own.name} is {formulas[0]}, relative_to {other.name} is {formulas[1]}; accepted: a phase of the same "
                      "composition, or relative_to: '' for none")  # fmt: skip


def _relative(relaxed, other):
    """Energy of an atom less that in the other phase (eV), and the ratio of their volumes."""
    own, reference = ((r.energy / len(r.positions), abs(np.linalg.det(r.cell)) / len(r.positions)) for r in (relaxed, other))
    return np.array([own[0] - reference[0], own[1] / reference[1]])


def _c_over_a(cell, start):
    """c/a after a strain diag(e, e, f) of a cell; of a rhombohedral one in hexagonal axes."""
    change = np.linalg.solve(start, cell)
    return change[2, 2] / change[0, 0] * _start_c_over_a(start)


def _start_c_over_a(cell):
    lengths = np.linalg.norm(cell, axis=1)
    if abs(cell[:, 2]).min() > 1e-6:  # rhombohedral: three vectors about z
        return cell[:, 2].sum() / np.linalg.norm(cell[0] - cell[1])
    return lengths[2] / lengths[0]
