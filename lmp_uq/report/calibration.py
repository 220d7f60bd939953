# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``lmp-uq calibrate`` prints, and the calibration in ``lmp-uq inspect``: text of at most 100 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmp_uq.calibration.adaptation import TRUSTED
from lmp_uq.calibration.few_frames import MIN_REST, N_FRAMES
from lmp_uq.calibration.force_error import ERROR_OFFSET, FORCE_OFFSET, GRADE_OFFSET, LEAST_BAR, LEVEL, ForceError
from lmp_uq.calibration.force_error_1 import ForceError1
from lmp_uq.calibration.grade_error import ENERGY_OFFSET, GradeError, bar_of_energies
from lmp_uq.calibration.versions import force_error_of
from lmp_uq.modelfile.header import CalibrationEntry
from lmp_uq.quantities import FORCES, QUANTITIES, SCALED
from lmp_uq.report.classifiers import classifier_blocks, classifier_lines
from lmp_uq.report.columns import LEFT_OUT_COLUMNS
from lmp_uq.report.text import Column, entry, number, printable, table, wrap

UNITS = {quantity.bar: quantity.bar_unit for quantity in QUANTITIES}

_OLD, _NEW = "old file", "new file"
FACTOR_COLUMNS = (
    Column("", "labels", ("n",), "d", "labels with a bar"),
    Column("", "frames", ("n_blocks",), "d", "independent frames"),
    Column(_OLD, "factor", ("before", "factor"), "#.3g", "factor before"),
    Column(_OLD, "coverage", ("before", "coverage"), ".3f", "share of these labels inside the old bars"),
    Column(_OLD, "width", ("before", "width"), "#.3g", "mean of the old bars"),
    Column(_NEW, "factor", ("after", "factor"), "#.3g", "factor now"),
    Column(_NEW, "conserv.", ("after", "conservative_factor"), "#.3g", "conservative factor now"),
    Column(_NEW, "width", ("after", "width"), "#.3g", "mean of the new bars"),
)
SCALED_LEFT_OUT_COLUMNS = (
    Column("", "labels", ("n",), "d", "labels of the group"),
    Column("", "coverage", ("coverage",), ".3f", "share of labels inside the bar"),
    Column("median", "width", ("width",), "#.3g", "median bar"),
    Column("", "pinball", ("pinball",), "#.3g", "loss over that of the best constant, known afterwards"),
)
_FROM = "coverage of the rest, factor from"
FEW_COLUMNS = (
    Column("", "frames", ("n_frames",), "d", "frames of the group"),
    Column(_FROM, "the others", ("others",), ".3f", "no frame of the group is known"),
    Column(_FROM, f"others + {N_FRAMES}", ("added",), ".3f", "frames of the group are added to the others"),
    Column(_FROM, f"{N_FRAMES} alone", ("alone",), ".3f", "the factor comes from frames of the group alone"),
)
ADAPTED_COLUMNS = (
    Column("", "frames", ("n_frames",), "d", "frames of the group"),
    Column("coverage of the rest", "the others", ("others",), ".3f", "the bar has seen no frame of the group"),
    Column("coverage of the rest", "adapted", ("adapted",), ".3f", f"the bar of the others, adapted to {TRUSTED} frames of the group"),
)
ELEMENT_COLUMNS = (
    Column("", "atoms", ("n",), "d", "atoms of the element"),
    Column("", "frames", ("n_blocks",), "d", "frames that hold it"),
    Column("", "coverage", ("coverage",), ".3f", "share of its atoms inside the bars of all elements together"),
    Column("own", "factor", ("factor",), "#.3g", "factor that its atoms alone would need"),
)


