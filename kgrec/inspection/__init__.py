"""Look at a database that nobody has described yet, and write a first schema folder for it."""

from kgrec.inspection.guessing import Roles, guess_roles
from kgrec.inspection.inventory import Inventory
from kgrec.inspection.opening import inspect_source
from kgrec.inspection.writing import write_schema_folder

__all__ = ["Inventory", "Roles", "guess_roles", "inspect_source", "write_schema_folder"]
