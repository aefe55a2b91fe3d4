//! `atalaia-agent health`: asks the agent beside it whether it is alive, for the health check of its container.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use atalaia_agent::Settings;

/// How long connecting and answering may take, each.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks on the first address that the settings listen on.
///
/// # Errors
/// With one line that says what was asked and what came of it.
pub fn check(settings: &Settings) -> Result<(), String> {
    let listens = settings.listen.first().ok_or("there is no address to ask")?;
    let address = reachable(listens);
    let status = ask(&address).map_err(|error| format!("cannot ask {address}: {error}"))?;
    if status == "200" { Ok(()) } else { Err(format!("http://{address}/healthz answered {status:?}")) }
}

/// The address by which a listener can be reached on this machine.
fn reachable(listens: &str) -> String {
    let (host, port) = listens.rsplit_once(':').unwrap_or((listens, ""));
    let host = if matches!(host, "" | "0.0.0.0" | "[::]") { "127.0.0.1" } else { host };
    format!("{host}:{port}")
}

/// The status code of the answer.
fn ask(address: &str) -> std::io::Result<String> {
    let resolved = address.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&resolved, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    // "HTTP/1.1 200"
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let [.., hundreds, tens, ones] = head;
    Ok([hundreds, tens, ones].map(char::from).iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(listens: &str, want: &str) {
        assert_eq!(reachable(listens), want);
    }

    #[test]
    fn everywhere_is_here_too() {
        check(":9100", "127.0.0.1:9100");
        check("0.0.0.0:1", "127.0.0.1:1");
        check("[::]:1", "127.0.0.1:1");
        check("[::1]:1", "[::1]:1");
        check("localhost:9100", "localhost:9100");
    }
}
