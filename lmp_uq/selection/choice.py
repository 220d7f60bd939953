# SPDX-License-Identifier: GPL-2.0-or-later
"""From a pool of frames to those that are worth a label, in the order of their worth."""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from lmp_uq.backbone.identity import identity_of
from lmp_uq.errors import UqError, argument
from lmp_uq.frames.memory import FrameSource, sources_of
from lmp_uq.frames.streaming import stream_frames
from lmp_uq.modelfile import ModelFile
from lmp_uq.novelty.fit import fit_novelty_blocks
from lmp_uq.novelty.grade import Novelty
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.selection.known import Known
from lmp_uq.selection.pool import Candidate, Pool, alike
from lmp_uq.selection.quota import Quota
from lmp_uq.selection.ways import Choice, at_random, by_distance, by_gain, by_grade, everyone, farthest_point_sampler, gains_of

WAYS = ("logdet", "farthest", "grade", "random")


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes
    ----------
    count : int
        Frames to choose.
    by : {"logdet", "farthest", "grade", "random"}
    min_grade, max_grade : float or None
        Window of the largest grade of a frame.
    quota, group_quota : mapping
        Most frames of an element, and of a group.
    elements : sequence of str
        Of the atom types of LAMMPS dumps without a column element.
    seed : int
        Of random choices, and of the folds of a grade that seen frames give.
    group_key : str
        Entry of ``atoms.info`` that names a frame's group.
    up_to : bool
        Fewer frames than `count`, or none, where fewer can be chosen.
    """

    count: int
    by: str = "logdet"
    min_grade: float | None = None
    max_grade: float | None = None
    quota: Mapping[str, int] = field(default_factory=dict)
    group_quota: Mapping[str, int] = field(default_factory=dict)
    elements: Sequence[str] = ()
    seed: int = 0
    group_key: str = "config_type"
    up_to: bool = False

    def check(self) -> None:
        """UqError for what no pool could give."""
        if isinstance(self.count, bool) or not isinstance(self.count, int | np.integer) or self.count < 1:
            raise UqError(f"{argument('count', self.count)}; accepted: a whole number of 1 or more")
        if self.by not in WAYS:
            raise UqError(f"{argument('by', self.by)}; accepted: {', '.join(WAYS)}")
        for name in ("quota", "group_quota"):
            for word, most in getattr(self, name).items():
                if isinstance(most, bool) or not isinstance(most, int | np.integer) or most < 0:
                    raise UqError(f"{argument(name)} {word}={most}; accepted: a whole number of 0 or more")
        low, high = self.window
        if not low < high:
            raise UqError(f"{argument('min_grade', low)}, {argument('max_grade', high)}; accepted: the first below the second")
        if self.by == "farthest":
            farthest_point_sampler()

    @property
    def window(self) -> tuple[float, float]:
        """Least and largest grade that are accepted."""
        return (0.0 if self.min_grade is None else self.min_grade, np.inf if self.max_grade is None else self.max_grade)

    @property
    def has_window(self) -> bool:
        """Whether frames are left out by their grade."""
        return self.min_grade is not None or self.max_grade is not None


@dataclass(frozen=True)
class Source:
    """What evaluates frames, and what its file knows.

    backbone; identity: hash of it and its arithmetic; novelty: the grade of the file, None without; labelled: content hashes of frames
    that shaped the file; name: of the model, for messages.
    """

    backbone: Any
    identity: str
    novelty: Novelty | None
    labelled: frozenset[int]
    name: str

    @classmethod
    def of(cls, file: ModelFile, backbone: Any, name: str, *, like: bool = True) -> Source:
        """Of a model file and its backbone; `like` False: nothing but its descriptors."""
        arithmetic = f"{backbone.precision}, {backbone.engine}"
        identity = identity_of(file.header.backbone.to_dict(), file.section("backbone"), arithmetic)
        novelty = Novelty.from_tensors(file.section("grade")) if like and file.header.grade else None
        labelled = [int(key) for keys in file.section("roles").values() for key in keys] if like else []
        return cls(backbone, identity, novelty, frozenset(labelled), name)


class Chooser:
    """One choice; collective over ranks.

    Parameters
    ----------
    source : Source
    request : Request
    folder : path
        For descriptors.
    ranks : Ranks
    progress : bool
    """

    def __init__(self, source: Source, request: Request, folder: str | Path, ranks: Ranks, progress: bool) -> None:
        request.check()
        self._source, self._request, self._folder, self._ranks, self._progress = source, request, folder, ranks, progress

    def choose(self, data: FrameSource | Iterable[FrameSource], seen: FrameSource | Iterable[FrameSource] = ()) -> dict[str, Any]:
        """What to label.

        Parameters
        ----------
        data : path, ase.Atoms or iterable of them
            The pool.
        seen : path, ase.Atoms or iterable of them
            Frames that have labels, or will: to be unlike. Of a file without grade they are all that is known.

        Returns
        -------
        dict
            by, count, seed; n_frames, n_duplicates, n_labelled, n_outside, n_candidates; chosen: list of dict (number, source, group,
            n_atoms, element, grade, gain, score); next_gain, unit_gain, n_worth: how many of the chosen gain at least one unit; full:
            names whose quota is full. None for what cannot be said.

        Raises
        ------
        UqError
            No frames, fewer candidates than are asked for, a quota of what does not occur, nothing that grades where a grade is needed;
            as `stream_frames` and `Pool`.

        Warns
        -----
        UserWarning
            Quotas leave fewer frames than were asked for.
        """
        request, ranks = self._request, self._ranks
        shown = self._pool(seen, "seen frames", self._source.novelty) if sources_of(seen) else None
        novelty = self._source.novelty or self._novelty_of(shown)
        pool = self._pool(data, "frames", novelty)
        if not pool.n_frames:
            raise UqError("there are no frames in the pool; accepted: at least one")
        known = None if novelty is None else Known(novelty, self._source.backbone.elements)
        if known is not None and shown is not None and self._source.novelty is not None:
            squares = known.squares(known.parts(*shown.descriptors(k)) for k in range(len(shown)))
            known.add_squares(ranks.sum(squares))
        counts = self._narrow(pool, shown)
        quota = Quota(request.quota, request.group_quota)
        everybody = everyone(pool, ranks)
        if everybody or not request.up_to:
            quota.check({symbol for one in everybody for symbol in one.elements}, {one.group for one in everybody})
        count = min(request.count, len(everybody)) if request.up_to else request.count
        chosen, gains, next_gain = self._choice(pool, shown, known, quota, count) if everybody else ([], [], None)
        if len(chosen) < count:
            warnings.warn(f"{len(chosen)} of {count} frames: the quotas of {', '.join(quota.full)} are full", stacklevel=2)
        unit = None if known is None else known.unit
        found = {"by": request.by, "count": request.count, "seed": request.seed} | counts
        found |= {"chosen": [_entry(one, gain) for one, gain in zip(chosen, gains, strict=True)], "full": quota.full}
        worth = None if unit is None else sum(gain is not None and gain >= unit for gain in gains)
        return found | {"next_gain": next_gain, "unit_gain": unit, "n_worth": worth}

    def _pool(self, data: Any, what: str, novelty: Novelty | None) -> Pool:
        frames = stream_frames(data, self._request.elements, what)
        return Pool(
            frames, self._source.backbone, self._folder, self._source.identity, self._ranks, novelty=novelty,
            group_key=self._request.group_key, progress=what if self._progress else "",
        )  # fmt: skip

    def _novelty_of(self, shown: Pool | None) -> Novelty | None:
        request, elements = self._request, self._source.backbone.elements
        if shown is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an element in one frame alone has no grade, and all that is needed here
                return fit_novelty_blocks(shown, len(elements), seed=request.seed, ranks=self._ranks)
        if request.by in ("logdet", "grade") or request.has_window:
            what = argument("by", request.by) if request.by in ("logdet", "grade") else argument("min_grade")
            raise UqError(f"{what}: {self._source.name} holds no grade; accepted: a file that lmp-uq fit made, or {argument('seen')}")
        return None

    def _narrow(self, pool: Pool, shown: Pool | None) -> dict[str, int]:
        """Keep one of equal frames, none that has labels, and those in the window; how many there were."""
        request, ranks = self._request, self._ranks
        first, labelled = _likes(pool, shown, self._source.labelled, ranks)
        low, high = request.window

        def fate(one: Candidate) -> str:
            if one.number in labelled:
                return "n_labelled"
            if one.number not in first:
                return "n_duplicates"
            return "n_candidates" if not request.has_window or low <= one.grade <= high else "n_outside"

        fates = [fate(one) for one in pool.candidates]
        pool.keep([k for k, mine in enumerate(fates) if mine == "n_candidates"])
        names = ("n_duplicates", "n_labelled", "n_outside", "n_candidates")
        mine = Counter(fates)
        counts = dict(zip(names, ranks.sum(np.array([mine[name] for name in names])).tolist(), strict=True))
        if counts["n_candidates"] < request.count and not request.up_to:
            lost = f"{counts['n_duplicates']} duplicates, {counts['n_labelled']} with labels, {counts['n_outside']} outside the window"
            raise UqError(
                f"{argument('count', request.count)}: of {pool.n_frames} frames {counts['n_candidates']} can be chosen ({lost}); "
                "accepted: at most so many"
            )
        return {"n_frames": pool.n_frames} | counts

    def _choice(
        self, pool: Pool, shown: Pool | None, known: Known | None, quota: Quota, count: int
    ) -> tuple[list[Choice], Sequence[float | None], float | None]:
        request, ranks = self._request, self._ranks
        if request.by == "logdet" and known is not None:
            chosen, left = by_gain(pool, known, quota, count, ranks)
            return chosen, [one.score for one in chosen], left
        ways: dict[str, Callable[[], list[Choice]]] = {
            "farthest": lambda: by_distance(pool, self._means(shown), quota, count, ranks),
            "grade": lambda: by_grade(pool, quota, count, ranks),
            "random": lambda: at_random(pool, quota, count, request.seed, ranks),
        }
        chosen = ways[request.by]()
        return chosen, [None] * len(chosen) if known is None else gains_of(pool, known, chosen, ranks), None

    def _means(self, shown: Pool | None) -> np.ndarray:
        width = self._source.backbone.n_features
        return np.zeros((0, width)) if shown is None else np.concatenate(self._ranks.gather(shown.means))


def _likes(pool: Pool, shown: Pool | None, labelled: frozenset[int], ranks: Ranks) -> tuple[set[int], set[int]]:
    """Numbers of the frames of the pool that stand for all like them, by their content hash, and of those like one that has labels."""
    every = [(one.key, one.number, one.key in labelled, mark) for one, mark in zip(pool.candidates, pool.marks, strict=True)]
    if shown is not None:
        every += [(one.key, -1, True, mark) for one, mark in zip(shown.candidates, shown.marks, strict=True)]
    frames = [one for mine in ranks.gather(every) for one in mine]
    if not frames:
        return set(), set()
    kinds = alike(np.array([one[3] for one in frames]))
    known = {kind for kind, one in zip(kinds, frames, strict=True) if one[2]}
    first: dict[int, tuple[int, int]] = {}
    for kind, (key, number, _, _) in zip(kinds, frames, strict=True):
        first[kind] = min((key, number), first.get(kind, (key, number)))
    return {number for _, number in first.values()}, {one[1] for kind, one in zip(kinds, frames, strict=True) if kind in known}


def _entry(choice: Choice, gain: float | None) -> dict[str, Any]:
    one = choice.candidate
    same = {name: getattr(one, name) for name in ("number", "source", "group", "n_atoms")}
    grade = one.grade if np.isfinite(one.grade) else None
    return same | {"element": choice.element, "grade": grade, "gain": gain, "score": choice.score}


@dataclass(frozen=True, eq=False, repr=False)
class Selection:
    """What was chosen.

    Attributes
    ----------
    frames : list of ase.Atoms
        In the order of the choice, see `atoms_of`.
    gains : list of float or None
        What each adds to what was known before it.
    n_worth : int or None
        How many gain at least one unit: further labels add less than an atom like those of the training would.
    found : dict
        As `Chooser.choose`.
    """

    frames: list[Atoms]
    gains: list[float | None]
    n_worth: int | None
    found: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return f"Selection of {len(self)} of {self.found['n_candidates']} frames by {self.found['by']}"


def select_frames(source: Source, pool: Any, seen: Any, progress: bool, options: Mapping[str, Any]) -> Selection:
    """`Chooser.choose` by this process alone; options: those of `Request`.

    Raises
    ------
    UqError
        An option that there is not; as `Chooser`.
    """
    known = [one.name for one in fields(Request)]
    for name in options:
        if name not in known:
            raise UqError(f"there is no option {name!r}; accepted: {', '.join(known)}")
    request, data = Request(**options), sources_of(pool, "pool")
    with tempfile.TemporaryDirectory() as folder:
        found = Chooser(source, request, folder, Ranks(), progress).choose(data, sources_of(seen, "seen"))
    return Selection(atoms_of(found, data, request.elements), [one["gain"] for one in found["chosen"]], found["n_worth"], found)


def atoms_of(found: Mapping[str, Any], data: FrameSource | Iterable[FrameSource], elements: Sequence[str] = ()) -> list[Atoms]:
    """The chosen frames, read again, in the order of the choice; ``info`` says why: select_rank, select_gain, select_grade, select_source.

    Results of a run that the frames held (energies and forces of a dump) are left out: they are no labels.
    """
    place = {one["number"]: k for k, one in enumerate(found["chosen"])}
    out: dict[int, Atoms] = {}
    for located in stream_frames(data, elements):
        if located.number in place:
            k = place[located.number]
            out[k] = located.read()
            one = found["chosen"][k]
            said = {"select_rank": k + 1, "select_gain": one["gain"], "select_grade": one["grade"], "select_source": one["source"]}
            out[k].info |= {name: value for name, value in said.items() if value is not None}
    return [out[k] for k in range(len(place))]
