# SPDX-License-Identifier: GPL-2.0-or-later
"""What is chosen of a pool: the same by brute force, from memory and from a stream, in any order of files; quotas, windows, copies."""

from __future__ import annotations

import gzip
import sys
from dataclasses import replace

import ase.io
import numpy as np
import pytest
from lammps_cases import crystal

from lmp_uq import modelfile
from lmp_uq.errors import UqError
from lmp_uq.frames.frame import content_hash
from lmp_uq.novelty.grade import Novelty
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.selection import pool as pool_module
from lmp_uq.selection.choice import Chooser, Request, Source, select_frames
from lmp_uq.selection.known import Known

COUNT = 5


def keys(selection) -> list[int]:
    return [content_hash(atoms) for atoms in selection.frames]


def brute_force(source, pool, count, planted=1.0):
    """Greedy choice by determinants of whole matrices; also the gains, and that of the next."""
    known = Known(source.novelty, source.backbone.elements)
    blocks = []
    for atoms in pool:
        graph, _ = pool_module.graph_for(source.backbone, [atoms])
        descriptors = np.asarray(source.backbone.evaluate(graph, False).descriptors)
        width = descriptors.shape[1]
        wide = np.zeros((len(atoms), 2 * width))  # a block of columns for each element
        for z, x in known.parts(descriptors, graph.species).items():
            wide[: len(x), z * width : (z + 1) * width] = x if z == 0 else 0.0
            if z:
                wide = np.vstack([wide, np.pad(x, ((0, 0), (z * width, 0)))])
        blocks.append(planted * wide)
    total, chosen, gains = np.eye(blocks[0].shape[1]), [], []
    for _ in range(count + 1):
        now = np.linalg.slogdet(total)[1]
        worth = [np.linalg.slogdet(total + x.T @ x)[1] - now for x in blocks]
        best = max((k for k in range(len(pool)) if k not in chosen), key=worth.__getitem__)
        chosen.append(best)
        gains.append(worth[best])
        total = total + blocks[best].T @ blocks[best]
    return chosen[:-1], gains[:-1], gains[-1]


def test_greedy_choice_is_that_of_brute_force(source, model, pool):
    found = model.select(pool, COUNT, progress=False)
    chosen, gains, following = brute_force(source, pool, COUNT)
    assert keys(found) == [content_hash(pool[k]) for k in chosen]
    np.testing.assert_allclose(found.gains, gains, rtol=1e-8)
    assert found.found["next_gain"] == pytest.approx(following, rel=1e-8)
    assert found.n_worth == sum(gain >= found.found["unit_gain"] for gain in gains)
    assert [atoms.info["select_rank"] for atoms in found.frames] == [1, 2, 3, 4, 5]
    assert found.frames[0].info["select_gain"] == found.gains[0] > found.gains[1]
    _, wrong, _ = brute_force(source, pool, COUNT, planted=2.0)
    assert not np.allclose(found.gains, wrong, rtol=1e-3)


def test_gains_that_fall_below_others_are_computed_anew(source, model):
    """Families of nearly equal frames: what one of them gained before says nothing of the next, so that the order of old gains is wrong."""
    rng, families = np.random.default_rng(5), []
    for k, rattle in enumerate((0.3, 0.26, 0.22, 0.18)):
        one = crystal(rattle=rattle, seed=800 + k)
        for _ in range(4):
            families.append(one.copy())
            families[-1].positions += rng.normal(0.0, 0.01, (len(one), 3))
    found = model.select(families, 9, progress=False)
    chosen, gains, following = brute_force(source, families, 9)
    assert keys(found) == [content_hash(families[k]) for k in chosen] and found.found["next_gain"] == pytest.approx(following, rel=1e-8)
    alone = [model.select([atoms], 1, progress=False).gains[0] for atoms in families]
    assert chosen != np.argsort(alone)[::-1][:9].tolist(), "not the order of the gains alone"
    np.testing.assert_allclose(found.gains, gains, rtol=1e-8)


