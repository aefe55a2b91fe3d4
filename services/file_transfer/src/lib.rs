//! Keeps files: upload, download, list, delete; any number of replicas on one volume.

pub mod metrics;
pub mod multipart;
pub mod routes;
pub mod store;
