//! Durable delivery: one queue on disk per destination, and the sinks that empty it.
