//! cAdvisor's API over HTTP, and what it tells of a real container, against the kernel's own files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod running;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use provisioning_parts::{Container, demo_image, send};
use running::web::USERS;
use running::{Agent, SOON, request};
use serde_json::Value;

const ENGINE: &str = "--docker=unix:///var/run/docker.sock";

#[track_caller]
fn json(agent: &Agent, path: &str) -> Value {
    let answer = agent.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
    answer.json()
}

#[track_caller]
fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn answers_and_refusals() {
    let agent = Agent::start(&[]);
    assert!(agent.get("/api/").text().contains("/api/v2.1/stats/PATH"));
    assert!(agent.get("/validate/").text().contains("controller memory"));
    assert!(json(&agent, "/api/v1.3/machine")["num_cores"].as_u64().unwrap() > 0);
    assert!(json(&agent, "/api/v2.1/version").is_string());
    assert_eq!(json(&agent, "/api/v1.3/containers/?num_stats=1")["stats"].as_array().unwrap().len(), 1);
    let root = &json(&agent, "/api/v2.0/stats/?max_age=0&count=1")["/"][0];
    assert!(root["cpu"]["usage"]["total"].as_u64().unwrap() > 0 && root["memory"]["usage"].as_u64().unwrap() > 0);
    let own = json(&agent, "/api/v2.1/ps/");
    let pid = u64::from(agent.process.pid());
    let own = own.as_array().unwrap().iter().find(|process| process["pid"] == pid).expect("the agent runs itself");
    assert_eq!((&own["cmd"], own["fd_count"].as_u64().is_some()), (&"atalaia-agent".into(), true));
    let posted = send("POST", &agent.address, "/api/v1.3/containers/", &[], b"{\"num_stats\":1}").unwrap();
    assert_eq!(posted.json()["stats"].as_array().unwrap().len(), 1);
    let refused = |path: &str, status: u16, want: &str| {
        let answer = agent.get(path);
        assert_eq!((answer.status, answer.text().lines().count()), (status, 1), "{path}: {}", answer.text());
        assert!(answer.text().contains(want), "{path}: {}", answer.text());
    };
    refused("/api/v1.3/containers/nowhere", 404, "no container \"nowhere\"");
    refused("/api/v2.1/stats/?count=x", 400, "parameter count=x");
    refused("/api/v2.1/appmetrics/", 404, "appmetrics");
    refused("/api/v9/machine", 404, "no endpoint /api/v9/machine");
    let long = send("POST", &agent.address, "/api/v1.3/containers/", &[], &[b' '; 20_000]).unwrap();
    assert_eq!(long.status, 413);
    let page = agent.get("/containers/nowhere");
    assert_eq!(page.status, 404);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
}

#[test]
fn users_are_asked_for_here_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web.yml");
    std::fs::write(&file, USERS).unwrap();
    let flag = format!("--web.config.file={}", file.display());
    for (apart, further) in [(false, None), (true, Some("--web.container-listen-address=127.0.0.1:0"))] {
        let flags: Vec<_> = [flag.as_str()].into_iter().chain(further).collect();
        let agent = Agent::start(&flags);
        let address = if apart { agent.containers.as_ref().unwrap() } else { &agent.address };
        for path in [
            "/api/",
            "/api/v1.3/machine",
            "/api/v1.3/events/?stream=true",
            "/api/v2.1/ps/",
            "/validate/",
            "/containers/",
            "/docker/",
            "/browse.js",
        ] {
            for wrong in [&[][..], &[("Authorization", "Basic YWxpY2U6d3Jvbmc=")]] {
                assert_eq!(request(address, "GET", path, wrong).status, 401, "{path} for {wrong:?}");
            }
            if !path.ends_with("stream=true") {
                let alice = [("Authorization", "Basic YWxpY2U6YWJj")];
                assert_eq!(request(address, "GET", path, &alice).status, 200, "{path}");
            }
        }
        let posted = send("POST", address, "/api/v1.3/containers/", &[], b"{}").unwrap();
        assert_eq!(posted.status, 401);
    }
}

