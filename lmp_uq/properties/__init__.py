# SPDX-License-Identifier: GPL-2.0-or-later
"""Properties of materials with the bounds that the posterior of a potential gives them.

What stands where
-----------------
`potential.LinearPotential` is a model file opened for properties: Theta*, the members, the posterior, and ``system(atoms)``.
`system.LinearSystem` is one structure of it: ``evaluate``, ``phi``, ``energy_row``, ``rows``, ``direction``, ``relax`` for any Theta.
A property is a class with the protocol of `property.Property`; `registry.KINDS` names it for suites. `members` runs a property over
members by brute force. The verb ``lmp-uq propagate`` is `lmp_uq.recipes.propagate`.

How a property gets its bounds
------------------------------
``members``      each member computes the property anew from the mean's minimum: ``Property.member``.
``first order``  q* + dq/dTheta . departure: ``Property.gradient``, closed forms of the posterior, no member at all.
``implicit``     all members at once by an expansion about the mean's stationary point, or exactly where the geometry does not depend on
                 Theta: ``Property.expansion``. ``Property.expansion_rests_on`` says which.

A property computes one or several numbers, its quantities, so everything below has an axis of length Q. Where a member has no value (the
minimum is lost, the relaxation fails) it raises `system.PropertyFailure`, or has NaN and a flag in an expansion; both are counted and
shown. A member that has a value but not that of the same minimum is flagged.
"""
