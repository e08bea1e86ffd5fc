//! Records of an event file: a length and its checksum, an event in protobuf and its checksum.

use prost::Message;

/// One record.
pub struct Record(Event);

// The fields of tensorboard/compat/proto/event.proto and summary.proto that scalars need.

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// `SessionLog.SessionStatus.START`: invalidates events of this step and later steps in earlier files.
const START: i32 = 1;

impl Record {
    /// The first record of a file. Times are seconds since 1970.
    pub fn version(time: f64) -> Self {
        let file_version = Some("brain.Event:2".to_owned());
        Self(Event { wall_time: time, file_version, ..Event::default() })
    }

    /// The record of a restart at this step.
    pub fn restart(time: f64, step: usize) -> Self {
        let session_log = Some(SessionLog { status: START });
        Self(Event { wall_time: time, step: step as i64, session_log, ..Event::default() })
    }

    /// The record of scalars, by tag.
    pub fn scalars(time: f64, step: usize, scalars: &[(String, f64)]) -> Self {
        let value = |(tag, value): &(String, f64)| Value {
            tag: tag.clone(),
            simple_value: Some(*value as f32),
        };
        let summary = Some(Summary { value: scalars.iter().map(value).collect() });
        Self(Event { wall_time: time, step: step as i64, summary, ..Event::default() })
    }

    /// The record's bytes in a file.
    pub fn bytes(&self) -> Vec<u8> {
        let event = self.0.encode_to_vec();
        let length = (event.len() as u64).to_le_bytes();
        [&length[..], &checksum(&length), &event, &checksum(&event)].concat()
    }
}

/// CRC-32C with the mask of TFRecord. Without a mask, checksums of data that contain checksums would be weak.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_byte_for_byte_as_tensorboard_writes_it() {
        let scalar = |tag: &str, value: f64| (tag.to_owned(), value);
        let first = [scalar("loss/held_out", 6.25), scalar("nitp/held_out", 0.0)];
        let later = [
            scalar("loss/train", 0.1),
            scalar("grad_norm", 1e-30),
            scalar("mean_cosine", -0.75),
            scalar("tokens_per_second", 123_456_789.0),
            scalar("ü", f64::INFINITY),
        ];
        let records = [
            Record::version(1_700_000_000.25),
            Record::scalars(1_700_000_001.0, 0, &first),
            Record::scalars(1_700_000_002.5, 1, &later),
            Record::scalars(1_700_000_003.0, 1 << 40, &[scalar("loss/train", f64::MAX)]),
            Record::restart(1_700_000_004.0, 2),
            Record::restart(1_700_000_005.0, 0),
        ];
        let bytes: Vec<u8> = records.iter().flat_map(Record::bytes).collect();
        let expected = include_bytes!("../../tests/tensorboard/events.tfevents");
        assert!(bytes == expected, "{bytes:?}\nis not\n{expected:?}");
    }
}
