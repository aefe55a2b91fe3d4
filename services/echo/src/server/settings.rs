//! Where the server listens for lines, and its limits.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::duration::parse_some;

/// The settings of the server besides those of HTTP and log.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Lines")]
#[group(skip)]
pub struct Settings {
    /// TCP port for lines, at BIND_ADDRESS; 0 lets the system choose.
    #[arg(long, env = "SERVER_PORT", default_value = "12345", value_name = "PORT")]
    pub server_port: u16,
    /// Connections that the system holds until they are accepted (it caps this at net.core.somaxconn).
    #[arg(long, env = "SERVER_LISTEN_BACKLOG", default_value = "1024", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=65535))]
    pub server_listen_backlog: u32,
    /// Connections at once. When there are as many, the one that has been silent longest makes room for the next.
    #[arg(long, env = "SERVER_MAX_CONNECTIONS", default_value = "512", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=65535))]
    pub server_max_connections: u32,
    /// Bytes of a line; a longer one is refused and ends its connection.
    #[arg(long, env = "SERVER_MAX_LINE_BYTES", default_value = "8192", value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub server_max_line_bytes: u32,
    /// How long a peer may take for a line, from the one before; then what it sent of it is answered, and it is let go.
    #[arg(long, env = "SERVER_LINE_TIMEOUT", default_value = "30s", value_name = "DURATION", value_parser = parse_some)]
    pub server_line_timeout: Duration,
    /// How long a peer may take to accept its answers.
    #[arg(long, env = "SERVER_WRITE_TIMEOUT", default_value = "10s", value_name = "DURATION", value_parser = parse_some)]
    pub server_write_timeout: Duration,
    /// Lines of a connection, which closes after the last; without it, as many as come
    #[arg(long, env = "SERVER_LINES_PER_CONNECTION", value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub server_lines_per_connection: Option<u64>,
    /// How long a connection may last.
    #[arg(long, env = "SERVER_CONNECTION_TIMEOUT", default_value = "1h", value_name = "DURATION", value_parser = parse_some)]
    pub server_connection_timeout: Duration,
}

impl Settings {
    pub(super) fn address(&self, ip: IpAddr) -> SocketAddr {
        SocketAddr::new(ip, self.server_port)
    }

    pub(super) fn line_bytes(&self) -> usize {
        self.server_max_line_bytes as usize
    }

    pub(super) fn places(&self) -> usize {
        self.server_max_connections as usize
    }
}