#[test]
fn it_is_where_the_container_families_are_and_can_be_switched_off() {
    const PATHS: [&str; 6] = ["/api/", "/api/v1.3/machine", "/validate/", "/containers/", "/docker/", "/browse.js"];
    let agent = Agent::start(&["--web.container-listen-address=127.0.0.1:0"]);
    let apart = agent.containers.clone().unwrap();
    for path in PATHS {
        assert_eq!(agent.get(path).status, 404, "{path} of the node page");
        assert_eq!(request(&apart, "GET", path, &[]).status, 200, "{path}");
    }
    for flags in [["--web.disable-api"], ["--no-collector.container"]] {
        let agent = Agent::start(&flags);
        for path in PATHS {
            assert_eq!(agent.get(path).status, 404, "{path} with {flags:?}");
        }
        assert!(!agent.get("/").text().contains("/api/"));
    }
    // A page of metrics may have a path of these.
    for path in ["/containers", "/docker/", "/api/", "/validate", "/browse.js"] {
        let agent = Agent::start(&[&format!("--web.telemetry-path={path}")]);
        assert!(agent.get(path).text().contains("node_load1"), "{path}");
    }
}

#[test]
fn an_idle_agent_forgets() {
    let agent = Agent::start(&[]);
    let kept = || running::value(agent.get("/metrics").text(), "atalaia_container_history_samples").unwrap();
    assert_eq!(kept(), 0.0);
    json(&agent, "/api/v1.3/containers/");
    assert!(kept() > 0.0);
}

