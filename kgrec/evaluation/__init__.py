"""Splits, metrics and reports."""

from kgrec.evaluation.metrics import mae, rmse
from kgrec.evaluation.report import Candidates, EvaluationReport, compare, evaluate, read_pairs
from kgrec.evaluation.splits import Split, split_by_time, split_cold_items, split_interactions

__all__ = [
    "Candidates",
    "EvaluationReport",
    "Split",
    "compare",
    "evaluate",
    "mae",
    "read_pairs",
    "rmse",
    "split_by_time",
    "split_cold_items",
    "split_interactions",
]
