//! The services as monitoring sees them: each runs in a container, the collector scrapes each of them and the agent,
//! and load put on a service shows in its own counters and, under its container's name, in InfluxDB.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use provisioning_parts::{
    Agent, Collector, Container, Influx, Network, Prometheus, binary, configuration, eventually, get, prom_query,
    promtool_complaints, send,
};
use support::{image, pinned};

/// What is sent to each service that gets load.
const REQUESTS: usize = 200;
/// Bytes that each request has at least.
const REQUEST_BYTES: usize = 2_000;
/// The same of a line to the echo server.
const LINE_BYTES: usize = 500;

/// Bytes per second that each container received, and the seconds that it is the average of.
const RECEIVED: &str = "job_container:network_rx_per_container:sum_rate5m";
const RATE_SECONDS: f64 = 300.0;

/// A service in a container on the test's network.
struct Observed {
    service: &'static str,
    container: Container,
    /// `HOST:PORT` of its pages.
    address: String,
}

impl Observed {
    /// Starts one under `alias` on the network, and waits until it and all that it needs is ready.
    fn start(network: &Network, service: &'static str, port: u16, options: &[&str]) -> Self {
        let options = [&["--network", &network.name, "--read-only", "--cap-drop", "ALL"], options].concat();
        let container = Container::run(service, &options, &image(service), &[]);
        let address = format!("{}:{port}", container.address());
        eventually(30, &format!("{service} is ready"), || get(&address, "/readyz"));
        Self { service, container, address }
    }

    /// A request of [`REQUEST_BYTES`] and some.
    #[track_caller]
    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
        let long = "x".repeat(REQUEST_BYTES);
        let headers = [headers, &[("X-Load", long.as_str())]].concat();
        let answer = send(method, &self.address, path, &headers, body.as_bytes()).unwrap();
        assert!(answer.status < 400, "{}: {}: {}", self.service, answer.status, answer.text());
    }

    /// As a target of the scrape job.
    fn target(&self) -> String {
        let Self { service, container, address } = self;
        let labels = format!("{{ service: {service}, name: {} }}", container.name);
        format!("      - {{ targets: [\"{address}\"], labels: {labels} }}\n")
    }

    /// The sum over this container's series, as the collector scraped them.
    fn scraped(&self, collector: &Collector, metric: &str, matchers: &str) -> Result<f64, String> {
        let query = format!("sum({metric}{{name=\"{}\",{matchers}}})", self.container.name);
        let rows = prom_query(&collector.address, &query)?;
        let row = rows.first().ok_or_else(|| format!("{query}: no series"))?;
        row["value"][1].as_str().unwrap().parse().map_err(|e| format!("{query}: {e}"))
    }

    /// Bytes that the container received in the rule's window, as the newest point in InfluxDB says.
    fn received(&self, containers: &Influx) -> Result<f64, String> {
        let rate = format!("SELECT last(value) FROM \"{RECEIVED}\" WHERE \"name\" = '{}'", self.container.name);
        let series = containers.query(&rate)?;
        let series = series.first().ok_or_else(|| format!("{} has no series in InfluxDB", self.container.name))?;
        Ok(series["values"][0][1].as_f64().unwrap() * RATE_SECONDS)
    }
}

fn pages_are_valid(all: &[&Observed], jobs: &str) {
    for Observed { service, address, .. } in all {
        let page = get(address, "/metrics").unwrap();
        assert!(page.contains("http_requests_total") && page.ends_with("# EOF\n"), "{service}:\n{page}");
        // The page is OpenMetrics, and promtool reads the older text: there a counter's description bears the suffix.
        let counter = |line: &String| {
            let name = line.strip_suffix("_total no help text");
            name.is_some_and(|name| page.contains(&format!("# TYPE {name} counter\n")))
        };
        let complaints = promtool_complaints(page.as_bytes()).into_iter().filter(|line| !counter(line));
        assert_eq!(complaints.collect::<Vec<_>>(), Vec::<String>::new(), "{service}");
    }
    // It asks for OpenMetrics, and takes the format at its word.
    let prometheus = Prometheus::start(&format!("global: {{ scrape_interval: 1s }}\nscrape_configs:\n{jobs}"), &[]);
    eventually(20, "Prometheus scrapes each service twice", || {
        let rows = prom_query(&prometheus.address, "sum_over_time(up[1m]) >= 2 and up == 1")?;
        if rows.len() == all.len() { Ok(()) } else { Err(format!("{rows:?}")) }
    });
    assert_eq!(prometheus.troubles(), Vec::<String>::new());
}

/// Lines over a connection each, as the echo client sends them.
fn say_lines(server: &Observed) {
    let host = server.address.split(':').next().unwrap();
    for number in 0..REQUESTS {
        let mut stream = TcpStream::connect((host, 12345)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        writeln!(stream, "{number} {}", "x".repeat(LINE_BYTES)).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("Your Message has been received: b'{number} x")), "{answer}");
    }
}

