# SPDX-License-Identifier: GPL-2.0-or-later
"""Brute force against first order against implicit differentiation: ``python implicit.py MODEL.uq [--members 50] [PROPERTY ...]``.

A property is a kind and its option: vacancy, hop, phonons, interstitial:<111>, surface:110, phase:C14. One line of a Markdown table for
each, processor time in seconds, then evaluations of energy and forces for one member by either way, and reasons. Errors are those of the
members that both ways give a value; "lost" are members that brute force gives none, "not trusted" those that the expansion gives none.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import replace

import numpy as np

from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.kinds.defects import INTERSTITIALS
from lmp_uq.properties.kinds.excess import ExcessProperty
from lmp_uq.properties.kinds.registry import class_of
from lmp_uq.properties.kinds.surfaces import ORIENTATIONS
from lmp_uq.properties.minima.stationary import StationaryState
from lmp_uq.properties.potential.mace import open_potential

OPTION_OF_KIND = {"interstitial": "configuration", "surface": "orientation"} | dict.fromkeys(("vacancy", "eos", "elastic"), "element")
OPTION_OF_KIND["phase"] = "structure"
ALL = ["vacancy", "hop", *(f"interstitial:{k}" for k in INTERSTITIALS), *(f"surface:{k}" for k in ORIENTATIONS), "phonons"]
COLUMNS = ("property", "mean", "members: mean, std", "lost", "first order: rms/std, median", "implicit: rms/std, median", "not trusted",
           "CPU s: members, implicit")  # fmt: skip


def count_evaluations(potential):
    """A list that grows with every evaluation of energy and forces of the systems that the potential makes from now on."""
    made, counted = potential.system, []

    def system(atoms):
        out = made(atoms)
        evaluate = out.evaluate

        def counting(*arguments, **named):
            counted.append(1)
            return evaluate(*arguments, **named)

        out.evaluate = counting
        return out

    potential.system = system
    return counted


def build(potential, text, size):
    """The property that a word of the command line means."""
    kind, _, value = text.partition(":")
    cls = class_of(kind)
    options = {name: option.default for name, option in cls.OPTIONS.items()}
    if value:
        options[OPTION_OF_KIND[kind]] = value
    if size and "size" in options:
        options["size"] = size
    return cls(potential, text, options)


def brute_force(found, thetas):
    """(K, Q) and the reasons of members without a value, and of odd ones."""
    values, reasons = np.full((len(thetas), len(found.quantities)), np.nan), Counter()
    for k, theta in enumerate(thetas):
        try:
            outcome = found.member(theta)
        except PropertyFailure as failure:
            reasons[str(failure)] += 1
            continue
        values[k] = outcome.values
        reasons.update(outcome.flags)
    return values, reasons


def compared(values, reference, std):
    """Rms of the difference over std, and the median relative error, over members that have both."""
    both = np.isfinite(values) & np.isfinite(reference)
    if not both.any():
        return "-, -"
    apart = (values - reference)[both]
    return f"{np.sqrt(np.mean(apart**2)) / std:.3f}, {100 * np.median(np.abs(apart / reference[both])):.2f} %"


def quadratic(state, theta, scale):
    """The expansion without its evaluation: E at the strained point less f.H^+ f / 2."""
    found = state.expand(theta, scale)
    return replace(found, energy=found.quadratic)


def forms(found, thetas, values):
    """One line for each form of the expansion of a defect or surface: errors of all members, trusted or not, that have a value."""
    excess, linear = found._excess, found._excess.crystal.first_order(found.potential.theta, thetas)
    std = np.nanstd(values)
    for name, energy_of, constants in (
        ("quadratic, lattice to first order", quadratic, linear),
        ("quadratic, lattice from the curve", quadratic, None),
        ("evaluated, lattice to first order", StationaryState.expand, linear),
        ("evaluated, lattice from the curve", StationaryState.expand, None),
    ):
        print(f"| {name} | {compared(excess._members(thetas, energy_of, constants).values, values, std)} |", flush=True)


def prediction(found, thetas, values, mean):
    """What the expansion of a crystal says before its step is repeated: medians of |difference| over |member less mean|."""
    if not hasattr(found, "crystal") or found.crystal.rigid:
        return ""
    own = found.crystal.expansion.predicted(thetas)
    out = []
    for q, column in enumerate((own.volume, own.energy)):
        shares = np.abs((column - values[:, q]) / (values[:, q] - mean[q]))
        out.append(f"{found.quantities[q].name} {100 * np.nanmedian(shares):.1f} %")
    return "; predicted alone: " + ", ".join(out)


def report(potential, text, options, counted):
    """Lines of the table for one property."""
    found, thetas = build(potential, text, options.size), potential.members(options.members)
    try:
        mean, gradient = found.mean(), found.gradient()
    except PropertyFailure as failure:
        print(f"| {text} | {failure} |" + " |" * (len(COLUMNS) - 2), flush=True)
        return
    first, start = mean + (thetas - potential.theta) @ gradient.T, (time.process_time(), len(counted))
    expanded, middle = found.expansion(thetas), (time.process_time(), len(counted))
    (values, reasons), end = brute_force(found, thetas), (time.process_time(), len(counted))
    spent = f"{end[0] - middle[0]:.1f}, {middle[0] - start[0]:.1f}"
    evaluations = ", ".join(f"{(b[1] - a[1]) / len(thetas):.1f}" for a, b in ((middle, end), (start, middle)))
    for q, quantity in enumerate(found.quantities):
        column = values[:, q]
        std = np.nanstd(column)
        row = [f"{text} {quantity.name}, {quantity.unit}", f"{mean[q]:.4g}", f"{np.nanmean(column):.4g}, {std:.3g}"]
        row += [f"{np.isnan(column).sum()}", compared(first[:, q], column, std), compared(expanded.values[:, q], column, std)]
        row += [f"{np.isnan(expanded.values[:, q]).sum()}", spent]
        print("| " + " | ".join(row) + " |", flush=True)
    if options.forms and isinstance(found, ExcessProperty):
        forms(found, thetas, values[:, 0])
    why = f"members {dict(reasons)}; implicit {dict(Counter(r for flags in expanded.flags for r in flags))}"
    print(f"<!-- {text}: evaluations {evaluations}{prediction(found, thetas, values, mean)}; {why} -->", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("properties", nargs="*", default=ALL)
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--size", type=int, default=0, help="of supercells, conventional cells; 0: the default of each kind")
    parser.add_argument("--forms", action="store_true", help="also what each part of the expansion of a defect is worth")
    options = parser.parse_intermixed_args()
    potential = open_potential(options.model)
    counted = count_evaluations(potential)
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|", flush=True)
    for text in options.properties:
        report(potential, text, options, counted)


if __name__ == "__main__":
    main()
