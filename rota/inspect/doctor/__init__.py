"""The doctor: checks server, permissions, queues, task types and workers, and reports problems. It changes nothing."""

from rota.inspect.doctor.examination import Examination, examine
from rota.inspect.doctor.finding import Finding, Severity

__all__ = ["Examination", "Finding", "Severity", "examine"]
