//! Real receivers from Debian's packages, each started and stopped by the test that needs it.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use collector_http::{ClientConfig, HttpClient};

/// A child process that ends with its test.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request of the tests' own.
fn request(method: reqwest::Method, url: &str) -> reqwest::RequestBuilder {
    let client = HttpClient::build(&ClientConfig::default(), "atalaia/test").unwrap();
    client.request(method, url).unwrap().timeout(Duration::from_secs(30))
}

async fn text(url: &str) -> Result<String, reqwest::Error> {
    request(reqwest::Method::GET, url).send().await?.text().await
}

/// A port that nobody listens at now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(command: &mut Command, package: &str, log: &Path) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start {command:?}: {e}; install it with: apt-get install {package}"))
}

async fn answers(url: &str, server: &mut Server, log: &Path) {
    let begun = Instant::now();
    while text(url).await.is_err() {
        let ended = server.child.try_wait().unwrap();
        let output = || std::fs::read_to_string(log).unwrap_or_default();
        assert!(ended.is_none(), "ended with {ended:?}:\n{}", output());
        assert!(begun.elapsed() < Duration::from_secs(60), "no answer at {url}:\n{}", output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// InfluxDB 1.x with its data in a folder.
pub async fn influxd(folder: &Path, port: u16) -> Server {
    let path = |name: &str| folder.join(name).display().to_string();
    let config = format!(
        "reporting-disabled = true\nbind-address = \"127.0.0.1:0\"\n\
         [meta]\ndir = {meta:?}\n\
         [data]\ndir = {data:?}\nwal-dir = {wal:?}\nquery-log-enabled = false\n\
         [http]\nbind-address = \"127.0.0.1:{port}\"\nlog-enabled = false\n\
         [monitor]\nstore-enabled = false\n",
        meta = path("meta"),
        data = path("data"),
        wal = path("wal"),
    );
    std::fs::write(folder.join("influxdb.conf"), config).unwrap();
    let mut command = Command::new("influxd");
    command.arg("-config").arg(folder.join("influxdb.conf"));
    let log = folder.join("influxd.log");
    let mut server = Server { child: spawn(&mut command, "influxdb", &log), port };
    answers(&format!("http://127.0.0.1:{port}/ping"), &mut server, &log).await;
    server
}

/// Runs a statement on InfluxDB 1.x; gives the series of its result.
pub async fn influxql(port: u16, database: &str, statement: &str) -> Vec<serde_json::Value> {
    let mut url = reqwest::Url::parse(&format!("http://127.0.0.1:{port}/query")).unwrap();
    url.query_pairs_mut().append_pair("db", database).append_pair("epoch", "ms").append_pair("q", statement);
    let text = request(reqwest::Method::POST, url.as_str()).send().await.unwrap().text().await.unwrap();
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    let result = &answer["results"][0];
    assert!(result["error"].is_null() && answer["error"].is_null(), "{statement}: {text}");
    result["series"].as_array().cloned().unwrap_or_default()
}

/// VictoriaMetrics, which takes remote write and line protocol.
pub async fn victoria_metrics(folder: &Path) -> Server {
    let port = free_port();
    let mut command = Command::new("victoria-metrics");
    command
        .arg(format!("-storageDataPath={}", folder.join("data").display()))
        .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
        .arg("-retentionPeriod=100y")
        .arg("-influxSkipSingleField");
    let log = folder.join("victoria-metrics.log");
    let mut server = Server { child: spawn(&mut command, "victoria-metrics", &log), port };
    answers(&format!("http://127.0.0.1:{port}/health"), &mut server, &log).await;
    server
}

/// All that VictoriaMetrics holds: labels and samples of each series.
pub async fn victoria_export(port: u16) -> Vec<serde_json::Value> {
    let base = format!("http://127.0.0.1:{port}");
    text(&format!("{base}/internal/force_flush")).await.unwrap();
    let mut url = reqwest::Url::parse(&format!("{base}/api/v1/export")).unwrap();
    url.query_pairs_mut().append_pair("match[]", "{__name__!=\"\"}").append_pair("start", "0");
    let text = text(url.as_str()).await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
