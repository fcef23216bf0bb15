"""What the catalog's data files must keep to, beyond their types: `check` reads them all, a module for each subject."""

from provision.catalog.checks.whole import check, kinds

__all__ = ["check", "kinds"]
