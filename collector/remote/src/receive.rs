//! The receiving side of remote write: from the body of a request to its message, within bounds.

use prost::Message as _;

use crate::prompb::WriteRequest;

/// A remote-write body could not be decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The body says that it unfolds to more than the bound.
    #[error("the body unfolds to {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// What it says.
        size: usize,
        /// The bound.
        limit: usize,
    },
    /// Not the block form of Snappy.
    #[error("cannot decompress the body as a snappy block")]
    Snappy(#[source] snap::Error),
    /// Not a `prometheus.WriteRequest`.
    #[error("cannot decode the body as prometheus.WriteRequest")]
    Protobuf(#[source] prost::DecodeError),
}

/// Decodes the body of a remote-write 1.0 request: Snappy's block form around a `prometheus.WriteRequest`.
/// `limit` bounds the bytes that the body may unfold to, and is checked before any is allocated.
///
/// # Errors
/// When the body is too large, or not such a message.
pub fn decode_write_request(body: &[u8], limit: usize) -> Result<WriteRequest, ReceiveError> {
    let size = snap::raw::decompress_len(body).map_err(ReceiveError::Snappy)?;
    if size > limit {
        return Err(ReceiveError::TooLarge { size, limit });
    }
    let plain = snap::raw::Decoder::new().decompress_vec(body).map_err(ReceiveError::Snappy)?;
    WriteRequest::decode(plain.as_slice()).map_err(ReceiveError::Protobuf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompb::{Label, Sample, TimeSeries};

    fn body(request: &WriteRequest) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()
    }

    #[test]
    fn decodes_within_its_bound() {
        let series = TimeSeries {
            labels: vec![Label { name: "__name__".to_owned(), value: "up".to_owned() }],
            samples: vec![Sample { value: 1.0, timestamp: 2 }],
            ..TimeSeries::default()
        };
        let request = WriteRequest { timeseries: vec![series; 10], ..WriteRequest::default() };
        let body = body(&request);
        assert_eq!(decode_write_request(&body, 10_000).unwrap(), request);
        assert!(matches!(decode_write_request(&body, 100), Err(ReceiveError::TooLarge { limit: 100, .. })));
        assert!(matches!(decode_write_request(b"\xff\xff\xff\xff\xff", 100), Err(ReceiveError::Snappy(_))));
        assert!(matches!(decode_write_request(b"", 100), Err(ReceiveError::Snappy(_))));
        let noise = snap::raw::Encoder::new().compress_vec(b"\x0a\xff").unwrap();
        assert!(matches!(decode_write_request(&noise, 100), Err(ReceiveError::Protobuf(_))));
    }
}
