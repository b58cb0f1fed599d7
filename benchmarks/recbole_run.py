"""KGIN of RecBole on exported files, in an environment of its own that has RecBole and no kgrec.

``python recbole_run.py FOLDER SECONDS SIZE`` trains with RecBole's defaults until validation has
not improved for three epochs or the seconds are over, and writes ``lists.npy``: for each user of
``users.txt`` the best items of all that the user has not used, as lines of ``items.txt``.

KGIN asks torch-scatter, which has no wheel for current torch, for one function; it is made of torch
here.
"""

from __future__ import annotations

import json
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

LENGTH = 20
PATIENCE = 3
USERS_AT_ONCE = 256


def scatter_mean(
    src: torch.Tensor, index: torch.Tensor, dim_size: int, dim: int = 0
) -> torch.Tensor:
    """Average rows by index, as torch-scatter does."""
    total = torch.zeros(dim_size, src.shape[1]).index_add_(dim, index, src)
    count = torch.bincount(index, minlength=dim_size).clamp_min(1)
    return total / count[:, None]


def main() -> None:
    """Train and rank."""
    folder, seconds, size = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    stand_in: Any = types.ModuleType("torch_scatter")
    stand_in.scatter_mean = scatter_mean
    sys.modules["torch_scatter"] = stand_in
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.model.knowledge_aware_recommender import KGIN
    from recbole.trainer import KGTrainer
    from recbole.utils import init_seed

    torch.set_num_threads(1)
    settings = {
        "data_path": str(folder.parent),
        "benchmark_filename": ["train", "valid", "valid"],
        "load_col": {
            "inter": ["user_id", "item_id"],
            "kg": ["head_id", "relation_id", "tail_id"],
            "link": ["item_id", "entity_id"],
        },
        "embedding_size": size,
        "topk": [LENGTH],
        "valid_metric": f"Recall@{LENGTH}",
        "metrics": ["Recall"],
        "eval_args": {"order": "RO", "group_by": "user", "mode": "full"},
        "use_gpu": False,
        "show_progress": False,
        "state": "ERROR",
        "checkpoint_dir": str(folder / "saved"),
        "save_dataset": False,
        "seed": 0,
        "reproducibility": True,
    }
    config = Config(model="KGIN", dataset=folder.name, config_dict=settings)
    init_seed(0, True)
    dataset = create_dataset(config)
    train, valid, _ = data_preparation(config, dataset)
    model = KGIN(config, train._dataset).to("cpu")  # noqa: SLF001  as RecBole does
    trainer = KGTrainer(config, model)
    start, best, worse, epoch, state = time.perf_counter(), -1.0, 0, 0, model.state_dict()
    while time.perf_counter() - start < seconds and worse < PATIENCE:
        trainer._train_epoch(train, epoch, show_progress=False)  # noqa: SLF001
        score = trainer.evaluate(valid, load_best_model=False)[f"recall@{LENGTH}"]
        epoch += 1
        worse = 0 if score > best else worse + 1
        if score > best:
            best = score
            state = {name: value.clone() for name, value in model.state_dict().items()}
        print(epoch, round(time.perf_counter() - start), score, file=sys.stderr, flush=True)
    taken = time.perf_counter() - start
    model.load_state_dict(state)
    start = time.perf_counter()
    lists = rank(model, dataset, folder)
    np.save(folder / "lists.npy", lists)
    facts = {
        "epochs": epoch,
        "train seconds": taken,
        "rank seconds": time.perf_counter() - start,
        "stopped": "no improvement" if worse >= PATIENCE else "time",
    }
    print(json.dumps(facts))


def rank(model: Any, dataset: Any, folder: Path) -> np.ndarray[Any, np.dtype[np.int64]]:  # noqa: ANN401
    """Rank all items for all users, without those of the training and validation pairs."""
    from recbole.data.interaction import Interaction

    names = {name: (folder / f"{name}.txt").read_text().split("\n") for name in ("users", "items")}
    users = torch.tensor(dataset.token2id("user_id", names["users"]))
    place = np.full(dataset.item_num, -1)
    known = dataset.field2token_id["item_id"]
    for line, name in enumerate(names["items"]):
        if name in known:
            place[known[name]] = line
    seen = np.load(folder / "seen.npy")  # [2, pairs], lines of users and items
    used: dict[int, list[int]] = {}
    for user, item in seen.T.tolist():
        used.setdefault(user, []).append(known[names["items"][item]])
    lists = np.empty((len(users), LENGTH), np.int64)
    model.eval()
    with torch.no_grad():
        for begin in range(0, len(users), USERS_AT_ONCE):
            part = users[begin : begin + USERS_AT_ONCE]
            scores = model.full_sort_predict(Interaction({"user_id": part}))
            scores = scores.view(len(part), -1).clone()
            scores[:, 0] = -torch.inf
            for row in range(len(part)):
                scores[row, used.get(begin + row, [])] = -torch.inf
            lists[begin : begin + len(part)] = place[scores.topk(LENGTH).indices.numpy()]
    return lists


if __name__ == "__main__":
    main()
