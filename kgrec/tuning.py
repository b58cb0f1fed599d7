"""Search for settings, on validation items made from the training data alone.

Some warm items are set aside to judge the outcome on, and never looked at while searching.  Of the
rest, some are made cold fold by fold; trials are compared by how well these are ranked.  The
defaults are the first trial, so that whatever is found is at least as good on the folds, and the
gain is told on the items that were set aside.
"""

from __future__ import annotations

import sys
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kgrec.config import Config
from kgrec.errors import ArtifactError, ConfigError
from kgrec.evaluation import Split, compare, evaluate, split_cold_items
from kgrec.graph import KnowledgeGraph
from kgrec.recommender import Recommender
from kgrec.storage import sync_to_disk
from kgrec.text import TextEncoder

if TYPE_CHECKING:
    import optuna

LENGTH = 20
FOLDS = 2
HELD_OUT = 0.2

Value = float | int | bool


@dataclass(frozen=True, slots=True)
class Searched:
    """A field of :class:`~kgrec.config.Config` that is searched, and where.

    Parameters
    ----------
    field
        Name of the field.
    choices
        Values to choose from; or the least and the greatest of a range.
    is_range
        Whether all values between the two are meant, small ones as likely as large ones by
        their order of magnitude.

    Raises
    ------
    ConfigError
        If there is no such field, it does not take the values, or a range is none.

    Examples
    --------
    >>> Searched("hops", (1, 2)).choices
    (1, 2)
    """

    field: str
    choices: tuple[Value, ...]
    is_range: bool = False

    def __post_init__(self) -> None:
        if self.is_range and not (len(self.choices) == 2 and 0 < self.choices[0] < self.choices[1]):
            raise ConfigError(
                f"the range of {self.field} is {self.choices}: give two values above 0, the "
                "smaller one first"
            )
        for value in self.choices:
            Config(**{self.field: value})  # type: ignore[arg-type]

    def suggest(self, trial: optuna.Trial) -> Value:
        """Let a trial choose a value."""
        if self.is_range:
            return trial.suggest_float(self.field, *map(float, self.choices), log=True)
        chosen: Value = trial.suggest_categorical(self.field, self.choices)
        return chosen


SPACE = (
    Searched("hops", (1, 2)),
    Searched("words", (True, False)),
    Searched("prominence", (True, False)),
    Searched("steps", (0, 20, 40, 80)),
    Searched("learning_rate", (0.03, 0.3), is_range=True),
    Searched("prior_strength", (0.0003, 0.03), is_range=True),
)


@dataclass(frozen=True, slots=True, eq=False)
class Tuning:
    """What a search found.

    Parameters
    ----------
    config
        The best settings on the folds.
    trials
        A row a finished trial, the best first: columns ``quality`` and the fields searched.
    gain
        The settings found beside the defaults on the items that were set aside, as
        :func:`~kgrec.evaluation.compare` tells them.
    """

    config: Config
    trials: pd.DataFrame
    gain: pd.DataFrame

    @property
    def is_clear(self) -> bool:
        """Whether recall on the items set aside is better by more than its interval."""
        found = self.gain.set_index("ranker").loc["tuned"]
        return bool(found[f"recall@{LENGTH}_difference_low"] > 0)


