# SPDX-License-Identifier: GPL-2.0-or-later
"""DFT frames: reading labelled files, splitting them, and checking that they fit the model.

Which labels are read, under which names, is in `lmp_uq.frames.labels`; how their energies compare with the model's in
`lmp_uq.frames.energy_zero`.
"""

from __future__ import annotations

import gzip
import io
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import ase
import ase.io
from ase.io.formats import filetype, get_ioformat

from lmp_uq import files
from lmp_uq.backbone.graph import has_edges
from lmp_uq.errors import UqError
from lmp_uq.files import atomic_file, existing_file
from lmp_uq.frames.frame import NO_GROUP, Frame, content_hash
from lmp_uq.frames.labels import DEFAULT_KEYS, LabelKeys, find_labels, has_label
from lmp_uq.frames.memory import FrameSource, InMemory, check_geometry, name_of, sources_of
from lmp_uq.frames.notes import ISOLATED, LABELS_OF, REPLACED, UNLABELLED, Note, Notes

__all__ = ["LabelKeys", "hash_file", "name_of", "read_atoms", "read_frames", "write_extxyz"]

_ISOLATED = "IsolatedAtom"  # mace-torch's name
_PROBE = 50_000  # bytes from which ASE guesses a format


def read_frames(
    paths: FrameSource | Iterable[FrameSource],
    keys: LabelKeys = DEFAULT_KEYS,
    group_key: str = "config_type",
    cutoff: float | None = None,
) -> list[Frame]:
    """Read labelled frames from any files that ASE can read, also gzipped, or from ASE Atoms.

    Left out, as mace-torch does, are isolated atoms: single atoms of ``config_type=IsolatedAtom``, and frames in which no atom has a
    neighbour. Their energy is that of the free atom, which a model with other energies of its atoms knows nothing of. Frames whose
    labels all have weight 0 are left out too. What was left out or not read is said in a line per file, and so is a stress of nothing
    but zeros: it counts as missing, which is what it means in the published data sets.

    Parameters
    ----------
    paths : path, ase.Atoms or iterable of them
        Of Atoms, labels are looked for in info, arrays and the results of a SinglePointCalculator; they are copied.
    keys : LabelKeys
        A name that is given must be in at least one frame of every file; only that name is then looked for.
    group_key : str
        Entry of ``atoms.info`` that names the group of a frame.
    cutoff : float or None
        Within which an atom has neighbours, Angstrom; None: not known, isolated atoms are known by their config_type alone.

    Returns
    -------
    list of Frame
        In the order of the files.

    Raises
    ------
    UqError
        Names file and frame: missing, empty or unreadable file; a frame without any label; labels that are no
        numbers, NaN, infinite, of a wrong shape or that contradict each other; a name given in `keys` that is nowhere in a file; no
        frame left.
    """
    paths = sources_of(paths)
    if not paths:
        raise UqError("there are no frames in an empty list; accepted: at least one")
    found = [f for path in paths for f in _read_file(path, LabelKeys(*keys), group_key, cutoff)]
    if not found:
        raise UqError(f"{', '.join(map(str, paths))}: no frame is left; accepted: at least one that is no isolated atom and has a label")
    return found


def read_atoms(paths: FrameSource | Iterable[FrameSource]) -> list[tuple[ase.Atoms, str]]:
    """Atoms and where they are from, ``name[index]``, with labels or without, of any files that ASE can read and of ASE Atoms.

    Raises
    ------
    UqError
        Names file and frame: a file that `read_frames` would not read, a frame without atoms, positions or a cell that are not finite; no
        frames at all.
    """
    found = [(atoms, f"{name_of(path)}[{k}]") for path in sources_of(paths) for k, atoms in enumerate(_read_atoms(path))]
    if not found:
        raise UqError("there are no frames in an empty list; accepted: at least one")
    return found


def hash_file(source: str | Path | InMemory) -> str:
    """SHA-256 of what frames came from. See `lmp_uq.files.hash_file`."""
    return source.sha256() if isinstance(source, InMemory) else files.hash_file(source)


def write_extxyz(path: str | Path, atoms_list: Sequence[ase.Atoms]) -> None:
    """Write frames as extended XYZ, atomically; gzipped if the name ends in .gz.

    Parameters
    ----------
    path : str or Path
    atoms_list : sequence of ase.Atoms

    Raises
    ------
    UqError
        No frames, or the file cannot be written.
    """
    if not len(atoms_list):
        raise UqError(f"{path}: no frames to write; accepted: at least one")
    text = io.StringIO()
    ase.io.write(text, list(atoms_list), format="extxyz", parallel=False)
    data = text.getvalue().encode()
    with atomic_file(path) as stream:
        stream.write(gzip.compress(data, mtime=0) if Path(path).suffix == ".gz" else data)


