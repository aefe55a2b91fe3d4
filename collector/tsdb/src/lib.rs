//! The local window: compressed series in memory, chunk files and a write-ahead log.