def test_streams_and_memory_and_orders_give_the_same(model, pool, tmp_path, monkeypatch):
    expected = model.select(pool, COUNT, progress=False)
    ase.io.write(tmp_path / "a.xyz", pool[:11])
    ase.io.write(tmp_path / "b.xyz", pool[11:])
    (tmp_path / "b.xyz.gz").write_bytes(gzip.compress((tmp_path / "b.xyz").read_bytes()))
    monkeypatch.setattr(pool_module, "MEMORY", 1)  # bytes: one batch at a time, the others come from the disk
    monkeypatch.setattr(pool_module, "BATCH_ATOMS", 20)
    for paths in (["a.xyz", "b.xyz"], ["b.xyz.gz", "a.xyz"]):
        found = model.select([tmp_path / path for path in paths], COUNT, progress=False)
        names = [[atoms.info["config_type"] for atoms in one.frames] for one in (found, expected)]
        assert names[0] == names[1]
        np.testing.assert_allclose(found.gains, expected.gains, rtol=1e-5)  # positions in the files are rounded
        assert all(np.allclose(a.positions, b.positions, atol=1e-7) for a, b in zip(found.frames, expected.frames, strict=True))


@pytest.mark.parametrize("by", ["logdet", "farthest", "grade", "random"])
def test_the_order_of_the_pool_does_not_matter(model, pool, by):
    mixed = [pool[k] for k in np.random.default_rng(0).permutation(len(pool))]
    assert keys(model.select(pool, COUNT, by=by, progress=False)) == keys(model.select(mixed, COUNT, by=by, progress=False))


def test_copies_are_chosen_once(model, pool):
    """Exact ones, moved, rotated, of permuted atoms, repeated; a frame that is only like another is none."""
    hot = pool[-1]
    moved, rotated, permuted = hot.copy(), hot.copy(), hot[np.random.default_rng(1).permutation(len(hot))]
    moved.positions += (0.3, -0.2, 0.1)
    rotated.rotate(40.0, (1, 2, 3), rotate_cell=True)
    near = hot.copy()
    near.positions[0] += (0.02, 0.0, 0.0)
    every = [*pool, hot.copy(), moved, rotated, permuted, hot.repeat((1, 1, 2)), near]
    found = model.select(every, len(pool) + 1, progress=False)
    assert found.found["n_duplicates"] == 5 and found.found["n_candidates"] == len(pool) + 1
    assert len(set(keys(found))) == len(pool) + 1
    with pytest.raises(UqError, match=r"count=20: of 24 frames 19 can be chosen \(5 duplicates"):
        model.select(every, 20, progress=False)


def test_frames_with_labels_are_left_out(model, models, pool):
    trained = ase.io.read(models.full.parent / "train.xyz", ":3")
    found = model.select([*pool, *trained], COUNT, seen=[pool[-1], pool[3]], progress=False)
    assert found.found["n_labelled"] == 5
    assert not {content_hash(pool[-1]), content_hash(pool[3])} & set(keys(found))


def test_seen_frames_are_known(source, pool):
    """Seen frames count as chosen ones do: what follows them is what followed the same frames as choices."""
    whole = select_frames(source, pool, (), False, {"count": 6})
    rest = select_frames(source, pool, whole.frames[:2], False, {"count": 4})
    assert keys(rest) == keys(whole)[2:]
    np.testing.assert_allclose(rest.gains, whole.gains[2:], rtol=1e-8)


@pytest.mark.parametrize("by", ["farthest", "grade", "random"])
def test_gains_of_other_ways_are_those_beside_the_frames_before(source, pool, by):
    """As what the frame alone would gain by log det, those before it seen."""
    found = select_frames(source, pool, (), False, {"count": 4, "by": by})
    for k, gain in enumerate(found.gains):
        alone = select_frames(source, found.frames[k : k + 1], found.frames[:k], False, {"count": 1})
        assert gain == pytest.approx(alone.gains[0], rel=1e-9)


