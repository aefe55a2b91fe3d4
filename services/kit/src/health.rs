//! `PROGRAM health`: the health check of a container whose image holds nothing but the program.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::connect::{Address, connect};
use crate::http;

/// How long the whole check may take.
const DEADLINE: Duration = Duration::from_secs(4);
/// As much of the answer as is read.
const ANSWER_BYTES: u64 = 4096;

/// Asks the process with these settings on this machine for `/healthz`.
///
/// # Errors
/// What is wrong, in a line: nobody listens, no answer in 4 seconds, or an answer that is not 200.
pub async fn check(settings: &http::Settings) -> Result<(), String> {
    let host = match settings.bind_address {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = Address { host: host.to_string(), port: settings.bind_port };
    let answer = tokio::time::timeout(DEADLINE, ask(&address))
        .await
        .map_err(|_| format!("{address} gave no answer in {} s", DEADLINE.as_secs()))?
        .map_err(|error| format!("{address}: {error}"))?;
    let status = answer.lines().next().unwrap_or_default();
    if status.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(format!("{address} answered {status:?}")) }
}

async fn ask(address: &Address) -> io::Result<String> {
    let mut stream = connect(address).await?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
