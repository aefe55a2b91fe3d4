//! The table: what is in it, in which order, and how it looks.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::figures::{Figures, Row};
use super::keys::Key;

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Cpu,
    Memory,
    Net,
    Io,
}

impl Order {
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Memory, Self::Net, Self::Io];

    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Net => "net",
            Self::Io => "io",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.name() == name)
    }

    /// What is not known comes last.
    fn weight(self, row: &Row) -> f64 {
        let both = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0.0) + other.unwrap_or(0.0)),
        };
        let weight = match self {
            Self::Cpu => row.cpu,
            Self::Memory => row.memory.map(|bytes| bytes as f64),
            Self::Net => both(row.received, row.sent),
            Self::Io => both(row.read, row.written),
        };
        weight.unwrap_or(-1.0)
    }
}

/// What the user wants to see.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub order: Order,
    pub reversed: bool,
    pub filter: String,
    pub all: bool,
    pub colours: bool,
    /// While the filter is typed.
    pub typing: bool,
    /// Rows left out at the top.
    pub scrolled: usize,
}

/// Columns after the name, and how wide each is.
const COLUMNS: &[(&str, usize, Option<Order>)] = &[
    ("CPU %", 8, Some(Order::Cpu)),
    ("MEMORY", 10, Some(Order::Memory)),
    ("LIMIT %", 8, None),
    ("RECEIVED/s", 11, Some(Order::Net)),
    ("SENT/s", 11, None),
    ("READ/s", 11, Some(Order::Io)),
    ("WRITTEN/s", 11, None),
    ("PROCS", 6, None),
];

const LEAST_NAME: usize = 12;
const KEYS: &str = "c cpu  m memory  n net  i io  r reverse  a all cgroups  / filter  arrows scroll  q quit";

impl Table {
    /// Does what a key asks for; `false` when it asks to leave.
    pub fn press(&mut self, key: &Key) -> bool {
        if self.typing {
            match key {
                Key::Enter => self.typing = false,
                Key::Escape => {
                    self.typing = false;
                    self.filter.clear();
                }
                Key::Backspace => {
                    self.filter.pop();
                }
                Key::Letter(letter) if self.filter.len() < 64 => self.filter.push(*letter),
                _ => {}
            }
            return true;
        }
        match key {
            Key::Letter('q') | Key::Escape | Key::Quit => return false,
            Key::Letter('c') => self.order = Order::Cpu,
            Key::Letter('m') => self.order = Order::Memory,
            Key::Letter('n') => self.order = Order::Net,
            Key::Letter('i') => self.order = Order::Io,
            Key::Letter('r') => self.reversed = !self.reversed,
            Key::Letter('a') => self.all = !self.all,
            Key::Letter('/') => {
                self.typing = true;
                self.filter.clear();
            }
            Key::Up | Key::Letter('k') => self.scrolled = self.scrolled.saturating_sub(1),
            Key::Down | Key::Letter('j') => self.scrolled += 1,
            _ => {}
        }
        true
    }

    /// A whole screen.
    pub fn frame(&mut self, figures: &Figures, width: usize, height: usize) -> Vec<String> {
        let rows = self.rows(figures);
        let mut lines = self.head(figures, rows.len());
        let room = height.saturating_sub(lines.len() + 1);
        self.scrolled = self.scrolled.min(rows.len().saturating_sub(room));
        let name = width.saturating_sub(columns_width()).max(LEAST_NAME);
        lines.push(self.titles(name));
        lines.extend(rows.iter().skip(self.scrolled).take(room.saturating_sub(1)).map(|row| line(row, name)));
        lines.truncate(height.saturating_sub(1));
        lines.resize(height.saturating_sub(1), String::new());
        let foot = match self.typing {
            true => format!("filter: {}_  Enter keeps it, Esc drops it", plain(&self.filter)),
            false => KEYS.to_owned(),
        };
        lines.push(self.quiet(&foot));
        lines.iter().map(|line| cut(line, width)).collect()
    }

    /// A table without end, for `--once`.
    pub fn once(&self, figures: &Figures, width: usize) -> String {
        let rows = self.rows(figures);
        let longest = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        let name = width.saturating_sub(columns_width()).max(LEAST_NAME).max(if self.colours { 0 } else { longest });
        let mut lines = self.head(figures, rows.len());
        lines.push(self.titles(name));
        lines.extend(rows.iter().map(|row| line(row, name)));
        lines.iter().fold(String::new(), |text, line| text + line.trim_end() + "\n")
    }

