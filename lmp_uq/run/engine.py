# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs inside a LAMMPS step: backbone, posterior, grade and calibration of one model file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq import modelfile
from lmp_uq.backbone.families import MACE
from lmp_uq.backbone.graph import Graph
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.calibration import ordinal_head, probe
from lmp_uq.calibration.force_error import LEVEL, ForceError
from lmp_uq.calibration.grade_error import GradeError, bar_of_energies
from lmp_uq.calibration.scaled_error import ScaledError
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.calibration.versions import force_error_of
from lmp_uq.errors import UqError
from lmp_uq.modelfile import ModelFile
from lmp_uq.novelty.grade import Novelty
from lmp_uq.posterior.box import Box
from lmp_uq.posterior.features import append_bias
from lmp_uq.quantities import FORCES, SCALED
from lmp_uq.run.arguments import check_counts, classifier_of, force_members_in_use, members_in_use, name_of_model, network_of, species_of
from lmp_uq.run.elements import summary_of, warning_of
from lmp_uq.run.members import member_weights, readout_of

FIELDS = (
    "energy_std", "energy_lower", "energy_upper", "force_error", "grade", "force_error_50", "force_error_95",
    "force_std", "force_std_x", "force_std_y", "force_std_z", "neighbour_grade", "error_above", "reliability",
)  # fmt: skip
"""Per-atom fields, in the order of csrc/lammps/bridge.h."""
TOTALS = ("stress_std", "members", "energy_error", "stress_error")
"""Quantities of the whole system beside the bars of the total energy, in the order of csrc/lammps/bridge.h."""
NOT_MACE = (
    "holds a linear potential, which a pair style of LAMMPS runs: lmp-uq export writes its files, compute uq/linear gives its bars; "
    "accepted here: family mace"
)
NEIGHBOUR_GRADE, ERROR_ABOVE, RELIABILITY = "neighbour_grade", "error_above", "reliability"
_LEVELS = {"force_error_50": 0.5, "force_error_95": 0.95}