def _read_file(path: str | Path | InMemory, keys: LabelKeys, group_key: str, cutoff: float | None) -> Iterator[Frame]:
    """Yield the frames of one file; what shows only over the whole file is said or raised at its end."""
    pending = {key for key in keys if key is not None}
    n_frames, notes = 0, Notes()
    for atoms in _read_atoms(path):
        pending = {key for key in pending if not has_label(atoms, key)}
        if _is_isolated(atoms, cutoff):
            notes.add([Note(ISOLATED)], n_frames)
        else:
            labels = find_labels(atoms, keys, f"{path}, frame {n_frames}")
            notes.add(labels.notes if labels.any else [Note(UNLABELLED)], n_frames)
            notes.add([Note(REPLACED)] * (LABELS_OF in atoms.info), n_frames)
            atoms.calc = None
            if labels.any:
                group, source = str(atoms.info.get(group_key, NO_GROUP)), f"{name_of(path)}[{n_frames}]"
                yield Frame(atoms, labels.energy, labels.forces, labels.stress, group, source, content_hash(atoms), labels.weights)
        n_frames += 1
    if n_frames == 0:
        raise UqError(f"{path}: no frames found; accepted: at least one")
    if pending:
        names = ", ".join(sorted(pending))
        raise UqError(f"{path}: label keys {names} are in none of its {n_frames} frames; a name that is given must be in every file")
    for line in notes.lines(n_frames):
        warnings.warn(f"{path}: {line}", stacklevel=2)  # one place for all, so that a file that is read twice is said once


def _is_isolated(atoms: ase.Atoms, cutoff: float | None) -> bool:
    """Whether no atom of a frame has a neighbour."""
    if len(atoms) == 1 and atoms.info.get("config_type") == _ISOLATED:
        return True
    return cutoff is not None and not has_edges(atoms, cutoff)


def _read_atoms(source: str | Path | InMemory) -> Iterator[ase.Atoms]:
    """Yield what ASE reads, its exceptions turned into ours."""
    if not isinstance(source, InMemory):
        yield from _read_file_with_ase(existing_file(source))
        return
    for index, atoms in enumerate(source):
        try:
            check_geometry(atoms)
        except UqError as reason:
            raise UqError(f"{source}, frame {index}: {reason}") from None
        yield atoms


def _read_file_with_ase(path: Path) -> Iterator[ase.Atoms]:
    index = 0
    try:
        source, name = _open(path)
        # parallel=False: ASE would otherwise wait for all ranks of an MPI run, and only one may be reading
        for atoms in ase.io.iread(source, ":", format=name, parallel=False, do_not_split_by_at_sign=True):
            check_geometry(atoms)
            yield atoms
            index += 1
        # ASE takes an empty line for the end of the file
        if not isinstance(source, str) and name == "extxyz" and source.read().strip():
            raise UqError("an empty line is followed by more text; accepted: frames without lines between them")
    except Exception as error:
        # ASE's readers raise nearly every kind of exception for a broken file
        text = str(error) or type(error).__name__
        raise UqError(f"{path}, frame {index}: cannot be read: {text}") from error


def _open(path: Path) -> tuple[io.StringIO | io.BytesIO | str, str]:
    """Return what ASE shall read and the name of its format; extended XYZ and .gz go through memory.

    ASE's indexed read of gzipped text takes a time that grows with the square of its length.
    """
    packed = path.suffix == ".gz"
    data = _content(path, packed)
    probe = io.BytesIO(data[:_PROBE])
    probe.name = path.stem if packed else path.name
    name = filetype(probe)
    kind = get_ioformat(name)
    if not packed and name != "extxyz":
        # an absolute path: ASE takes some beginnings of a name for the address of a database
        return str(path.resolve()), name
    if not kind.acceptsfd:
        raise UqError(f"ASE does not read the format {name} from a gzipped file; unpack it first")
    return (io.BytesIO(data) if kind.isbinary else io.StringIO(data.decode(), newline=None)), name


def _content(path: Path, packed: bool) -> bytes:
    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if packed else data
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UqError(f"no complete gzip file ({error})") from error
    if not data.strip():
        raise UqError("the file is empty")
    return data


