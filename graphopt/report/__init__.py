"""What a command has to tell, once as data and once as tables."""

from graphopt.report.content import Cell, Column, Entry, Facts, Format, Report, Section, Table
from graphopt.report.show import show

__all__ = ["Cell", "Column", "Entry", "Facts", "Format", "Report", "Section", "Table", "show"]
