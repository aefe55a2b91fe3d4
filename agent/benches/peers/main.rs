//! The agent beside Debian's node_exporter, and beside cAdvisor where there is one, in one run on one machine.
//!
//! `cargo bench -p atalaia-agent --bench peers` (or `make bench`) prints the tables of the agent's README and says of each
//! goal whether it is met; with `-- --quick` it looks only whether everything works. It takes six minutes besides building
//! the agent as it is delivered, static (`ATALAIA_AGENT` names one that is built), and needs root, an engine of Docker and
//! `apt-get install prometheus-node-exporter`. What it starts it removes, however it ends.
//!
//! All peers run at the same time and take turns, so that a change of the machine's mood meets all alike. CPU time is the
//! kernel's, of all threads, in nanoseconds; the least of a peer's turns is shown, since other work on the machine only
//! adds to it. Times on the wall are of all turns, and worth something on a quiet machine alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod connection;
mod containers;
mod namespace;
mod peer;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use connection::Form;
use containers::Containers;
use peer::{Effort, Figures, Peer};
use table::{Goal, Row, Table};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const NODE_EXPORTER: &str = "prometheus-node-exporter";

/// How much is done: of everything, or a little of everything.
struct Extent {
    node: Effort,
    containers: [(usize, Effort); 2],
    idle: Duration,
}

const WHOLE: Extent = Extent {
    node: Effort { turns: 12, scrapes: 100 },
    containers: [(20, Effort { turns: 12, scrapes: 50 }), (200, Effort { turns: 8, scrapes: 20 })],
    idle: Duration::from_secs(30),
};
const QUICK: Extent = Extent {
    node: Effort { turns: 2, scrapes: 10 },
    containers: [(2, Effort { turns: 2, scrapes: 10 }), (5, Effort { turns: 2, scrapes: 10 })],
    idle: Duration::from_secs(2),
};

fn main() {
    let flags: Vec<String> = std::env::args().skip(1).collect();
    let extent = if flags.iter().any(|flag| flag == "--quick") { QUICK } else { WHOLE };
    if let [inside, agent] = &flags[..flags.len().min(2)]
        && inside == namespace::INSIDE
    {
        return namespace::report(&measure(&node_peers(Path::new(agent)), extent.node, None));
    }
    let Some(agent) = Agent::build() else { return };
    println!("{}\n", table::machine());
    let mut table = Table::new(&["node_exporter", "cAdvisor", "agent"]);
    for interfaces in [2, 26] {
        let figures = namespace::measure(interfaces, &agent.program, &flags);
        add_node(&mut table, interfaces, &figures);
    }
    match Containers::new() {
        Some(mut containers) => {
            for (wanted, effort) in extent.containers {
                let count = containers.grow_to(wanted);
                let figures = measure(&container_peers(&agent.program), effort, Some(extent.idle));
                add_containers(&mut table, count, &figures, extent.idle);
            }
        }
        None => println!("No engine of Docker answers: the parts with containers are left out.\n"),
    }
    table.add(Row::size("", "the program, static and stripped", agent.bytes, Goal::Megabytes(10.0)));
    table.print();
    println!(
        "\nMeasured elsewhere, on another machine with two processors: cAdvisor 0.35 with 20 containers 9.4 ms, 40 MiB, \
         0.9 % idle;\nnode_exporter 1.12.1 with 2 interfaces 3.7 ms plain and 4.8 ms in gzip."
    );
}

/// The agent as it is delivered.
struct Agent {
    program: PathBuf,
    bytes: u64,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.program);
    }
}

impl Agent {
    fn build() -> Option<Self> {
        let built = std::env::var_os("ATALAIA_AGENT").map(PathBuf::from).unwrap_or_else(|| {
            let mut build = Command::new("provisioning/images/binaries.sh");
            build.arg("atalaia-agent").current_dir(ROOT);
            // Cargo tells these to what it runs; a Cargo that is told them builds again what looks at them.
            for (name, _) in std::env::vars() {
                if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                    build.env_remove(name);
                }
            }
            assert!(build.status().is_ok_and(|status| status.success()), "the agent cannot be built");
            let folder =
                std::env::var_os("ATALAIA_BINARIES").map_or_else(|| PathBuf::from("target/static"), PathBuf::from);
            Path::new(ROOT).join(folder).join("atalaia-agent")
        });
        let program = std::env::temp_dir().join(format!("atalaia-bench-agent-{}", std::process::id()));
        let strip = Command::new("strip").arg("-s").arg("-o").args([&program, &built]).status();
        if !strip.is_ok_and(|status| status.success()) {
            println!("{} cannot be stripped: `make setup-test` installs binutils", built.display());
            return None;
        }
        let bytes = program.metadata().unwrap().len();
        Some(Self { program, bytes })
    }
}

