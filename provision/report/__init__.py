"""The report of a run: data in, one self-contained HTML page out. It asks no node."""

from provision.report.declared import Declared
from provision.report.page import Header, page
from provision.report.view import NodeEvidence

__all__ = ["Declared", "Header", "NodeEvidence", "page"]
