"""Every error that kgrec raises on purpose.

::

    KgrecError
    ├── ConfigError    (ValueError)     a setting is unknown, out of range or contradicts another
    ├── SchemaError    (ValueError)     a graph schema folder is incomplete or inconsistent
    ├── SourceError    (RuntimeError)   a source can't be reached, or its rows break the schema
    ├── UnknownIdError (LookupError)    an id is not in the graph
    ├── NotFittedError (RuntimeError)   a verb was called before ``fit``
    └── ArtifactError  (RuntimeError)   something saved is missing, broken or of another version

Each message names the file, query, column or ids at fault and says what to do.
A programming mistake stays ``TypeError`` or ``ValueError``.
"""

from __future__ import annotations

from collections.abc import Iterable

SHOWN_IDS = 5


class KgrecError(Exception):
    """Base of every error that kgrec raises on purpose."""


class ConfigError(KgrecError, ValueError):
    """A setting is unknown, out of range or contradicts another."""


class SchemaError(KgrecError, ValueError):
    """A graph schema folder is incomplete or inconsistent."""


class SourceError(KgrecError, RuntimeError):
    """A source can't be reached, or its rows break the schema."""


class UnknownIdError(KgrecError, LookupError):
    """An id is not in the graph."""


class NotFittedError(KgrecError, RuntimeError):
    """A verb was called before ``fit``."""


class TrainingError(KgrecError, ArithmeticError):
    """Training came to numbers that are not finite."""


class ArtifactError(KgrecError, RuntimeError):
    """A saved model, graph or text model is missing, broken or of another version."""


def name_ids(ids: Iterable[object]) -> str:
    """Quote the first few ids of a message and count the rest.

    Parameters
    ----------
    ids
        Ids at fault, in the order to show.

    Returns
    -------
    str
        At most five quoted ids, then how many more there are.

    Examples
    --------
    >>> name_ids(["a", "b"])
    "'a', 'b'"
    >>> name_ids(range(7))
    "'0', '1', '2', '3', '4' and 2 more"
    """
    listed = [str(value) for value in ids]
    shown = ", ".join(f"'{value}'" for value in listed[:SHOWN_IDS])
    hidden = len(listed) - SHOWN_IDS
    return f"{shown} and {hidden} more" if hidden > 0 else shown