class Engine:
    """One model file, ready to be evaluated on the graphs of one rank.

    Attributes
    ----------
    cutoff : float
        Angstrom.
    n_features : int
        Length of a feature sum, bias columns included; 0 without a posterior.
    n_members, n_force_members : int
        Members in use: of the bounds and of the members' energies; of the force and stress bars.
    sha256, summary, warning : str
        Hash of the file's bytes; one line for the log; empty or what the user should know.
    header : lmp_uq.modelfile.Header
        Of the file.
    exchange : lmp_uq.backbone.graph.Exchange or None
        That of the graph whose derivatives are kept: the methods for gradients move ghost rows through it.
    probe : lmp_uq.calibration.probe.Probe or None
        The file's classifier of frames.
    readout : lmp_uq.posterior.p_readout.PReadout or None
        The file's learned members.
    """

    _descriptors: Any
    _node_species: Any
    _energies: Any

    def __init__(
        self,
        file: ModelFile,
        backbone: Any,
        species: Sequence[int] | np.ndarray,
        *,
        n_members: int = 0,
        n_force_members: int = 0,
        conservative: bool = False,
        learned: bool = False,
    ) -> None:
        self.header = header = file.header
        self.backbone = backbone
        self.cutoff = backbone.cutoff
        self.sha256 = file.sha256
        self._species = np.asarray(species, dtype=np.int64)
        self._conservative = conservative
        self._bias = header.posterior.bias if header.posterior else "none"
        # None where the file has no such section; `offers` is asked before they are
        self._box: Any = Box.from_tensors(file.section("posterior")) if header.posterior else None
        self._novelty: Any = Novelty.from_tensors(file.section("grade")) if header.grade else None
        bars = header.bars()
        self._force_error: Any = force_error_of(bars[FORCES.bar]) if FORCES.bar in bars else None
        self._network = network_of(file) if learned else None
        self.probe = classifier_of(file, "probe", probe.Probe, probe.SECTION)
        self._ordinal = classifier_of(file, "ordinal", ordinal_head.OrdinalHead, ordinal_head.SECTION)
        self._totals = {quantity.bar: bar_of_energies(bars[quantity.bar]) for quantity in SCALED if quantity.bar in bars}
        self.n_members = members_in_use(header, n_members)
        self.n_force_members = force_members_in_use(header, n_force_members)
        self._members = file.tensors["posterior/members"][: self.n_members] if header.posterior else None
        self._force_members = file.tensors.get("posterior/force_members", np.zeros((0, 0)))[: self.n_force_members]
        self.readout: Any = readout_of(file)
        self.n_features = 0 if self._box is None else len(self._box.coefficients)
        self.summary = summary_of(self, [f for f in FIELDS if self.offers(f)])
        self.warning = warning_of(self._novelty, self._species, header)
        self._forget()

    @classmethod
    def load(
        cls,
        name: str | os.PathLike[str],
        elements: Sequence[str] | None,
        *,
        device: str = "auto",
        precision: str = "file",
        engine: str = "auto",
        threads: int = 1,
        local_rank: int = 0,
        linear: bool = False,
        file: ModelFile | None = None,
        **options: Any,
    ) -> Engine:
        """Read a model file (or an embedded model's name) for the elements that LAMMPS' types stand for.

        Parameters
        ----------
        elements : sequence of str or None
            None: those of the file.
        device, precision, engine, threads, local_rank
            As in `lmp_uq.backbone.load.backbone_of_file`.
        linear : bool
            Accept a linear potential too, whose atoms `take` is given: its backbone makes no graph.
        file : ModelFile or None
            What was read from the file already.
        n_members, n_force_members : int
            Members to use; 0: all of the file, and FORCE_MEMBERS or what the file holds.
        conservative : bool
            Calibrated bars with their conservative quantiles and factors, see docs/uncertainty.md.
        learned : bool
            force_error from the file's learned quantile.

        Raises
        ------
        UqError
            Something that is no name or number, file that cannot be read, element that the backbone does not have, device that is not
            there, more members than the file holds, learned quantile of a file that holds none.
        """
        check_counts(threads=threads, **{key: options[key] for key in ("n_members", "n_force_members") if key in options})
        if not isinstance(device, str):
            raise UqError(f"device is {device!r}; accepted: auto, cpu, cuda or cuda:N")
        file = file or modelfile.read(modelfile.resolve(name_of_model(name)))
        if file.header.backbone.family != MACE and not linear:
            raise UqError(f"{name} {NOT_MACE}")
        if options.get("learned") and not (file.header.calibration and file.header.calibration.quantile_network):
            raise UqError(f"{name} holds no learned quantile: lmp-uq calibrate --learned-quantile adds one; quantile loglinear needs none")
        species = species_of(elements, file.header.elements, name)
        backbone = backbone_of_file(file, precision, device, engine=engine, threads=threads, local_rank=local_rank)
        return cls(file, backbone, species, **options)

    def offers(self, field: str) -> bool:
        """Whether the file holds what a field or a total needs."""
        if field in ("energy_error", "stress_error") and field not in self._totals:
            return False
        if field == "energy_error" and self.of_mean_grade and self._novelty is None:
            return False
        if field in _LEVELS and _LEVELS[field] not in (self._force_error.levels if self._force_error else ()):
            return False
        if field in ("grade", NEIGHBOUR_GRADE):
            return self._novelty is not None
        if field in ("force_error", *_LEVELS):
            return self._force_error is not None and self._novelty is not None
        if field in (ERROR_ABOVE, RELIABILITY):
            there = self._novelty is not None and isinstance(self._force_error, ForceError)
            return there and (field == ERROR_ABOVE or self._ordinal is not None)
        return self.n_force_members > 0 if field.startswith(("force_std", "stress")) else self._box is not None

    def factor(self, name: str) -> float:
        """What turns the std into energy_error or stress_error; 0 without a calibration, and where it is not made of the std."""
        bar = self._totals.get(name)
        if not isinstance(bar, ScaledError):
            return 0.0
        return bar.conservative_factor if self._conservative else bar.factor

    @property
    def of_mean_grade(self) -> bool:
        """Whether energy_error is made of the mean grade, and not of the std."""
        return isinstance(self._totals.get("energy_error"), GradeError)

    def energy_of_mean_grade(self) -> tuple[float, float]:
        """Intercept, with the level's quantile, and slope of an energy_error of the mean grade; zeros where it is none."""
        bar = self._totals.get("energy_error")
        if not isinstance(bar, GradeError):
            return 0.0, 0.0
        return bar.intercept + (bar.conservative_quantile if self._conservative else bar.quantile), bar.slope

    def energy_error(self, std: float, mean_grade: float, n_atoms: int) -> float:
        """Calibrated bar of a total energy, eV, of its std (eV), or of the mean grade of its atoms."""
        if self.of_mean_grade:
            return float(n_atoms * self._totals["energy_error"].predict(mean_grade, self._conservative))
        return self.factor("energy_error") * std

    def evaluate(self, graph: Graph, energies: np.ndarray, edge_gradients: np.ndarray | None = None, keep: bool = False) -> None:
        """Energies and edge gradients of the model itself; descriptors are kept for the methods below.

        Parameters
        ----------
        graph : lmp_uq.backbone.graph.Graph
            Species are indices into the elements given to `load`.
        energies : (n_local,) array, eV, written
        edge_gradients : (n_edges, 3) array or None, dE/dr_ij in eV/Angstrom, written; None spares the reverse pass
        keep : bool
            Keep the derivatives too, most of the memory of a pass: the methods for gradients need them.
        """
        self._forget()
        graph = self._in_species_of_file(graph)
        evaluation = self.backbone.evaluate(graph, keep or edge_gradients is not None)
        energies[:] = evaluation.energies
        if edge_gradients is not None:
            edge_gradients[:] = self.backbone.pull(evaluation.state, np.ones(graph.n_local))
        self._descriptors = evaluation.descriptors
        self._node_species = graph.species[: graph.n_local]
        self._energies = evaluation.energies
        if keep:
            self._state, self.exchange = evaluation.state, graph.exchange

    def take(self, descriptors: np.ndarray, species: np.ndarray) -> None:
        """Descriptors (n, P) and indices of elements (n,) of atoms that a linear potential was evaluated on, for the methods below."""
        self._forget()
        self._descriptors, self._node_species = descriptors, species

    def per_atom(
        self, field: str, force_norm: Any = None, neighbours: Any = None, correction: np.ndarray | None = None,
        threshold: float | None = None,
    ) -> np.ndarray:
        """One field of the configuration last evaluated, (n_local,).

        Parameters
        ----------
        force_norm, neighbours, correction : (n_local,) array or None
            As in `lmp_uq.calibration.variables.ForceVariables`, for force_error, its levels, error_above and reliability only.
        threshold : float or None
            Of error_above, eV/Angstrom; of reliability, which is the probability that the force error is not above it: one of those that
            the file's head was trained for, None or 0: the middle one.
        """
        if field == "grade":
            return self._grades()
        if field in ("force_error", *_LEVELS, ERROR_ABOVE, RELIABILITY):
            variables = ForceVariables.of(force_norm, self._grades(), neighbours, correction)
            if field == RELIABILITY:
                above = threshold or None
                return 1.0 - self._ordinal.error_above(self._descriptors, variables, self._force_error, above, self._conservative)
            return self.error_above(variables, threshold) if field == ERROR_ABOVE else self._force_bars(field, variables)
        if field not in self._cache:
            self._cache["energy_std"], self._cache["energy_lower"], self._cache["energy_upper"] = self._bars(
                self._features(), self._energies
            )
        return self._cache[field]

    def error_above(self, variables: ForceVariables, threshold: float | None) -> np.ndarray:
        """Probability (n,) that the force error exceeds a threshold, eV/Angstrom, from what `per_atom` makes it of.

        Raises
        ------
        UqError
            A threshold that is negative or not a number; a file without residual quantiles.
        """
        return self._force_error.probability(variables, threshold, self._conservative)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Of reliability, eV/Angstrom; empty where the file does not offer it."""
        return self._ordinal.thresholds if self.offers(RELIABILITY) else ()

    def _force_bars(self, field: str, variables: ForceVariables) -> np.ndarray:
        level = _LEVELS.get(field, LEVEL)
        if self._network is not None:
            return self._network.predict(self._descriptors, variables, self._force_error, level, self._conservative)
        return self._force_error.predict(variables, self._conservative, level)

    def feature_sum(self) -> np.ndarray:
        """Sum of the features of this rank's atoms, (n_features,)."""
        return self._features().sum(axis=0)

    def feature_sums(self, sizes: Sequence[int] | np.ndarray) -> np.ndarray:
        """`feature_sum` (n_frames, n_features) of each of several configurations of these numbers of atoms."""
        return np.array([mine.sum(axis=0) for mine in np.split(self._features(), np.cumsum(sizes)[:-1])])

    def feature_sum_of(self, graph: Graph) -> np.ndarray:
        """Feature sum (n_features,) of the graph last evaluated with other edge vectors, by a forward pass alone.

        All that is kept of the configuration last evaluated stays. Collective: ghost rows are exchanged inside it.
        """
        graph = self._in_species_of_file(graph)
        descriptors = self.backbone.evaluate(graph, gradients=False).descriptors
        return self._with_bias(descriptors, graph.species[: graph.n_local]).sum(axis=0)

    def totals(self, feature_sum: ArrayLike, energy: float) -> np.ndarray:
        """Std, lower and upper (eV) of the total energy from the feature sum over all ranks."""
        return np.array([x[0] for x in self._bars(np.asarray(feature_sum)[None, :], np.array([energy]))])

    def member_energies(self, feature_sum: ArrayLike | None, energy: float) -> np.ndarray:
        """Total energies (eV) of the members in use, (n_members,), from the feature sum over all ranks and the model's energy.

        None in its place: by what the members of the P-readout add to the atoms of this rank."""
        return energy + (self.readout_energies() if feature_sum is None else self._members @ np.asarray(feature_sum))

    @property
    def exchange_width(self) -> int:
        """Of the widest rows that are exchanged with ghosts."""
        return self.backbone.exchange_width

    @property
    def uses_correction(self) -> bool:
        """Whether force_error needs the force of the posterior's mean correction, which costs a backward pass."""
        return self._force_error is not None and self._force_error.correction_slope > 0.0

    def correction_gradients(self, gradients: np.ndarray) -> None:
        """Gradients (n_edges, 3), written, of the posterior's mean correction, eV/Angstrom, in one pull; else as `member_gradients`."""
        gradients[:] = self.backbone.pull(self._state, None, np.tile(self.mean_correction, (len(self._descriptors), 1)))

    @property
    def mean_correction(self) -> np.ndarray:
        """(P,) coefficients of the posterior's mean correction."""
        return self._box.centre()[: self._descriptors.shape[1]]

    @property
    def force_members(self) -> np.ndarray:
        """(n_force_members, P) coefficients of the force members in use, which no bias column belongs to."""
        return self._force_members[:, : self._descriptors.shape[1]]

    def member_gradients(self, first: int, gradients: np.ndarray) -> None:
        """How far some force members are from the model, in one stacked pull. Collective: ghost rows are exchanged inside it.

        Parameters
        ----------
        first : int
            Number of the first force member; those of a P-readout follow the n_force_members of POPS.
        gradients : (n, n_edges, 3) array, written
            Of the members first ... first + n - 1 less the model, eV/Angstrom; bias columns have no derivative.
        """
        gradients[:] = self.backbone.pull(self._state, None, self._weights(first, len(gradients)))

    def _weights(self, first: int, count: int) -> np.ndarray:
        return member_weights(self.force_members, self.readout, self._descriptors, first, count)

    def readout_energies(self, atoms: slice = slice(None)) -> np.ndarray:
        """Energies (n_members,) that the members of the P-readout add to those of atoms of this rank, eV."""
        return self.readout.total_energies(self._descriptors[atoms], self.n_members)

    def energy_gradients(self, weights: np.ndarray, gradients: np.ndarray, member: int | None = None) -> None:
        """Gradients (n_edges, 3), written, of a sum of energies with weights (n_local,), or of what a force member adds; else as above."""
        theta = None if member is None else weights[:, None] * self._weights(member, 1)[0]
        gradients[:] = self.backbone.pull(self._state, weights if theta is None else None, theta)

    def grade_gradients(self, factors: np.ndarray, gradients: np.ndarray) -> None:
        """Gradients (n_edges, 3), written, of the sum of grades with factors (n_local,), 1/Angstrom; else as `member_gradients`."""
        slopes = self._novelty.slope(self._descriptors, self._node_species)
        gradients[:] = self.backbone.pull(self._state, None, factors[:, None] * slopes)

    def std_gradients(self, feature_sum: np.ndarray, gradients: np.ndarray) -> float:
        """Std of the total energy about the posterior's mean, eV, from the feature sum over all ranks; its gradients in eV/Angstrom."""
        slope = self._box.std_slope(feature_sum)[: self._descriptors.shape[1]]
        gradients[:] = self.backbone.pull(self._state, None, np.tile(slope, (len(self._descriptors), 1)))
        return float(self._box.std(feature_sum))

    def memory_usage(self) -> float:
        """Bytes of weights, tables, posterior and of what is kept, but for what torch keeps for derivatives."""
        parts = [array for part in (self._box, self._novelty, self.readout) if part is not None for array in vars(part).values()]
        arrays = (self._members, self._force_members, self._descriptors, self._energies, *self._cache.values(), *parts)
        return float(self.backbone.n_bytes + sum(array.nbytes for array in arrays if isinstance(array, np.ndarray)))

    def _bars(self, features: np.ndarray, energies: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        lower, upper = self._box.bounds(features, self.n_members)
        return self._box.rms(features), energies + lower, energies + upper

    def _features(self) -> np.ndarray:
        if "features" not in self._cache:
            self._cache["features"] = self._with_bias(self._descriptors, self._node_species)
        return self._cache["features"]

    def _with_bias(self, descriptors: np.ndarray, species: np.ndarray) -> np.ndarray:
        return append_bias(descriptors, species, self._bias, len(self.backbone.elements))

    def _in_species_of_file(self, graph: Graph) -> Graph:
        return replace(graph, species=self._species[graph.species])

    def _grades(self) -> np.ndarray:
        if "grade" not in self._cache:
            self._cache["grade"] = self._novelty.grade(self._descriptors, self._node_species)
        return self._cache["grade"]

    def _forget(self) -> None:
        self._cache: dict[str, np.ndarray] = {}
        self._descriptors = self._node_species = self._energies = None
        self._state = self.exchange = None