def test_a_model_of_which_only_the_descriptors_are_used(source, models):
    file = modelfile.read(models.full)
    mine = Source.of(file, source.backbone, "x", like=False)
    assert mine.novelty is None and not mine.labelled and mine.identity == source.identity
    assert Source.of(file, source.backbone, "x").labelled and source.novelty is not None


def test_folds_of_a_grade_of_seen_frames_follow_the_seed(bare, source, models, pool):
    train = models.full.parent / "train.xyz"
    grades = [select_frames(bare, pool, train, False, {"count": 1, "by": "grade", "seed": seed}).found["chosen"][0] for seed in (0, 1)]
    own = select_frames(source, pool, (), False, {"count": 1, "by": "grade"}).found["chosen"][0]
    assert grades[0]["grade"] == pytest.approx(own["grade"], rel=1e-6), "the fit of the file had the same folds"
    assert grades[0]["number"] == grades[1]["number"] and abs(grades[0]["grade"] / grades[1]["grade"] - 1.0) > 1e-6


def test_descriptors_in_a_folder_are_those_of_the_model(source, models, pool, tmp_path):
    """Another model, and another order of the frames, find nothing of these there."""
    other = replace(source, identity="of another", backbone=Shifted(source.backbone))
    expected = Chooser(other, Request(3), tmp_path / "new", Ranks(), False).choose(pool)
    first = Chooser(source, Request(3), tmp_path / "kept", Ranks(), False).choose(pool)
    assert Chooser(other, Request(3), tmp_path / "kept", Ranks(), False).choose(pool) == expected != first
    turned = Chooser(source, Request(3), tmp_path / "kept", Ranks(), False).choose(pool[::-1])
    assert [one["number"] for one in turned["chosen"]] == [len(pool) - 1 - one["number"] for one in first["chosen"]]


class Shifted:
    """A backbone with other descriptors."""

    def __init__(self, backbone):
        self._backbone = backbone

    def __getattr__(self, name):
        return getattr(self._backbone, name)

    def evaluate(self, graph, *more):
        found = self._backbone.evaluate(graph, *more)
        return found._replace(descriptors=2.0 * np.asarray(found.descriptors)) if hasattr(found, "_replace") else replace(
            found, descriptors=2.0 * np.asarray(found.descriptors)
        )  # fmt: skip


def test_seen_frames_are_all_that_a_file_without_grade_knows(bare, source, models, pool):
    train = models.full.parent / "train.xyz"
    found = select_frames(bare, pool, train, False, {"count": COUNT})
    expected = select_frames(replace(source, labelled=frozenset()), pool, (), False, {"count": COUNT})
    assert keys(found) == keys(expected)  # whose grade was fitted on the same frames
    np.testing.assert_allclose(found.gains, expected.gains, rtol=1e-4)
    for by in ("logdet", "grade"):
        with pytest.raises(UqError, match=f"by='{by}': .* holds no grade; accepted: a file that lmp-uq fit made, or seen"):
            select_frames(bare, pool, (), False, {"count": 2, "by": by})
    assert len(select_frames(bare, pool, (), False, {"count": 2, "by": "farthest"}).frames) == 2
    assert select_frames(bare, pool, (), False, {"count": 2, "by": "random"}).gains == [None, None]


def test_elements_that_nothing_was_fitted_on_have_no_grade(source, pool):
    novelty = source.novelty
    z = source.backbone.elements.index("Si")
    radius = novelty.radius.copy()
    radius[z] = np.nan
    blind = Novelty.from_tensors({"mean": novelty.mean, "whitening": novelty.whitening, "radius": radius})
    found = select_frames(replace(source, novelty=blind), pool[6:12], (), False, {"count": 1, "by": "grade"})
    (one,) = found.found["chosen"]
    assert one["grade"] is None and one["score"] == np.inf and one["element"] == "Si" and np.isfinite(one["gain"])


