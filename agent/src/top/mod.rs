//! `atalaia-agent top`: this machine and its containers, live in the terminal.
//!
//! It reads the kernel by itself, with what the agent reads it with; no agent has to run.

mod figures;
mod keys;
mod screen;
mod table;

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use agent_container::{Config, Containers, Set, Sets};
use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

pub use table::Order;

use figures::{Figures, Machine};
use keys::Key;
use screen::Screen;
use table::Table;

/// What to show.
pub struct Options {
    /// The container side, as the agent would have it.
    pub containers: Config,
    /// One table, and leave.
    pub once: bool,
    /// How often to look.
    pub interval: Duration,
    /// What comes first.
    pub order: Order,
    /// Only names and images that hold this.
    pub filter: String,
    /// All cgroups, not only containers.
    pub all: bool,
}

/// How wide a table is that goes to no terminal.
const NO_TERMINAL: usize = 120;

/// Shows it until the user has seen enough.
///
/// # Errors
/// When there is no terminal, or it cannot be set up.
pub fn run(options: Options) -> anyhow::Result<()> {
    let is_terminal = std::io::stdout().is_terminal();
    let can_be_live = is_terminal && std::io::stdin().is_terminal();
    if !options.once && !can_be_live {
        bail!("top needs a terminal: --once prints one table to anywhere");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let result = runtime.block_on(show(options, is_terminal));
    // The engine may never answer.
    runtime.shutdown_background();
    result
}

async fn show(options: Options, is_terminal: bool) -> anyhow::Result<()> {
    let sets = [Set::Cpu, Set::Memory, Set::Network, Set::DiskIo, Set::Process];
    let config = Config {
        // Space on disks takes long to measure and changes slowly: not what one looks at here.
        sets: sets.into_iter().fold(Sets::none(), Sets::with),
        housekeeping_interval: options.interval,
        storage_duration: options.interval * 4,
        ..options.containers
    };
    let machine = Machine::new(&config.root);
    let containers = Containers::new(config)?;
    containers.start()?;
    let colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut table =
        Table { order: options.order, filter: options.filter, all: options.all, colours, ..Table::default() };
    if options.once {
        look(&containers, &machine, options.interval).await?;
        // A rate takes two readings, and names take the engine's answer.
        tokio::time::sleep(options.interval).await;
        let figures = look(&containers, &machine, options.interval).await?;
        let width = screen::size().map_or(NO_TERMINAL, |(width, _)| width);
        let text = table.once(&figures, if is_terminal { width } else { NO_TERMINAL });
        // A reader that has seen enough closes its end; that is no error.
        match std::io::stdout().write_all(text.as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error.into()),
            _ => return Ok(()),
        }
    }
    let screen = Screen::enter().context("cannot set up the terminal")?;
    watch(&containers, &machine, &mut table, &screen, options.interval).await
}

/// The containers are also read by themselves while somebody looks: such a reading of just now is as good.
async fn look(containers: &Containers, machine: &Machine, interval: Duration) -> anyhow::Result<Figures> {
    let (containers, machine) = (containers.clone(), machine.clone());
    let figures = tokio::task::spawn_blocking(move || Figures::new(&containers.recent(interval / 2), &machine));
    figures.await.context("cannot read the kernel")
}

async fn watch(
    containers: &Containers,
    machine: &Machine,
    table: &mut Table,
    screen: &Screen,
    interval: Duration,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut resized = signal(SignalKind::window_change())?;
    let (sender, mut keys) = mpsc::channel(16);
    // It waits in the kernel for a key, and ends with the process.
    std::thread::Builder::new().name("atalaia-keys".to_owned()).spawn(move || keys::read(&sender))?;
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut figures = Figures::default();
    loop {
        tokio::select! {
            _ = ticks.tick() => figures = look(containers, machine, interval).await?,
            _ = resized.recv() => {}
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
            key = keys.recv() => match key {
                None | Some(Key::Quit) => return Ok(()),
                Some(Key::Suspend) => screen.suspend()?,
                Some(key) if table.press(&key) => {}
                Some(_) => return Ok(()),
            },
        }
        let (width, height) = screen::size().unwrap_or((80, 24));
        screen.draw(&table.frame(&figures, width, height))?;
    }
}
