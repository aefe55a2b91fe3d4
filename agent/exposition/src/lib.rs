//! Metric pages: families and samples, the text and OpenMetrics writers, the parser and content negotiation.
//!
//! The agent writes pages with it, the collector's scraper reads them. No I/O happens here.

mod page;
mod text;

pub use page::{FamilyId, Kind, Page, SharedId};
