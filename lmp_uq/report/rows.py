# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows of the tables of a validation: parts of the labels, methods, frames whose labels may be wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lmp_uq.quantities import FORCES, by_key
from lmp_uq.report.text import item, number, printable, wrap
from lmp_uq.validation.samples import HINDSIGHT, POPS_NAME
from lmp_uq.validation.suspicious import LEAST_SCORE, MOST_NAMED, OFFSET

Rows = list[tuple[str, Mapping[str, Any]]]
SUSPICIOUS = (
    f"Labels that may be wrong: the worst frames, at most {MOST_NAMED} for each bar, by error / (bar + {OFFSET:g} eV/Angstrom) of their "
    f"worst atom, above {LEAST_SCORE:g}. Look at them before trusting either side; a model that is far off names good labels too."
)


def group_rows(result: Mapping[str, Any], quantity: str) -> Rows:
    """Rows of a table: all frames, then every group."""
    groups = [(name, figures[quantity]) for name, figures in sorted(result["groups"].items()) if quantity in figures]
    return [("all", result[quantity]), *groups]


def element_rows(result: Mapping[str, Any], quantity: str) -> Rows:
    """Rows of a table by element of the atom; none for labels of whole frames."""
    return [(name, figures[quantity]) for name, figures in result["elements"].items() if quantity in figures]


def calibrated_rows(rows: Rows) -> Rows:
    """Those with labels that have a calibrated bar."""
    return [(name, figures) for name, figures in rows if figures.get("calibrated", {}).get("n")]


def method_rows(result: Mapping[str, Any], quantity: str) -> Rows:
    """Rows of a comparison table; a star marks bars scaled with hindsight."""
    rows = result["comparison"][quantity].items()
    return [(name + " *" * bool(figures.get("hindsight")), figures) for name, figures in rows]


def has_more_methods(result: Mapping[str, Any]) -> bool:
    """Whether baselines or a committee were asked for."""
    return any(set(result["comparison"][q.key]) - {POPS_NAME, *HINDSIGHT} for q in by_key(result["comparison"]))


def suspicious_sentences(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each frame of `lmp_uq.validation.suspicious.suspicious_frames`."""
    return [_suspicious(one) for one in found]


def suspicious_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines on frames whose labels may be wrong; none without such frames."""
    return [*wrap(SUSPICIOUS), *(line for text in suspicious_sentences(found) for line in item(text))] if found else []


def _suspicious(one):
    error, bar, score = (number(one[name], "#.3g") for name in ("error", "width", "score"))
    return (
        f"{score} by {one['bar']}: {printable(one['source'])} ({printable(one['group'])}), atom {one['atom']} ({one['element']}): error "
        f"{error}, bar {bar}, label {_vector(one['reference'])}, model {_vector(one['predicted'])} {FORCES.unit}"
    )


def _vector(values):
    return "(" + ", ".join(f"{v:.3f}" for v in values) + ")"
