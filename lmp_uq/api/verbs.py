# SPDX-License-Identifier: GPL-2.0-or-later
"""fit, calibrate and validate: recipes with keyword arguments, on frames in memory or in files."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, fields
from numbers import Integral, Real
from typing import Any, TypeAlias, TypeVar

from lmp_uq.api.results import CalibrationResult, FitResult, ValidationReport
from lmp_uq.errors import UqError
from lmp_uq.files import name_as_text
from lmp_uq.frames.labels import LabelKeys
from lmp_uq.frames.memory import FrameSource, InMemory, sources_of
from lmp_uq.model import Model
from lmp_uq.recipes.calibrate import CalibrateOptions
from lmp_uq.recipes.calibrate import calibrate as calibrate_recipe
from lmp_uq.recipes.fit import FitOptions
from lmp_uq.recipes.fit import fit as fit_recipe
from lmp_uq.recipes.validate import ValidateOptions
from lmp_uq.recipes.validate import validate as validate_recipe

Frames: TypeAlias = "FrameSource | Iterable[FrameSource]"
"""ase.Atoms, the path of a file that ASE reads, or an iterable of them."""

Verb = TypeVar("Verb", bound=Callable[..., Any])

_FRAMES = ("data", "calibration", "backbone_training", "fit_data")
_TEXTS = ("elements", "reference", "reference_coeff", "rows", "committee", "classifier")
_CHOICES = {
    "rows": ("energy", "forces", "stress"),
    "classifier": ("probe", "ordinal"),
    "axes": ("auto", "scaled", "given"),
    "bias": ("none", "constant", "element"),
    "blocks": ("frame", "group"),
    "engine": ("auto", "native", "torch"),
    "precision": ("file", "float32", "float64"),
}
_WORDS = {"ridge": ("auto", "evidence", "groups"), "leverage_floor": ("auto", "groups")}
"""Words that stand for a number of 0 or more."""
_LINES = ("device", "group_key", "licence", "head", "hold_out")
_SCALES = ("energy_scale", "force_scale", "replaced_scale")
_FLAGS = ("in_sample", "learned_quantile", "baselines", "fit_offsets", "progress")
_COUNTS = {"n_members": 1, "n_force_rows": 1, "n_components": 1, "n_force_members": 0, "threads": 0, "seed": 0}
"""Least values."""
_MAY_BE_EMPTY = ("classifier",)
_MAY_BE_NONE = ("n_members", "n_force_rows", "n_components", "head", "hold_out", "energy_scale", "force_scale")


def _takes(options: type) -> Callable[[Verb], Verb]:
    """Give a function the signature that its options have, for help() and notebooks."""

    def decorate(function: Verb) -> Verb:
        own = inspect.signature(function)
        names = [field for field in fields(options) if field.name not in own.parameters]
        defaults = {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in names}
        further = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=d) for n, d in defaults.items()]
        kept = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        vars(function)["__signature__"] = own.replace(parameters=kept + further)
        return function

    return decorate


@_takes(FitOptions)
def fit(backbone: str, data: Frames, out: str | os.PathLike[str], *, command: str | None = None, **options: Any) -> FitResult:
    """Fit posterior, grade and force_error on DFT frames, and write a model file (whole or not at all).

    Under mpiexec every rank calls it, and rank 0 writes. The method is that of D. Perez et al., npj Comput. Mater. 11, 263 (2025); see
    docs/fit.md.

    Parameters
    ----------
    backbone : str
        A ``*.uq`` file, an embedded model, a mace-torch model, ``snap:FILE`` or ``compute:FILE``.
    data : ase.Atoms, path, or an iterable of them
        Frames with labels, of the posterior and the grade. Atoms carry them in info, arrays or a SinglePointCalculator: energies of the
        cell in eV, forces (n_atoms, 3) in eV/Angstrom, stress (3, 3), (9,) or (6,) in eV/Angstrom^3.
    out : path
    command : str or None
        What the file says of its origin; None: this call.
    **options
        As the options of ``lmp-uq fit``, of these: calibration, backbone_training (frames), hold_out, rows, n_force_rows, ridge,
        leverage_floor, n_components, axes, energy_scale, force_scale, replaced_scale, cache, bias, n_members, n_force_members, posterior,
        head, licence, elements, reference, reference_coeff, seed, device, precision, engine, threads, keys (a dict), group_key,
        fit_offsets, progress.

    Returns
    -------
    FitResult

    Raises
    ------
    UqError
        An option that there is not, or a value that it does not take; as `lmp_uq.recipes.fit.fit`.
    """
    given = {"backbone": backbone, "data": data, "out": out, **options}
    text = _call("fit", given) if command is None else command
    made = _options(FitOptions, given)
    return FitResult.of(fit_recipe(made, text), made.out)


@_takes(CalibrateOptions)
def calibrate(
    model: Model | str | os.PathLike[str], data: Frames, out: str | os.PathLike[str], *, command: str | None = None, **options: Any
) -> CalibrationResult:
    """Calibrate force_error, energy_error and stress_error on labelled frames, and write a model file (whole or not at all).

    With adapt only force_error changes: its bars are shifted to a few frames. Methods: docs/calibrate.md.

    Parameters
    ----------
    model : Model, path or name
    data : ase.Atoms, path, or an iterable of them
        Frames with labels, as `fit` takes them.
    out : path
    command : str or None
        What the file says of its origin; None: this call.
    **options
        As the options of ``lmp-uq calibrate``: in_sample, learned_quantile, classifier ("probe", "ordinal" or both), adapt (bool: data
        are a few frames to adapt force_error to), licence, seed, device, precision, engine, threads, keys (a dict), group_key,
        fit_offsets, progress. Of a `Model`, engine, device, precision and threads are those it was loaded with.

    Returns
    -------
    CalibrationResult

    Raises
    ------
    UqError
        An option that there is not, or a value that it does not take; as `lmp_uq.recipes.calibrate.calibrate`.
    """
    given = {"model": model, "data": data, "out": out, **options}
    text = _call("calibrate", given) if command is None else command
    made = _options(CalibrateOptions, given)
    return CalibrationResult.of(calibrate_recipe(made, text), made.out)


@_takes(ValidateOptions)
def validate(model: Model | str | os.PathLike[str], data: Frames, **options: Any) -> ValidationReport:
    """Compare a model and its bars with labelled frames that had no part in the fit; see docs/validate.md.

    Parameters
    ----------
    model : Model, path or name
    data : ase.Atoms, path, or an iterable of them
        Frames with labels, as `fit` takes them.
    **options
        As the options of ``lmp-uq validate``: in_sample, n_members, n_force_rows, blocks, baselines, fit_data (frames), committee,
        labels (a path, ``*.csv`` or ``*.npz``, that gets every label with its bars), seed, device, precision, engine, threads,
        keys (a dict), group_key, fit_offsets, progress. Of a `Model`, engine, device, precision,
        threads and n_members are those it was loaded with.

    Returns
    -------
    ValidationReport

    Raises
    ------
    UqError
        An option that there is not, or a value that it does not take; as `lmp_uq.recipes.validate.validate`.
    """
    made = _options(ValidateOptions, {"model": model, "data": data, **options})
    result, samples = validate_recipe(made)
    return ValidationReport.of(result, samples)


def _options(kind: type, given: dict[str, Any]) -> Any:
    """The options of a recipe, checked."""
    known = [field.name for field in fields(kind)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise UqError(f"there is no option {name!r}{f' (did you mean {near[0]!r}?)' if near else ''}; accepted: {', '.join(known)}")
    made = _of_model(given["model"], known) if isinstance(given.get("model"), Model) else {}
    for name, value in given.items():
        if not (name == "model" and isinstance(value, Model)):
            made[name] = _value(name, value)
    return kind(**made)


def _of_model(model: Model, known: Sequence[str]) -> dict[str, Any]:
    """What a loaded model says of itself."""
    model.check_file()
    options = model.options | {"n_members": model.options["n_members"] or None}  # 0 is Model's word for all
    return {"model": model.name} | {name: value for name, value in options.items() if name in known}


def _value(name: str, value: Any) -> Any:
    if name in _FRAMES:
        found = () if value is None and name != "data" else sources_of(value, name)
        if name == "data" and not found:
            raise UqError("data: there are no frames in an empty list; accepted: at least one")
        return found
    if value is None and name in _MAY_BE_EMPTY:
        value = ()
    if name in _TEXTS:
        value = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    if name in ("model", "backbone", "out") or (name in ("cache", "labels") and value is not None):
        if not isinstance(value, str | os.PathLike):
            raise UqError(f"{name} is a {type(value).__name__}; accepted: a name or a path")
        return os.fspath(value)
    if name == "keys":
        return _keys(value)
    _check_value(name, value)
    return value


def _keys(value: Any) -> LabelKeys:
    if isinstance(value, LabelKeys):
        return value
    if not isinstance(value, dict) or set(value) - set(LabelKeys._fields):
        raise UqError(f"keys is {value!r}; accepted: a dict of {', '.join(LabelKeys._fields)} to names of labels")
    return LabelKeys(**value)


def _check_value(name: str, value: Any) -> None:
    accepted = _accepted(name)
    absent = (value is None and name in _MAY_BE_NONE) or (name in _MAY_BE_EMPTY and not value)
    if accepted and not absent and not accepted[0](value):
        raise UqError(f"{name} is {value!r}; accepted: {accepted[1]}")


def _accepted(name: str) -> tuple[Callable[[Any], bool], str] | None:
    """Test of a value, and the words for what passes it; None where the recipe itself checks."""
    if name in _CHOICES:
        return lambda value: _chosen(value, _CHOICES[name]), ", ".join(_CHOICES[name])
    if name in _COUNTS:
        return lambda value: _is_whole(value) and value >= _COUNTS[name], f"a whole number of {_COUNTS[name]} or more"
    if name in _WORDS:
        words = _WORDS[name]
        return lambda value: value in words if isinstance(value, str) else _is_number(value) and value >= 0.0, _or("a number >= 0", *words)
    if name in _SCALES:
        return lambda value: _is_number(value) and value > 0.0, "a number above 0"
    if name in _FLAGS:
        return lambda value: isinstance(value, bool), "True or False"
    if name in _LINES or name in _TEXTS:
        return lambda value: all(isinstance(one, str) for one in (value if name in _TEXTS else (value,))), "text"
    return None


def _chosen(value: Any, words: Sequence[str]) -> bool:
    given = value if isinstance(value, tuple) else (value,)
    return bool(given) and all(isinstance(one, str) and one in words for one in given)


def _or(*words: str) -> str:
    return " or ".join(words)


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _call(verb: str, given: dict[str, Any]) -> str:
    """The call as text, for the provenance of a file."""
    words = [f"{name}={_text(name, value)}" for name, value in given.items()]
    return name_as_text(f"lmp_uq.{verb}({', '.join(words)})")


def _text(name: str, value: Any) -> str:
    if name in _FRAMES and value is not None:
        found = [f"{len(one.frames)} frames in memory" if isinstance(one, InMemory) else os.fspath(one) for one in sources_of(value, name)]
        return repr(found)
    if isinstance(value, Model):
        return repr(value.name)
    return repr(os.fspath(value) if isinstance(value, os.PathLike) else value)