/// Sends [`REQUESTS`] to each but the idle one.
fn load(files: &Observed, vote: &Observed, echo: &Observed, hits: &Observed, registry: &Observed) {
    for number in 0..REQUESTS {
        let kind = [("Content-Type", "multipart/form-data; boundary=b")];
        let name = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{number}.txt\"");
        files.send("POST", "/upload", &kind, &format!("--b\r\n{name}\r\n\r\nhello\r\n--b--\r\n"));
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        let voter = format!("voter_id={number:016x}");
        vote.send("POST", "/", &[kind, ("Cookie", &voter)], "vote=a");
        hits.send("GET", "/", &[], "");
        let record = format!("{{\"id\": \"{number}\", \"name\": \"container\"}}");
        registry.send("POST", "/service", &[("Content-Type", "application/json")], &record);
    }
    say_lines(echo);
}

#[test]
fn load_on_a_service_shows_in_its_series() {
    let network = Network::create("observed");
    let part = |name: &'static str, image: &str, options: &[&str]| {
        let options = [&["--network", &network.name, "--network-alias", name], options].concat();
        Container::run(name, &options, image, &[])
    };
    let _redis = part("redis", &pinned("REDIS_IMAGE"), &[]);
    let _db = part("db", &pinned("POSTGRES_IMAGE"), &["-e", "POSTGRES_PASSWORD=postgres"]);
    let start = |service, port, options: &[&str]| Observed::start(&network, service, port, options);
    let database = ["-e", "POSTGRES_HOST=db", "-e", "POSTGRES_USER=postgres", "-e", "POSTGRES_PASSWORD=postgres"];
    let redis = ["-e", "REDIS_HOST=redis"];
    let files = start("file-transfer", 80, &["-v", "/data"]);
    let idle = start("file-transfer", 80, &["-v", "/data"]);
    let vote = start("vote", 80, &redis);
    let worker = start("vote-worker", 5005, &[&redis[..], &database].concat());
    let result = start("vote-result", 80, &database);
    let echo = start("echo-server", 12346, &[]);
    let hits = start("hits", 80, &redis);
    let registry = start("registry", 80, &["-v", "/data"]);
    let all = [&files, &idle, &vote, &worker, &result, &echo, &hits, &registry];

    let targets: String = all.iter().map(|observed| observed.target()).collect();
    let jobs = format!("  - job_name: services\n    static_configs:\n{targets}");
    pages_are_valid(&all, &jobs);

    let (vms, containers) = (Influx::start(), Influx::start());
    let agent = Agent::start(binary("atalaia-agent"));
    let config = configuration(&agent, &vms, &containers, &jobs);
    let mut collector = Collector::start(binary("atalaia-collector"), &config, &[]);
    // What came in before the first point of a series is no rate.
    eventually(30, "each container has a series in InfluxDB", || {
        all.iter().try_for_each(|observed| observed.received(&containers).map(drop))
    });
    load(&files, &vote, &echo, &hits, &registry);

    let counters = [
        (&files, "file_transfer_stored_files_total", ""),
        (&files, "http_requests_total", "route=\"/upload\",code=~\"2..\""),
        (&vote, "voting_votes_accepted_total", "vote=\"a\""),
        (&worker, "voting_votes_processed_total", ""),
        (&hits, "hits_counted_total", ""),
        (&registry, "http_requests_total", "route=\"/service\",code=~\"2..\""),
        (&echo, "echo_lines_total", ""),
    ];
    for (observed, metric, matchers) in counters {
        eventually(20, &format!("{metric} of {} is what was sent", observed.service), || {
            let got = observed.scraped(&collector, metric, matchers)?;
            if got == REQUESTS as f64 { Ok(()) } else { Err(format!("{got} instead of {REQUESTS}")) }
        });
    }
    assert_eq!(idle.scraped(&collector, "file_transfer_stored_files_total", ""), Ok(0.0));

    let loaded = [
        (&files, REQUEST_BYTES),
        (&vote, REQUEST_BYTES),
        (&hits, REQUEST_BYTES),
        (&registry, REQUEST_BYTES),
        (&echo, LINE_BYTES),
    ];
    for (observed, bytes) in loaded {
        let sent = (REQUESTS * bytes) as f64;
        // Above what was sent come the headers, the packets' own and the scrapes: less than twice as much again.
        eventually(20, &format!("the load on {} is in InfluxDB", observed.service), || {
            let (got, beside) = (observed.received(&containers)?, idle.received(&containers)?);
            let right = got > beside + sent && got < beside + 3.0 * sent;
            if right {
                Ok(())
            } else {
                Err(format!("{sent} bytes sent, {got} counted; {beside} where nothing was sent"))
            }
        });
    }

    let up = prom_query(&collector.address, "min_over_time(up{job=\"services\"}[10m]) == 1").unwrap();
    assert_eq!(up.len(), all.len(), "a scrape was lost: {up:?}");
    let log = collector.process().log();
    let troubles: Vec<&str> =
        log.lines().filter(|line| line.contains("level=warn") || line.contains("level=error")).collect();
    assert_eq!(troubles, Vec::<&str>::new());
}