    /// Those that are shown, in order.
    fn rows<'a>(&self, figures: &'a Figures) -> Vec<&'a Row> {
        let wanted = self.filter.to_lowercase();
        let holds = |text: &str| text.to_lowercase().contains(&wanted);
        let is_shown = |row: &&Row| (self.all || row.is_container) && (holds(&row.name) || holds(&row.image));
        let mut rows: Vec<_> = figures.rows.iter().filter(is_shown).collect();
        rows.sort_by(|a, b| {
            let weights = self.order.weight(b).partial_cmp(&self.order.weight(a)).unwrap_or(Ordering::Equal);
            let weights = if self.reversed { weights.reverse() } else { weights };
            weights.then_with(|| a.name.cmp(&b.name))
        });
        rows
    }

    fn head(&self, figures: &Figures, shown: usize) -> Vec<String> {
        let machine = &figures.machine;
        let busy = machine.cpu.zip(figures.cpus).map(|(busy, cpus)| busy / cpus as f64);
        let used = machine.memory.zip(machine.memory_limit).map(|(used, all)| used as f64 / all as f64);
        let cpus = figures.cpus.map_or_else(|| "?".to_owned(), |cpus| cpus.to_string());
        let load = figures
            .load
            .map_or_else(String::new, |[one, five, fifteen]| format!("  load {one:.2} {five:.2} {fifteen:.2}"));
        let what = if self.all { "cgroups" } else { "containers" };
        let filtered = match self.filter.as_str() {
            "" => String::new(),
            filter => format!(" with {:?}", plain(filter)),
        };
        vec![
            format!("CPU    {} {:>6} of {cpus} CPUs{load}", self.bar(busy), percent(busy)),
            format!(
                "Memory {} {:>6} {} of {}",
                self.bar(used),
                percent(used),
                bytes(machine.memory.map(|bytes| bytes as f64)),
                bytes(machine.memory_limit.map(|bytes| bytes as f64)),
            ),
            format!(
                "Net {} in, {} out   Disk {} read, {} written   {shown} {what}{filtered}",
                per_second(machine.received),
                per_second(machine.sent),
                per_second(machine.read),
                per_second(machine.written),
            ),
            String::new(),
        ]
    }

    fn titles(&self, name: usize) -> String {
        let mut line = format!("{:name$}", "NAME");
        for (title, width, order) in COLUMNS {
            // The column that decides is marked.
            let mark = match order {
                Some(order) if *order == self.order => {
                    if self.reversed {
                        "^"
                    } else {
                        "v"
                    }
                }
                _ => "",
            };
            let _ = write!(line, "{:>width$}", format!("{mark}{title}"));
        }
        self.styled("7", &line)
    }

    /// Twenty characters.
    fn bar(&self, share: Option<f64>) -> String {
        let filled = (share.unwrap_or(0.0).clamp(0.0, 1.0) * 20.0).round() as usize;
        let colour = match share {
            Some(share) if share > 0.9 => "31",
            Some(share) if share > 0.7 => "33",
            _ => "32",
        };
        format!("[{}{}]", self.styled(colour, &"|".repeat(filled)), " ".repeat(20 - filled))
    }

    fn quiet(&self, text: &str) -> String {
        self.styled("2", text)
    }

    fn styled(&self, style: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn columns_width() -> usize {
    COLUMNS.iter().map(|(_, width, _)| width).sum()
}

fn line(row: &Row, name: usize) -> String {
    let of_limit = row.memory.zip(row.memory_limit).map(|(used, limit)| used as f64 / limit as f64);
    let cells = [
        row.cpu.map_or_else(unknown, |cpus| format!("{:.1}", cpus * 100.0)),
        bytes(row.memory.map(|bytes| bytes as f64)),
        of_limit.map_or_else(unknown, |share| format!("{:.1}", share * 100.0)),
        bytes(row.received),
        bytes(row.sent),
        bytes(row.read),
        bytes(row.written),
        row.processes.map_or_else(unknown, |count| count.to_string()),
    ];
    let mut line = format!("{:name$}", shortened(&plain(&row.name), name.saturating_sub(1)));
    for (cell, (_, width, _)) in cells.iter().zip(COLUMNS) {
        let _ = write!(line, "{cell:>width$}");
    }
    line
}

fn unknown() -> String {
    "-".to_owned()
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(unknown, |share| format!("{:.1}%", share * 100.0))
}

fn per_second(rate: Option<f64>) -> String {
    rate.map_or_else(unknown, |rate| format!("{}/s", bytes(Some(rate))))
}

fn bytes(value: Option<f64>) -> String {
    let Some(mut value) = value else { return unknown() };
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 99.95);
    format!("{value:.digits$}{}", units.get(unit).unwrap_or(&""))
}

