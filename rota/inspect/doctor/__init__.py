"""What is wrong, why, and what to do: server, rights, queues, types and servers are examined and nothing is changed."""

from rota.inspect.doctor.examination import Examination, examine
from rota.inspect.doctor.finding import Finding, Severity

__all__ = ["Examination", "Finding", "Severity", "examine"]