fn node_peers(agent: &Path) -> Vec<Peer> {
    vec![
        Peer { column: "node_exporter", program: NODE_EXPORTER.into(), flags: &["--web.listen-address=127.0.0.1:0"] },
        Peer {
            column: "agent",
            program: agent.into(),
            flags: &["--web.listen-address=127.0.0.1:0", "--no-collector.container"],
        },
    ]
}

fn container_peers(agent: &Path) -> Vec<Peer> {
    let mut peers = node_peers(agent);
    if let Some(agent) = peers.last_mut() {
        agent.flags = &["--web.listen-address=127.0.0.1:0"];
    }
    // It cannot choose a free port: the one that is asked for is seldom another's.
    let flags = &["-listen_ip=127.0.0.1", "-port=47813", "-logtostderr"];
    let cadvisor = Peer { column: "cAdvisor", program: "cadvisor".into(), flags };
    if cadvisor.is_there() {
        peers.push(cadvisor);
    }
    peers
}

/// What the peers cost in each form of page, and, for that long, unasked.
fn measure(peers: &[Peer], effort: Effort, idle: Option<Duration>) -> Vec<Figures> {
    let mut running: Vec<_> = peers.iter().map(Peer::start).collect();
    for form in Form::ALL {
        for peer in &mut running {
            peer.warm_up(form);
        }
        for _ in 0..effort.turns {
            for peer in &mut running {
                peer.take_turn(form, effort.scrapes);
            }
        }
    }
    if let Some(idle) = idle {
        let before: Vec<_> = running.iter().map(|peer| peer.cpu()).collect();
        std::thread::sleep(idle);
        for (peer, before) in running.iter_mut().zip(before) {
            peer.figures.idle = Some((peer.cpu() - before).as_secs_f64() / idle.as_secs_f64());
        }
    }
    running.into_iter().map(peer::Running::stop).collect()
}

fn add_node(table: &mut Table, interfaces: usize, figures: &[Figures]) {
    let scene = format!("node page, {interfaces} interfaces");
    let few = interfaces == 2;
    let (plain, gzip) = if few { (0.6, Goal::Ms(0.9)) } else { (1.0, Goal::None) };
    table.add(Row::cpu(&scene, Form::Plain, figures, Goal::Ms(plain)));
    table.add(Row::cpu("", Form::Gzip, figures, gzip));
    table.add(Row::cpu("", Form::OpenMetrics, figures, Goal::None));
    table.add(Row::wall("", Form::Plain, figures, 50, Goal::None));
    table.add(Row::wall("", Form::Plain, figures, 99, Goal::Below(2.0)));
    table.add(Row::wall("", Form::Gzip, figures, 50, Goal::None));
    table.add(Row::wall("", Form::Gzip, figures, 99, Goal::Below(2.0)));
    table.add(Row::memory("", figures, Goal::None));
}

fn add_containers(table: &mut Table, count: usize, figures: &[Figures], idle: Duration) {
    let scene = format!("both roles, {count} containers");
    let (ms, mib) = if count > 20 { (20.0, 20.0) } else { (2.5, 10.0) };
    table.add(Row::cpu(&scene, Form::Plain, figures, Goal::Ms(ms)));
    table.add(Row::cpu("", Form::Gzip, figures, Goal::Ms(ms)));
    table.add(Row::cpu("", Form::OpenMetrics, figures, Goal::None));
    table.add(Row::wall("", Form::Gzip, figures, 50, Goal::None));
    table.add(Row::wall("", Form::Gzip, figures, 99, Goal::None));
    table.add(Row::memory("", figures, Goal::Mib(mib)));
    table.add(Row::idle("", figures, idle, Goal::Percent(0.1)));
}
