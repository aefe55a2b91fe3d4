//! Answers every line that it gets, and the client that sends them.
