"""``kgrec inspect``: how a saved model came about."""

from __future__ import annotations

import json

from kgrec.commands.options import AsJson, Model
from kgrec.terminal import print_json


def inspect(model: Model, as_json: AsJson = False) -> None:
    """Say how a model came about: versions, seed, data, settings, and hashes of its files.

    Every file is checked against its hash; nothing is loaded.
    """
    from kgrec.artifact import describe_model

    facts = describe_model(model)
    if as_json:
        print_json(facts)
        return
    files = facts.pop("files")
    for name, value in facts.items():
        print(f"{name}: {json.dumps(value) if isinstance(value, dict) else value}")
    for name, file in files.items():
        print(f"{file['sha256']}  {file['bytes']:>12,}  {name}")