def describe_calibration(report: Mapping[str, Any]) -> str:
    """What `lmp_uq.recipes.calibrate.calibrate` found.

    Parameters
    ----------
    report : dict
        As it returns it.

    Returns
    -------
    str
        Lines of at most `lmp_uq.report.text.WIDTH` characters.
    """
    blocks = [wrap(_headline(report))]
    titles = {name: f"{name} ({UNITS[name]})" for name in report["labels"]}
    rows = [(titles[name], mine) for name, mine in report["labels"].items()]
    blocks.append([*wrap(f"bars of level {LEVEL:g}; old bars on these frames, and new ones"), *table("", FACTOR_COLUMNS, rows)])
    blocks += [wrap(f"{name}: not calibrated: {printable(why)}") for name, why in report["left_out"].items()]
    for name, mine in report["labels"].items():
        if not report.get("adaptation"):
            blocks.append(_left_out_block(name, titles[name], mine))
        if mine["few_frames"]:
            number, columns = (TRUSTED, ADAPTED_COLUMNS) if name == FORCES.bar else (N_FRAMES, FEW_COLUMNS)
            head = f"{titles[name]}: what {number} labelled frames of a new system change (means over random choices)"
            blocks.append([*wrap(head), *table("group", columns, sorted(mine["few_frames"].items()))])
    if not report.get("adaptation") and not any(mine["few_frames"] for mine in report["labels"].values()):
        needed = f"{TRUSTED + MIN_REST} frames or more (of energies and stresses {N_FRAMES + MIN_REST})"
        blocks.append(wrap(f"what a few labelled frames of a new system change: needs two groups, one of {needed}"))
    if FORCES.bar in report["labels"]:
        elements = sorted(report["labels"][FORCES.bar]["per_element"].items())
        blocks.append(["force_error by element", *table("element", ELEMENT_COLUMNS, elements)])
    if report["learned_quantile"]:
        blocks.append(wrap(_learned_text(report["learned_quantile"])))
    blocks += classifier_blocks(report["classifiers"])
    return "\n\n".join("\n".join(lines) for lines in blocks)


def _headline(report):
    text = f"calibrated on {report['n_frames']} frames"
    if report.get("adaptation"):
        text = _adaptation_text(report["adaptation"])
    if report["in_sample"]:
        text += "; frames with another role in the file were accepted: the new bars are too narrow for other frames"
    return text


def _adaptation_text(found):
    n, before, after = found["n_frames"], found["coverage_before"], found["coverage_after"]
    trust = f"with {TRUSTED} or more frames most groups were then covered as they should" if n >= TRUSTED else f"take {TRUSTED} or more"
    return (
        f"force_error adapted to {n} frames: all its bars times {found['factor']:.3g}; the bars of level {LEVEL:g} cover "
        f"{before:.2f} of the atoms of these frames before and {after:.2f} after; trust it for structures like these only, {trust}"
    )


def _left_out_block(name, title, mine):
    if not mine["leave_one_group_out"]:
        return wrap(f"{title}: no group could be left out; that needs two groups or more")
    columns = LEFT_OUT_COLUMNS if name == FORCES.bar else SCALED_LEFT_OUT_COLUMNS
    head = wrap(f"{title} in a group left out, calibrated on the others (aim: coverage {LEVEL:.2f})")
    return head + table("group", columns, sorted(mine["leave_one_group_out"].items()))


def _learned_text(found):
    parts = ", ".join(f"{count} {part}" for part, count in found["n_frames"].items())
    texts = [
        f"{name} pinball loss {number(mine['pinball'], '#.3g')}, mean width {number(mine['width'], '#.3g')}, "
        f"coverage {number(mine['coverage'], '.3f')}"
        for name, mine in (("learned", found["learned"]), (FORCES.bar, found[FORCES.bar]))
    ]
    return f"learned quantile ({parts} frames, {found['epochs']} epochs), on its conformal frames: " + "; ".join(texts)


def calibration_lines(calibration: CalibrationEntry | None) -> list[str]:
    """Lines of ``lmp-uq inspect`` on the header entry calibration."""
    calibration = calibration or CalibrationEntry()
    lines = _force_error_lines(calibration)
    for name in (quantity.bar for quantity in SCALED):
        bar = getattr(calibration, name)
        if bar:
            lines += entry("", _scaled_text(name, bar_of_energies(bar.to_dict())))
    if calibration.quantile_network:
        levels = ", ".join(f"{level:g}" for level in calibration.quantile_network.levels)
        lines += entry("", f"learned quantile of force_error, levels {levels}, where grade <= 1")
    lines += classifier_lines(calibration)
    for found in calibration.adaptations or []:
        lines += entry("", f"adapted to {found['n_frames']} frames: all bars of forces times {found['factor']:.3g}")
    if calibration.in_sample:
        lines += entry("", "calibrated in sample: frames with another role in this file were accepted")
    by_group = calibration.leave_one_group_out
    if isinstance(by_group, Mapping) and by_group:
        lines += ["", *left_out_lines(by_group), ""]
    return lines


