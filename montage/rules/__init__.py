"""The rules of editing: small pure functions that give a cost from 0 to 1.

Each has a plain definition, which is also what checks a finished cut (``check_cut``). Rules between
neighbours have a second, vectorised form over all pairs of two slots' choices, from which the optimiser's
problem is built; a property test holds the two together.
"""

from __future__ import annotations

from montage.rules.base import Features, Film, Join, Picture, Rule, Source, Wish
from montage.rules.checking import RULES, check_cut, features, pair_matrix, slot_costs
from montage.rules.grammar import ESA, Grammar

__all__ = [
    "ESA",
    "RULES",
    "Features",
    "Film",
    "Grammar",
    "Join",
    "Picture",
    "Rule",
    "Source",
    "Wish",
    "check_cut",
    "features",
    "pair_matrix",
    "slot_costs",
]