/// What a name holds must not steer the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The middle gives way: of a path both ends tell something.
fn shortened(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let (front, back) = (kept.div_ceil(2), kept / 2);
    let all: Vec<char> = text.chars().collect();
    let part = |range: &[char]| range.iter().collect::<String>();
    part(all.get(..front).unwrap_or_default()) + "~" + &part(all.get(count - back..).unwrap_or_default())
}

/// The first so many characters, not counting what only changes colours.
fn cut(line: &str, width: usize) -> String {
    let mut kept = String::new();
    let (mut seen, mut in_style) = (0, false);
    for c in line.chars() {
        if c == '\x1b' {
            in_style = true;
        }
        if in_style {
            kept.push(c);
            in_style = c != 'm';
        } else if seen < width {
            kept.push(c);
            seen += 1;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let row = |name: &str, is_container, cpu: f64, memory: u64| Row {
            name: name.to_owned(),
            image: format!("{name}:1"),
            is_container,
            cpu: Some(cpu),
            memory: Some(memory),
            memory_limit: is_container.then_some(64 << 20),
            processes: Some(2),
            ..Row::default()
        };
        let mut web = row("web", true, 0.305, 20 << 20);
        (web.received, web.sent) = (Some(1536.0), Some(12.0));
        let mut database = row("database", true, 0.01, 60 << 20);
        (database.read, database.written) = (Some(0.0), Some(200.0 * 1024.0 * 1024.0));
        let odd = row("/odd\u{1b}[2J", false, 1.5, 1 << 30);
        let mut machine = row("/", false, 1.8, 3 << 30);
        machine.memory_limit = Some(8 << 30);
        Figures { machine, cpus: Some(2), load: Some([1.0, 0.5, 0.25]), rows: vec![odd, database, web] }
    }

    const ONCE: &str = "\
CPU    [||||||||||||||||||  ]  90.0% of 2 CPUs  load 1.00 0.50 0.25
Memory [||||||||            ]  37.5% 3.0GiB of 8.0GiB
Net - in, - out   Disk - read, - written   2 containers

NAME              vCPU %    MEMORY LIMIT % RECEIVED/s     SENT/s     READ/s  WRITTEN/s PROCS
web                 30.5   20.0MiB    31.2     1.5KiB        12B          -          -     2
database             1.0   60.0MiB    93.8          -          -         0B     200MiB     2
";

    #[test]
    fn one_table() {
        assert_eq!(Table::default().once(&figures(), 92), ONCE);
    }

    #[track_caller]
    fn check_names(table: &Table, want: &[&str]) {
        let figures = figures();
        assert_eq!(table.rows(&figures).iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), want);
    }

    #[test]
    fn keys_change_what_is_shown() {
        let mut table = Table::default();
        check_names(&table, &["web", "database"]);
        let mut press = |letters: &str, want: &[&str]| {
            assert!(letters.chars().all(|letter| table.press(&Key::Letter(letter))));
            check_names(&table, want);
        };
        press("m", &["database", "web"]);
        press("n", &["web", "database"]);
        press("i", &["database", "web"]);
        press("r", &["web", "database"]);
        press("rca", &["/odd\u{1b}[2J", "web", "database"]);
        press("/WEB", &["web"]);
        assert!(table.press(&Key::Escape));
        assert!(!table.press(&Key::Escape), "a second one leaves");
        assert!(!table.press(&Key::Letter('q')));
    }

    #[test]
    fn a_frame_fits_the_terminal_and_names_do_not_steer_it() {
        let mut table = Table { all: true, colours: true, scrolled: 99, ..Table::default() };
        for (width, height) in [(100, 30), (40, 8), (10, 3), (1, 1)] {
            let lines = table.frame(&figures(), width, height);
            assert_eq!(lines.len(), height, "{width}x{height}");
            for line in &lines {
                assert!(!line.contains("\x1b[2J"), "{line:?}");
                // What follows an escape up to its `m` takes no room.
                let seen: usize = line.split('\x1b').enumerate().fold(0, |seen, (number, part)| {
                    let text = if number == 0 { part } else { part.split_once('m').map_or("", |(_, text)| text) };
                    seen + text.chars().count()
                });
                assert!(seen <= width, "{seen} characters in {line:?}");
            }
        }
    }

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shortened("/system.slice/docker.service", 12), "/syste~rvice");
        assert_eq!(shortened("web", 12), "web");
        assert_eq!(shortened("web", 0), "~");
    }
}
