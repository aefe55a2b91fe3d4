//! Takes votes, counts each voter once, shows the result live.