def _scaled_text(name, bar):
    if isinstance(bar, GradeError):
        formula = f"{bar.factor():.4g} exp({bar.intercept:.4g} {_signed(bar.slope)} log(mean grade + {GRADE_OFFSET:g})) - {ENERGY_OFFSET:g}"
        wide = bar.factor(conservative=True)
    else:
        formula, wide = f"{bar.factor:.4g} std", bar.conservative_factor
    return f"{name} = {formula} ({UNITS[name]}); aim: covers {bar.level:g}; conservative factor {wide:.4g}; {bar.n_blocks} frames"


def left_out_lines(by_group: Mapping[str, Any] | None) -> list[str]:
    """Table of force_error in groups left out, or why there is none."""
    if not by_group:
        text = "force_error: no group could be left out; that needs calibration frames of two groups or more"
        return wrap(text)
    lines = wrap("force_error in a group left out, fitted on the others (aim: coverage 0.90; eV/Angstrom)")
    return lines + table("group", LEFT_OUT_COLUMNS, sorted(by_group.items()))


def _force_error_lines(calibration):
    if not calibration.force_error:
        return entry("calibration", "none: force_error cannot be computed; lmp-uq fit --calibration adds it")
    bar = force_error_of(calibration.force_error.to_dict())
    return _lines_of_version_1(bar) if isinstance(bar, ForceError1) else _lines_of_version_2(bar)


def _lines_of_version_2(bar: ForceError) -> list[str]:
    main = LEVEL if LEVEL in bar.levels else bar.levels[-1]
    terms = [
        (bar.force_slope, f"log(|F| + {FORCE_OFFSET:g})"),
        (bar.grade_slope, f"log(grade + {GRADE_OFFSET:g})"),
        (bar.known_slope, "min(n, 0)"),
        (bar.new_slope, "max(n, 0)"),
        (bar.correction_slope, f"log(|F of the mean correction| + {FORCE_OFFSET:g})"),
    ]
    exponent = f"{bar.intercept:.4g} " + " ".join(f"{_signed(slope)} {text}" for slope, text in terms if slope)
    factors = {level: [bar.factor(level, conservative=wide) for wide in (False, True)] for level in bar.levels}
    text = f"force_error = max({LEAST_BAR:g}, {factors[main][0]:.4g} exp({exponent}) - {ERROR_OFFSET:g}), "
    lines = entry("calibration", text + f"n = log(grade of the neighbours + {GRADE_OFFSET:g})")
    lines += entry("", f"eV/Angstrom; aim: covers {main:g} of the atoms of a new group; conservative factor {factors[main][1]:.4g}")
    for level in bar.levels:
        if level != main:
            lines += entry("", f"level {level:g}: factor {factors[level][0]:.4g}, conservative {factors[level][1]:.4g}")
    return lines + entry("", f"{bar.n_groups} groups, {bar.n_blocks} frames; spread of the log error between groups {bar.spread:.2f}")


def _lines_of_version_1(bar: ForceError1) -> list[str]:
    exponent = (
        f"{bar.intercept:.4g} {_signed(bar.force_exponent)} log(|F| + {FORCE_OFFSET:g}) "
        f"{_signed(bar.grade_exponent)} log(grade + {GRADE_OFFSET:g})"
    )
    main = LEVEL if LEVEL in bar.levels else bar.levels[-1]
    k = bar.levels.index(main)
    lines = entry("calibration", f"force_error = max({_floor_text(bar, k)}, {bar.factors[k]:.4g} exp({exponent}))")
    lines += entry("", f"eV/Angstrom; aim: covers {main:g} of the atoms")
    lines += entry("", f"conservative factor {bar.conservative_factors[k]:.4g} in place of {bar.factors[k]:.4g}")
    for level, factor, wide, floor in zip(bar.levels, bar.factors, bar.conservative_factors, bar.floors, strict=True):
        if level != main:
            lines += entry("", f"level {level:g}: factor {factor:.4g}, conservative {wide:.4g}, floor {floor:.4g}")
    return lines


def _floor_text(bar, k):
    growth = f" (grade + {GRADE_OFFSET:g})^{bar.floor_exponent:.4g}" if bar.floor_exponent else ""
    least = f"{bar.least_bar:.4g}, " if bar.least_bar else ""
    return f"{least}{bar.floors[k]:.4g}{growth}"


def _signed(value):
    return f"{'-' if value < 0 else '+'} {abs(value):.4g}"
