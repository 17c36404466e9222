"""The post's points (docs/seed.md): what each refers to, and whether that passed in a stored run.

Pure: a document, a record and the names of what there is go in, states come out.
"""

from harness.points.document import Kind, Point, PointsError, Reference, read_points, with_states
from harness.points.record import Record, RecordError, record_of
from harness.points.resolving import Known, State, resolve, state_of, unknown, why

__all__ = [
    "Kind",
    "Known",
    "Point",
    "PointsError",
    "Record",
    "RecordError",
    "Reference",
    "State",
    "read_points",
    "record_of",
    "resolve",
    "state_of",
    "unknown",
    "why",
    "with_states",
]
