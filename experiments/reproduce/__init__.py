"""The field's landmark figures, one command each: published points, model and measurement on the same axes, and a verdict.

>>> from experiments.reproduce import FIGURES
>>> FIGURES["F1"].source
'Monkey (SIGMOD 2017) Figure 11(A)'
"""

from .figure import Figure, Line, Panel, Published, Rows
from .figures import FIGURES, chosen
from .judge import Check, Verdict, verdict_of
from .runner import run_figures

__all__ = ["FIGURES", "Check", "Figure", "Line", "Panel", "Published", "Rows", "Verdict", "chosen", "run_figures", "verdict_of"]
