"""Keep a model's graph as its source is, without training again."""

from kgrec.syncing.diff import GraphDiff, diff_graphs
from kgrec.syncing.merging import merge_tables
from kgrec.syncing.run import SyncReport, sync_model

__all__ = ["GraphDiff", "SyncReport", "diff_graphs", "merge_tables", "sync_model"]