@pytest.mark.parametrize("with_seen", [False, True])
def test_farthest_points_are_those_of_the_definition(source, pool, with_seen):
    seen = pool[:3] if with_seen else []
    candidates = pool[3:] if with_seen else pool
    found = select_frames(source, candidates, seen, False, {"count": COUNT, "by": "farthest"})

    def mean(atoms):
        graph, _ = pool_module.graph_for(source.backbone, [atoms])
        return np.asarray(source.backbone.evaluate(graph, False).descriptors).mean(axis=0)

    points = np.array([mean(atoms) for atoms in candidates])
    start = np.array([mean(atoms) for atoms in seen]) if with_seen else points.mean(axis=0)[None]
    every = np.concatenate([start, points])
    points, start = ((one - every.mean(axis=0)) / every.std(axis=0) for one in (points, start))
    distance, chosen, distances = np.linalg.norm(points[:, None] - start, axis=2).min(axis=1), [], []
    for _ in range(COUNT):
        chosen.append(int(distance.argmax()))
        distances.append(distance.max())
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    assert keys(found) == [content_hash(candidates[k]) for k in chosen]
    np.testing.assert_allclose([one["score"] for one in found.found["chosen"]], distances, rtol=1e-6)


def test_farthest_points_need_a_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "skmatter.sample_selection", None)
    with pytest.raises(UqError, match=r'accepted: pip install "lmp-uq\[farthest\]"'):
        Request(2, by="farthest").check()


def test_random_choices_follow_the_seed(model, pool):
    first, again, other = (keys(model.select(pool, COUNT, by="random", seed=seed, progress=False)) for seed in (1, 1, 2))
    assert first == again != other
    drawn = [key for seed in range(60) for key in keys(model.select(pool[:4], 2, by="random", seed=seed, progress=False))]
    counts = np.array([drawn.count(content_hash(atoms)) for atoms in pool[:4]])
    assert (np.abs(counts - 30) < 4.0 * np.sqrt(60 * 0.25)).all(), "each with a chance of one half"


def test_frames_that_cannot_be_are_refused(model, pool, monkeypatch):
    for change, reason in ((lambda atoms: atoms.symbols.__setitem__(0, "W"), r"pool\[1\]: elements W found; accepted: "),
                           (lambda atoms: atoms.positions.__setitem__(0, np.nan), "pool, frame 1: .*NaN"),
                           (lambda atoms: atoms.__delitem__(slice(None)), "pool, frame 1: .*no atoms")):  # fmt: skip
        broken = [atoms.copy() for atoms in pool[:3]]
        change(broken[1])
        with pytest.raises(UqError, match=reason):
            model.select(broken, 1, progress=False)
    with pytest.raises(UqError, match="there are no frames in the pool"):
        model.select([], 1, progress=False)
    plain = pool_module._descriptors

    def spoilt(backbone, frames):
        descriptors, species = plain(backbone, frames)
        descriptors[len(frames[0].atoms), 2] = np.nan  # of the first atom of the second frame
        return descriptors, species

    monkeypatch.setattr(pool_module, "_descriptors", spoilt)
    with pytest.raises(UqError, match=r"pool\[1\]: descriptors are NaN or infinite"):
        model.select(pool[:3], 1, progress=False)


def test_an_interrupted_choice_goes_on_where_it_stopped(source, pool, tmp_path, monkeypatch):
    monkeypatch.setattr(pool_module, "BATCH_ATOMS", 20)
    plain, made = pool_module._descriptors, []

    def counted(backbone, frames):
        if len(made) == limit:
            raise KeyboardInterrupt
        made.append(len(frames))
        return plain(backbone, frames)

    monkeypatch.setattr(pool_module, "_descriptors", counted)
    limit = 3
    chooser = Chooser(source, Request(COUNT), tmp_path, Ranks(), False)
    with pytest.raises(KeyboardInterrupt):
        chooser.choose(pool)
    limit, kept = 1000, sorted(tmp_path.iterdir())
    kept[0].write_bytes(kept[0].read_bytes()[:100])  # damaged: made anew
    found = chooser.choose(pool)
    assert len(kept) == 3 and sum(made) - len(pool) in made[:3], "every frame once, but for those of the damaged file"
    assert found == Chooser(source, Request(COUNT), tmp_path / "new", Ranks(), False).choose(pool)
