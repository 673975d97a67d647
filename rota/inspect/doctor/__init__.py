"""The doctor: checks server, permissions, queues, task types and workers, and reports problems.

Only `Repair` changes something: it repairs tasks and locks that contradict the lists and sets of their queue.
"""

from rota.inspect.doctor.discrepancies import Discrepancies, compare
from rota.inspect.doctor.examination import Examination, examine
from rota.inspect.doctor.finding import Finding, Severity
from rota.inspect.doctor.repair import Repair

__all__ = ["Discrepancies", "Examination", "Finding", "Repair", "Severity", "compare", "examine"]
