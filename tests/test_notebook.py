"""What shows in a notebook is escaped, and empty where nothing is known."""

from __future__ import annotations

import pandas as pd
from kgrec.notebook import card


def test_text_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    shown = card(evil, evil, pd.DataFrame({evil: [evil]}))
    assert "<script>" not in shown
    assert shown.count("&lt;script&gt;") == 4


def test_numbers_are_short_and_the_unknown_is_empty() -> None:
    shown = card("a", "b", pd.DataFrame({"share": [0.123456, float("nan")], "text": ["", None]}))
    assert "<td>0.1235</td>" in shown
    assert "nan" not in shown.lower()
    assert "None" not in shown
