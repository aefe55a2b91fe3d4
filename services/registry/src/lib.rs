//! Keeps what containers tell about themselves; and the client that posts and gets it.
