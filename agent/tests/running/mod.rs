//! The real binary, started on ports of its own, and a client for it.

#![allow(dead_code, reason = "each test takes what it needs")]

pub mod web;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agent_exposition::{Event, Format, Parser};
use provisioning_parts::{Answer, Process, prom_query, send};

/// How long anything may take that is not meant to take long.
pub const SOON: Duration = Duration::from_secs(20);

/// The binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_atalaia-agent");

/// A running agent. It is killed when dropped.
pub struct Agent {
    pub process: Process,
    /// `HOST:PORT` of the node page.
    pub address: String,
    /// `HOST:PORT` of the container page, where it has one of its own.
    pub containers: Option<String>,
}

/// The binary with flags, for runs that end by themselves.
pub fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(flags);
    command
}

impl Agent {
    /// Starts it on loopback with further flags, and waits until it listens. Without Docker: what other tests do to
    /// containers is not this test's affair.
    pub fn start(flags: &[&str]) -> Self {
        let apart = flags.iter().any(|flag| flag.contains("container-listen-address"));
        let flags =
            [&["--web.listen-address=127.0.0.1:0", "--docker=", "--podman=", "--containerd=", "--crio="], flags]
                .concat();
        let mut process = Process::start(BINARY, &flags);
        let mut addresses = process.await_addresses(1 + usize::from(apart)).into_iter();
        let address = addresses.next().expect("there is one");
        Self { process, address, containers: addresses.next() }
    }

    /// Waits for a line of the log with this text.
    pub fn log_line(&mut self, text: &str) -> String {
        self.process.await_log(text, |log| log.lines().find(|line| line.contains(text)).map(str::to_owned))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        request(&self.address, "GET", path, headers)
    }
}

/// One request on a connection of its own.
pub fn request(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(method, address, path, headers, b"").expect("the agent answers")
}

/// The samples of a page: series as written, and value.
pub fn samples(format: Format, page: &[u8]) -> Vec<(String, f64)> {
    let event = |event: Event<'_>| match event {
        Event::Sample(sample) => Some((sample.series.to_owned(), sample.value)),
        _ => None,
    };
    Parser::new(format, page).filter_map(|line| event(line.expect("the page is valid"))).collect()
}

/// The value of a series on a page in the text format.
pub fn value(page: &str, series: &str) -> Option<f64> {
    samples(Format::Text004, page.as_bytes()).into_iter().find(|(s, _)| s == series).map(|(_, value)| value)
}

/// The kernel's files that are asked of the fixture tree, copied from this machine.
pub fn copy_proc(to: &Path, files: &[&str]) {
    for file in files {
        let target = to.join(file);
        std::fs::create_dir_all(target.parent().expect("it has a parent")).expect("a folder can be made");
        let content = std::fs::read(Path::new("/proc").join(file)).expect("the machine has the file");
        std::fs::write(target, content).expect("a file can be written");
    }
}

/// A page with every kind of family.
const TEXTFILE: &str = "\
# HELP job_seconds How long \\\\ it took.\n# TYPE job_seconds histogram\n\
job_seconds_bucket{job_name=\"a\",le=\"0.5\"} 3\njob_seconds_bucket{job_name=\"a\",le=\"1\"} 4\n\
job_seconds_bucket{job_name=\"a\",le=\"+Inf\"} 5\njob_seconds_sum{job_name=\"a\"} 7.25\n\
job_seconds_count{job_name=\"a\"} 5\n\
# TYPE lag summary\nlag{quantile=\"0.5\"} 0.25\nlag{quantile=\"0.99\"} NaN\nlag_sum 17\nlag_count 4\n\
# TYPE odd_total counter\nodd_total{path=\"C:\\\\a\",say=\"\\\"hi\\\"\\n\",who=\"é\"} 1e+300\n\
# TYPE low gauge\nlow -Inf\nuntyped_thing{a=\"\"} -0.125\n";

/// An agent whose page stays the same, but for what it says about itself: of copies of the machine's files, and of a
/// text file in `dir/textfiles`.
pub fn steady_agent(dir: &Path, flags: &[&str]) -> Agent {
    let (proc, textfiles) = (dir.join("proc"), dir.join("textfiles"));
    copy_proc(&proc, &["meminfo", "loadavg", "vmstat", "net/netstat", "net/snmp", "net/snmp6"]);
    std::fs::create_dir(&textfiles).expect("a folder can be made");
    std::fs::write(textfiles.join("all.prom"), TEXTFILE).expect("a file can be written");
    let directory = format!("--collector.textfile.directory={}", textfiles.display());
    let procfs = format!("--path.procfs={}", proc.display());
    let collectors = ["disable-defaults", "meminfo", "loadavg", "vmstat", "netstat", "textfile"];
    let collectors = collectors.map(|name| format!("--collector.{name}"));
    let steady = collectors.iter().chain([&directory, &procfs]).map(String::as_str);
    Agent::start(&steady.chain(flags.iter().copied()).collect::<Vec<_>>())
}

/// What a Prometheus has of such an agent under this job: labels without those of the target, and the bits of values;
/// without what changes from scrape to scrape.
pub fn steady_series(prometheus: &str, job: &str) -> Result<BTreeMap<String, u64>, String> {
    let changing = "process_.*|promhttp_.*|scrape_.*|atalaia_push_.*|.*_collector_duration_seconds";
    let rows = prom_query(prometheus, &format!("{{job=\"{job}\",__name__!~\"{changing}\"}}"))?;
    let series = |row: &serde_json::Value| {
        let mut labels: BTreeMap<String, String> = serde_json::from_value(row["metric"].clone()).expect("labels");
        labels.retain(|name, _| name != "instance" && name != "job");
        let value: f64 = row["value"][1].as_str().and_then(|text| text.parse().ok()).expect("a value");
        (format!("{labels:?}"), value.to_bits())
    };
    Ok(rows.iter().map(series).collect())
}
