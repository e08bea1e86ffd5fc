"""Writes `events.tfevents` with TensorBoard's own writer: what ours must write byte for byte.

    python write.py
"""

from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

FILE = Path(__file__).parent / "events.tfevents"
START = SessionLog(status=SessionLog.START)


def scalars(**values: float) -> Summary:
    """Values by tag, in the order given."""
    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])


LATER = {
    "loss/train": 0.1,
    "grad_norm": 1e-30,
    "mean_cosine": -0.75,
    "tokens_per_second": 123_456_789.0,
    "ü": float("inf"),
}

EVENTS = [
    Event(wall_time=1_700_000_000.25, file_version="brain.Event:2"),
    Event(wall_time=1_700_000_001.0, step=0, summary=scalars(**{"loss/held_out": 6.25, "nitp/held_out": 0.0})),
    Event(wall_time=1_700_000_002.5, step=1, summary=scalars(**LATER)),
    # Larger than any float: infinite in 32 bits.
    Event(wall_time=1_700_000_003.0, step=1 << 40, summary=scalars(**{"loss/train": 1.7976931348623157e308})),
    Event(wall_time=1_700_000_004.0, step=2, session_log=START),
    Event(wall_time=1_700_000_005.0, step=0, session_log=START),
]


def main() -> None:
    with FILE.open("wb") as file:
        writer = RecordWriter(file)
        for event in EVENTS:
            writer.write(event.SerializeToString())
        writer.flush()
    print(f"{FILE.name}: {len(EVENTS)} events, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
