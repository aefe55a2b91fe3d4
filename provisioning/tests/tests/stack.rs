//! The stack on a swarm of one machine. The kernel of a test machine may lack IPVS, without which no virtual address
//! answers, neither that of a service nor a port on the ingress network: containers are reached as `tasks.NAME`, by
//! one that joins their network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may")]

mod support;

use std::process::Command;

use provisioning_parts::{docker, eventually, form, free_port, prom_query, request, root};
use support::swarm::Swarm;
use support::{images_are_there, inside, pinned, run};

/// What each database must get, by the variable of its port.
const SERIES: [(&str, [&str; 4]); 2] = [
    (
        "INFLUXDB_VMS_PORT",
        [
            "job_instance:cpu_usage_per_instance:avg_rate5m",
            "job_instance:memory_usage_per_instance",
            "job_instance:network_rx_per_instance:avg_rate5m",
            "job_instance:network_tx_per_instance:avg_rate5m",
        ],
    ),
    (
        "INFLUXDB_CONTAINERS_PORT",
        [
            "job_container:cpu_usage_per_container:avg_rate5m",
            "job_container:memory_usage_per_container",
            "job_container:network_rx_per_container:sum_rate5m",
            "job_container:network_tx_per_container:sum_rate5m",
        ],
    ),
];