def tune(
    graph: KnowledgeGraph,
    *,
    config: Config | None = None,
    space: Sequence[Searched] = SPACE,
    trials: int = 20,
    encoder: TextEncoder | None = None,
    seed: int = 0,
    storage: Path | None = None,
    jobs: int = 1,
) -> Tuning:
    """Search for better settings than the defaults.

    Parameters
    ----------
    graph
        The training data.
    config
        Where to start, and the values of all fields that are not searched.
    space
        Fields to search.
    trials
        How many settings to try, the start included.
    encoder
        Encoder of the texts; by default the BERT model that the settings name.
    seed
        Seed of the splits, of the search and of every fit.
    storage
        SQLite file that trials are kept in: a search that was interrupted, or another process
        with the same file, goes on with them.
    jobs
        Trials at a time, in threads.

    Returns
    -------
    Tuning
        The best settings, and their gain.

    Raises
    ------
    ConfigError
        If Optuna is not installed, or the trials kept are of another search.
    ValueError
        If there is no trial to make, or there are too few items to set some aside.

    Notes
    -----
    Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011) by Optuna; trials that are
    worse than the median after a fold are given up.
    """
    try:
        import optuna
    except ImportError as error:
        raise ConfigError("tuning needs the package optuna: pip install 'kgrec[tune]'") from error
    if trials < 1:
        raise ValueError(f"{trials} trials find nothing: ask for one at least")
    start = config or Config()
    encoder = encoder or start.make_encoder()
    outer = split_cold_items(graph, HELD_OUT, seed=seed)
    folds = [split_cold_items(outer.train, HELD_OUT, seed=seed + 1 + fold) for fold in range(FOLDS)]

    def measure(trial: optuna.Trial) -> float:
        settings = _with(start, {one.field: one.suggest(trial) for one in space})
        found: list[float] = []
        for fold in folds:
            found.append(_quality(settings, encoder, fold, seed))
            trial.report(float(np.mean(found)), len(found))
            if len(found) < len(folds) and trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(found))

    study = _open_study(start, space, seed, storage)
    left = trials - len(study.get_trials(states=_ended()))
    if left > 0:
        study.optimize(measure, n_trials=left, n_jobs=jobs, show_progress_bar=sys.stderr.isatty())
    best = _with(start, study.best_params)
    rankers = {
        name: Recommender(settings, encoder=encoder).fit(outer.train, seed=seed)
        for name, settings in (("start", start), ("tuned", best))
    }
    gain = compare(rankers, outer.test, candidates="cold", k=[LENGTH])
    return Tuning(best, _table(study, space), gain)


def write_config(config: Config, path: Path) -> None:
    """Write the settings that differ from the defaults as TOML.

    Parameters
    ----------
    config
        Settings.
    path
        Where to.

    Raises
    ------
    ArtifactError
        If the file can't be written.
    """
    told = config.model_dump(exclude_defaults=True)
    lines = [f"{name} = {_as_toml(value)}\n" for name, value in told.items()]
    text = "".join(lines)
    if tomllib.loads(text) != told:
        raise ArtifactError(f"the settings {told} can't be written as TOML")
    beside = path.with_name(f"{path.name}.new")
    try:
        beside.write_text(text, encoding="utf-8")
        sync_to_disk(beside)
        beside.replace(path)
    except OSError as error:
        raise ArtifactError(f"{path} can't be written: {error}") from error


def _as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)


def _with(start: Config, values: Mapping[str, Value]) -> Config:
    return Config(**{**start.model_dump(), **values})


def _quality(config: Config, encoder: TextEncoder, split: Split, seed: int) -> float:
    """Add recall@20 and NDCG@20 of the items that are cold in a split."""
    model = Recommender(config, encoder=encoder).fit(split.train, seed=seed)
    report = evaluate(model, split.test, candidates="cold", k=[LENGTH])
    return report.mean("recall", LENGTH) + report.mean("ndcg", LENGTH)


def _ended() -> tuple[optuna.trial.TrialState, ...]:
    from optuna.trial import TrialState

    return TrialState.COMPLETE, TrialState.PRUNED


def _open_study(
    start: Config, space: Sequence[Searched], seed: int, storage: Path | None
) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
    study = optuna.create_study(
        study_name="kgrec",
        storage=None if storage is None else f"sqlite:///{storage}",
        load_if_exists=True,
        direction="maximize",
        sampler=sampler,
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=0),
    )
    facts = {"start": start.model_dump_json(), "space": repr(tuple(space)), "seed": seed}
    kept = study.user_attrs
    if kept and kept != facts:
        raise ConfigError(
            f"{storage} holds trials of another search (other settings, space or seed): name "
            "another file"
        )
    if not kept:
        for name, value in facts.items():
            study.set_user_attr(name, value)
        if all(_can_start(one, start) for one in space):
            study.enqueue_trial({one.field: getattr(start, one.field) for one in space})
    return study


def _can_start(searched: Searched, start: Config) -> bool:
    value = getattr(start, searched.field)
    if searched.is_range:
        return bool(searched.choices[0] <= value <= searched.choices[1])
    return value in searched.choices


def _table(study: optuna.Study, space: Sequence[Searched]) -> pd.DataFrame:
    from optuna.trial import TrialState

    done = study.get_trials(states=(TrialState.COMPLETE,))
    rows = [
        {"quality": trial.value, **{one.field: trial.params[one.field] for one in space}}
        for trial in done
    ]
    return pd.DataFrame(rows).sort_values("quality", ascending=False, ignore_index=True)
