"""A random BERT, for tests in which it doesn't matter what texts mean."""

from __future__ import annotations

import json
from pathlib import Path

WORDS = ("crew", "planet", "thief", "bank", "film", "a", "the", "to")


def save_random_bert(folder: Path, seed: int = 0) -> Path:
    """Save a BERT of one layer with its tokenizer.

    Parameters
    ----------
    folder
        Where to; it must be there.
    seed
        Seed of the weights.

    Returns
    -------
    Path
        The folder.
    """
    import torch  # takes seconds: not for every test
    from transformers import BertConfig, BertModel

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(folder)
    return folder
