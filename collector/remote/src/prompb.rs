//! The messages of Prometheus remote write 1.0 (`prometheus.WriteRequest`), for whoever receives them and for
//! tests. The sending side writes the same bytes straight from its labels (`sinks/remote_write.rs`).
//!
//! Field numbers and types: `prompb/remote.proto` and `prompb/types.proto` of Prometheus. What is left out here
//! (the fields of native histograms) is skipped when decoding, as protobuf asks.

/// The body of one request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WriteRequest {
    /// Series, each with its samples.
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
    /// What families are said to be.
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<MetricMetadata>,
}

/// One series and its samples.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TimeSeries {
    /// Sorted by name, `__name__` among them.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// In the order of their time stamps.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    /// Exemplars.
    #[prost(message, repeated, tag = "3")]
    pub exemplars: Vec<Exemplar>,
    /// Native histograms; only that they are there, not what they say.
    #[prost(message, repeated, tag = "4")]
    pub histograms: Vec<Histogram>,
}

/// A label.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Label {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// One value at one time.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Sample {
    /// What; a stale marker is told by its bits.
    #[prost(double, tag = "1")]
    pub value: f64,
    /// When, in milliseconds since the epoch.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// One observation that stands for many.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exemplar {
    /// Often a trace's id.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// What.
    #[prost(double, tag = "2")]
    pub value: f64,
    /// When, in milliseconds since the epoch.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// A native histogram, whose fields are not read here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Histogram {}

/// What a family of series is said to be.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct MetricMetadata {
    /// The kind; see [`metric_metadata::MetricType`].
    #[prost(enumeration = "metric_metadata::MetricType", tag = "1")]
    pub r#type: i32,
    /// The family's name.
    #[prost(string, tag = "2")]
    pub metric_family_name: String,
    /// The help text.
    #[prost(string, tag = "4")]
    pub help: String,
    /// The unit, often empty.
    #[prost(string, tag = "5")]
    pub unit: String,
}

/// What belongs to [`MetricMetadata`].
pub mod metric_metadata {
    /// The kind of a family.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
    #[repr(i32)]
    #[allow(missing_docs, reason = "the kinds of the exposition format, name by name")]
    pub enum MetricType {
        Unknown = 0,
        Counter = 1,
        Gauge = 2,
        Histogram = 3,
        Gaugehistogram = 4,
        Summary = 5,
        Info = 6,
        Stateset = 7,
    }
}