/// The deployed stack; taken away with its volumes and its secret when the test lets go of it.
struct Stack {
    name: String,
    network: String,
    collector: u16,
    variables: Vec<(&'static str, String)>,
}

impl Stack {
    fn new() -> Self {
        let name = format!("atalaia-test-{}", std::process::id());
        let network = format!("{name}-ClusterNet");
        let (agent, collector) = (free_port(), free_port());
        let mut variables: Vec<(&'static str, String)> =
            ["VOTE_PORT", "RESULT_PORT", "FILES_PORT", "REGISTRY_PORT", "HITS_PORT", "ECHO_PORT"]
                .into_iter()
                .chain(["INFLUXDB_VMS_PORT", "INFLUXDB_CONTAINERS_PORT"])
                .map(|port| (port, free_port().to_string()))
                .collect();
        variables.push(("AGENT_PORT", agent.to_string()));
        variables.push(("COLLECTOR_PORT", collector.to_string()));
        variables.push(("CLUSTER_NET", network.clone()));
        // What can be had without a registry.
        variables.push(("INFLUXDB", "1".to_owned()));
        variables.push(("GRAFANA", "0".to_owned()));
        variables.push(("HEALTH_INTERVAL", "5s".to_owned()));
        variables.push(("WAIT_SECONDS", "180".to_owned()));
        Self { name, network, collector, variables }
    }

    /// Deploys it, and waits until every service has as many tasks as it wants, each of them healthy.
    fn deploy(&self) {
        images_are_there();
        for step in ["deploy", "wait"] {
            let mut command = Command::new(root().join("provisioning/stack.sh"));
            run(command.args([step, &self.name]).envs(self.variables.iter().cloned()));
        }
    }

    /// The measurements of the database behind a port.
    fn measurements(&self, variable: &str) -> Result<String, String> {
        let (_, port) = self.variables.iter().find(|(name, _)| *name == variable).unwrap();
        let query = form(&[("db", "prometheus"), ("q", "SHOW MEASUREMENTS")]);
        request("POST", &format!("127.0.0.1:{port}"), "/query", &query).map(|(_, answer)| answer)
    }

    /// The addresses of a service's containers, by their common name.
    fn tasks(&self, service: &str) -> Vec<String> {
        let shown =
            inside(&self.network, &pinned("BUSYBOX_IMAGE"), &["nslookup", &format!("tasks.{service}")]).unwrap();
        // The server's own address stands before the first name. Not every word is an address: where there is none of
        // IPv6, that is said in between.
        let (_, answers) = shown.split_once("Name:").unwrap_or_default();
        let mut found: Vec<String> = answers
            .split_whitespace()
            .filter_map(|word| word.parse::<std::net::Ipv4Addr>().ok())
            .map(|address| address.to_string())
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// What `curl ARGS` prints in a container on the network.
    #[track_caller]
    fn curl(&self, args: &[&str]) -> String {
        let args = [&["-sS", "--fail-with-body", "-m", "20"], args].concat();
        inside(&self.network, &pinned("CURL_IMAGE"), &args).unwrap_or_else(|said| panic!("curl {args:?}: {said}"))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let engine = |args: &[&str]| {
            let output = Command::new("docker").args(args).output();
            output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
        };
        if std::thread::panicking() {
            eprintln!(
                "{}",
                engine(&[
                    "stack",
                    "ps",
                    "--no-trunc",
                    "--format",
                    "{{.Name}} {{.CurrentState}} {{.Error}}",
                    &self.name
                ])
            );
        }
        engine(&["stack", "rm", &self.name]);
        // It goes in its own time: the volumes are free when the containers are gone.
        let filter = format!("label=com.docker.stack.namespace={}", self.name);
        for _ in 0..300 {
            if engine(&["ps", "-aq", "--filter", &filter]).is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        engine(&["secret", "rm", &format!("{}_db_password", self.name)]);
        for volume in engine(&["volume", "ls", "-q", "--filter", &filter]).lines() {
            engine(&["volume", "rm", "-f", volume]);
        }
        let _ = std::fs::remove_dir_all(root().join(".atalaia/stack").join(&self.name));
    }
}

#[test]
fn the_stack_converges_and_its_replicas_are_one() {
    let swarm = Swarm::init();
    let stack = Stack::new();
    stack.deploy();

    // What is uploaded to one replica is there in each.
    let files = stack.tasks("file_transfer_service");
    assert_eq!(files.len(), 3, "{files:?}");
    for (number, replica) in files.iter().enumerate() {
        // No end of line: curl takes white space off the end of what it is given like this.
        let (name, content) = (format!("file{number}"), format!("by way of replica {number}"));
        let form = format!("file={content};filename={name}");
        stack.curl(&["-X", "POST", "-F", &form, &format!("http://{replica}/upload")]);
        for other in &files {
            let got = stack.curl(&["-X", "POST", "-F", &format!("name={name}"), &format!("http://{other}/download")]);
            assert_eq!(got, content, "{name} at {other}");
        }
    }

    // And so with records, three writers at a time.
    let replicas = stack.tasks("registry");
    assert_eq!(replicas.len(), 3, "{replicas:?}");
    std::thread::scope(|scope| {
        for (number, replica) in replicas.iter().enumerate() {
            let stack = &stack;
            scope.spawn(move || {
                for record in 0..3 {
                    let json = format!(r#"{{"id":"{number}-{record}","memory_usage":1.0}}"#);
                    let url = format!("http://{replica}/service");
                    stack.curl(&["-X", "POST", "-H", "Content-Type: application/json", "-d", &json, &url]);
                }
            });
        }
    });
    for replica in &replicas {
        let all: serde_json::Value =
            serde_json::from_str(&stack.curl(&[&format!("http://{replica}/service")])).unwrap();
        let mut ids: Vec<&str> = all.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["0-0", "0-1", "0-2", "1-0", "1-1", "1-2", "2-0", "2-1", "2-2"], "at {replica}");
    }

    // A vote goes all the way: the password is a secret that three services share.
    stack.curl(&["-d", "vote=b", "-b", "voter_id=cc01", "-o", "/dev/null", "http://tasks.vote/"]);
    let filter = format!("label=com.docker.swarm.service.name={}_db", stack.name);
    let database = docker(&["ps", "-q", "--filter", &filter]);
    eventually(20, "the vote is stored", || {
        let query = ["exec", &database, "psql", "-U", "postgres", "-Atc", "SELECT vote FROM votes WHERE id = 'cc01'"];
        let output = Command::new("docker").args(query).output().unwrap();
        let got = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if got == "b" { Ok(()) } else { Err(format!("{got:?} {}", String::from_utf8_lossy(&output.stderr))) }
    });

    // The machine's agent, and every replica of every service that says where its metrics are, as the swarm tells.
    let collector = format!("127.0.0.1:{}", stack.collector);
    let targets = [
        ("file_transfer_service", 3),
        ("hits", 1),
        ("registry", 3),
        ("result", 1),
        ("server", 1),
        ("vote", 1),
        ("worker", 1),
    ];
    let want: Vec<String> = targets.map(|(service, count)| format!("{service} {count}")).to_vec();
    eventually(60, "every target is up", || {
        let up = prom_query(&collector, r#"count by (service) (up{job="services"} == 1)"#)?;
        let up = up
            .iter()
            .map(|one| format!("{} {}", one["metric"]["service"].as_str().unwrap(), one["value"][1].as_str().unwrap()));
        let mut up: Vec<String> = up.collect();
        up.sort();
        if up == want { Ok(()) } else { Err(format!("{up:?}")) }
    });
    eventually(60, "agent and collector are up", || {
        let up = prom_query(&collector, r#"up{job=~"agent|prometheus"} == 1"#)?;
        if up.len() == 2 { Ok(()) } else { Err(format!("{up:?}")) }
    });

    // What all of it is for.
    for (database, wanted) in SERIES {
        eventually(90, &format!("all series are behind {database}"), || {
            let there = stack.measurements(database)?;
            let missing: Vec<&str> = wanted.into_iter().filter(|name| !there.contains(name)).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} are not in {there}")) }
        });
    }

    drop(stack);
    drop(swarm);
}
