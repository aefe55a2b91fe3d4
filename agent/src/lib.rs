//! The agent: node and container metrics of one machine on one page.
