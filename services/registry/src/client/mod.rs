//! The interactive client: `get`, `post`, `exit`, one a line.

mod container;
mod http;

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use services_kit as kit;
use tokio::sync::mpsc;

use http::Url;

/// What is said to anything else.
const HELP: &str = "Options are get, post and exit";
/// As long as an answer of the agent may be.
const INFO_BYTES: usize = 64 << 10;

/// The client's settings.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// This container's id or name, as the agent knows it; without it, the client looks for its own.
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Where the registry is.
    #[arg(long, env = "REGISTRY_URL", default_value = "http://localhost:5004", value_name = "URL")]
    pub registry_url: Url,
    /// Where the agent of this machine is.
    #[arg(long, env = "AGENT_URL", default_value = "http://localhost:9100", value_name = "URL")]
    pub agent_url: Url,
}

/// Does what standard input says until it says `exit` or ends. What fails is told in a line, and it goes on.
///
/// # Errors
/// Standard input cannot be read, or standard output not be written to.
pub async fn run(settings: Settings) -> Result<(), kit::Failure> {
    let mut lines = typed();
    let asks = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    loop {
        if asks {
            print("> ")?;
        }
        let Some(line) = lines.recv().await else { return Ok(()) };
        let done = match line?.trim() {
            "get" => get(&settings).await,
            "post" => post(&settings).await,
            "exit" => return Ok(()),
            _ => {
                print(&format!("{HELP}\n"))?;
                continue;
            }
        };
        match done {
            Err(Failed::Output(error)) => return Err(error.into()),
            Err(Failed::Peer(reason)) => print(&format!("{reason}\n"))?,
            Ok(()) => {}
        }
    }
}

/// The lines of standard input, one ahead of who takes them.
fn typed() -> mpsc::Receiver<std::io::Result<String>> {
    let (lines, taken) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(b'\n') {
            let line = line.map(|line| String::from_utf8_lossy(&line).into_owned());
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    taken
}

enum Failed {
    /// Standard output is closed.
    Output(std::io::Error),
    /// A line for the person at the terminal.
    Peer(String),
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

/// Prints all that the registry has, as it comes.
async fn get(settings: &Settings) -> Result<(), Failed> {
    let peer = |error: http::Error| Failed::Peer(format!("registry: {error}"));
    let url = settings.registry_url.join("service");
    let mut answer = http::ask("GET", &url, None).await.map_err(peer)?;
    let mut ended = true;
    while let Some(bytes) = answer.next().await.map_err(peer)? {
        ended = bytes.ends_with(b"\n");
        std::io::stdout().write_all(&bytes)?;
    }
    if !ended {
        print("\n")?;
    }
    std::io::stdout().flush()?;
    Ok(())
}

/// Asks the agent about this container, prints its answer and posts it to the registry.
async fn post(settings: &Settings) -> Result<(), Failed> {
    let id = match &settings.id {
        Some(id) => id.clone(),
        None => container::own_id().ok_or_else(|| Failed::Peer("no container id or host name found".to_owned()))?,
    };
    let agent = |error: http::Error| Failed::Peer(format!("agent: {error}"));
    let url = settings.agent_url.join(&format!("info/{}", http::encoded(&id)));
    let info = http::ask("GET", &url, None).await.map_err(agent)?;
    let info = info.all(INFO_BYTES).await.map_err(agent)?;
    let text = String::from_utf8_lossy(&info);
    print(&format!("{}\n", text.trim_end()))?;
    let registry = |error: http::Error| Failed::Peer(format!("registry: {error}"));
    let answer = http::ask("POST", &settings.registry_url.join("service"), Some(info)).await.map_err(registry)?;
    answer.all(INFO_BYTES).await.map_err(registry)?;
    Ok(())
}

fn print(text: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout();
    output.write_all(text.as_bytes())?;
    output.flush()
}