#[test]
fn events_are_streamed() {
    let agent = Agent::start(&["--housekeeping_interval=200ms", ENGINE]);
    let mut stream = TcpStream::connect(&agent.address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let path = "/api/v1.3/events/?stream=true&subcontainers=true&creation_events=true&deletion_events=true";
    write!(stream, "GET {path} HTTP/1.1\r\nHost: agent\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.next().unwrap().unwrap().contains("200"));
    let container = Container::script("events", "sleep 600");
    let id = container.inspect("{{.Id}}");
    let mut next = |kind: &str| {
        loop {
            let line = lines.next().expect("the stream goes on").unwrap();
            if line.contains(&id) && line.contains(kind) {
                return serde_json::from_str::<Value>(&line).unwrap();
            }
        }
    };
    assert!(next("containerCreation")["timestamp"].is_string());
    drop(container);
    next("containerDeletion");
    let all = json(&agent, "/api/v1.3/events/?subcontainers=true&max_events=-1");
    let of_it = all.as_array().unwrap().iter().filter(|event| event["container_name"].as_str().unwrap().contains(&id));
    assert_eq!(of_it.count(), 2);
}

/// A file of the container's cgroup, found through its process and the mounts.
fn cgroup_file(pid: &str, controller: &str, v1: &str, v2: &str) -> String {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let of = |line: &str| -> Vec<String> { line.splitn(3, ':').map(str::to_owned).collect() };
    let of_v1 = groups.lines().map(of).find(|line| line[1].split(',').any(|c| c == controller));
    let path = match of_v1 {
        Some(line) => PathBuf::from(format!("/sys/fs/cgroup/{controller}{}/{v1}", line[2])),
        None => {
            let unified = groups.lines().map(of).find(|line| line[0] == "0").unwrap();
            PathBuf::from(format!("/sys/fs/cgroup{}/{v2}", unified[2]))
        }
    };
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[track_caller]
fn between(low: u64, value: &Value, high: u64, what: &str) {
    let value = value.as_u64().unwrap_or_else(|| panic!("{what}: {value}"));
    assert!(low <= value && value <= high, "{what}: {low} <= {value} <= {high}");
}

#[test]
fn a_real_container() {
    let agent = Agent::start(&[ENGINE, "--housekeeping_interval=500ms"]);
    let script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=20 2>/dev/null; ping -i 0.2 -q 127.0.0.1 & \
                  while :; do :; done";
    let options = ["--memory=48m", "--cpus=0.2", "--pids-limit=50", "--label", "shop=<b>web</b>"];
    let container = Container::run("api", &options, demo_image(), &[script]);
    let (id, pid) = (container.inspect("{{.Id}}"), container.inspect("{{.State.Pid}}"));
    let path = format!("/api/v1.3/docker/{}?num_stats=-1", container.name);
    let read = || -> Option<Value> {
        let answer = agent.get(&path);
        (answer.status == 200).then(|| answer.json().as_object().unwrap().values().next().unwrap().clone())
    };
    eventually("twenty MiB in use", || {
        read().filter(|info| {
            info["stats"].as_array().unwrap().last().unwrap()["memory"]["usage"].as_u64() > Some(20 << 20)
        })
    });
    let cpu = || -> u64 {
        let text = cgroup_file(&pid, "cpuacct", "cpuacct.usage", "cpu.stat");
        match text.lines().find_map(|line| line.strip_prefix("usage_usec ")) {
            Some(micros) => micros.parse::<u64>().unwrap() * 1000,
            None => text.trim().parse().unwrap(),
        }
    };
    let memory =
        || -> u64 { cgroup_file(&pid, "memory", "memory.usage_in_bytes", "memory.current").trim().parse().unwrap() };
    let received = || -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap();
        let line = text.lines().find_map(|line| line.trim().strip_prefix("eth0:")).expect("eth0").to_owned();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let before = (cpu(), received(), memory());
    // Older readings do not count: only one that was taken between the two of ours.
    let fresh = json(&agent, &format!("/api/v2.0/stats/{id}?type=docker&count=1&max_age=0"));
    let fresh = fresh.as_object().unwrap().values().next().unwrap()[0].clone();
    let after = (cpu(), received(), memory());
    // The reading may be a tenth of a second old, in which the container got a fiftieth of a second of CPU time.
    between(before.0.saturating_sub(200_000_000), &fresh["cpu"]["usage"]["total"], after.0, "CPU time");
    between(before.2 - (2 << 20), &fresh["memory"]["usage"], after.2 + (2 << 20), "memory");
    between(0, &fresh["network"]["interfaces"][0]["rx_bytes"], after.1, "received");
    assert_eq!(fresh["network"]["interfaces"][0]["name"], "eth0");
    let info = read().unwrap();
    assert_eq!(info["id"], id.as_str());
    assert_eq!((&info["aliases"][0], &info["namespace"]), (&container.name.clone().into(), &"docker".into()));
    let spec = &info["spec"];
    assert_eq!((&spec["image"], &spec["labels"]["shop"]), (&demo_image().into(), &"<b>web</b>".into()));
    assert_eq!((&spec["memory"]["limit"], &spec["processes"]["limit"]), (&(48 << 20).into(), &50.into()));
    assert_eq!((&spec["cpu"]["quota"], &spec["cpu"]["period"]), (&20_000.into(), &100_000.into()));
    let created = container.inspect("{{.Created}}");
    assert_eq!(spec["creation_time"].as_str().unwrap()[..19], created[..19]);
    // A fifth of a CPU is all that it may take, and it takes it.
    let rate = eventually("a rate of CPU time", || {
        let stats = json(&agent, &format!("/api/v2.1/stats/{id}?type=docker&count=-1"));
        let all = stats.as_object().unwrap().values().next().unwrap()["stats"].as_array().unwrap().clone();
        all.last().unwrap()["cpu_inst"]["usage"]["total"].as_u64().filter(|rate| *rate > 50_000_000)
    });
    assert!(rate < 600_000_000, "{rate} billionths of a CPU");
    let processes = json(&agent, &format!("/api/v2.1/ps/{}?type=docker", container.name));
    let number: u64 = pid.parse().unwrap();
    let first = processes.as_array().unwrap().iter().find(|p| p["pid"] == number).expect("its first process");
    assert!(first["cgroup_path"].as_str().unwrap().contains(&id));
    assert!(!processes.to_string().contains("/dev/zero"), "command lines are nobody's business");
    assert!(Path::new(&format!("/proc/{pid}")).exists());
}
