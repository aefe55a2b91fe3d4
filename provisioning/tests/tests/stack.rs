//! The stack on a swarm of one machine. The kernel of a test machine may lack IPVS, without which no virtual address
//! answers, neither that of a service nor a port on the ingress network: containers are reached as `tasks.NAME`, by
//! one that joins their network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may")]

mod support;

use std::process::Command;

use provisioning_parts::{docker, eventually, free_port, prom_query, root};
use support::{images_are_there, inside, run};

const CURL: &str = "curlimages/curl:8.10.1";

/// A swarm of this one machine: the engine's own, or one made for the test and left afterwards.
struct Swarm {
    made: bool,
}

impl Swarm {
    fn init() -> Self {
        let active = docker(&["info", "-f", "{{.Swarm.LocalNodeState}}"]) == "active";
        let swarm = Self { made: !active };
        if swarm.made {
            let listen = format!("127.0.0.1:{}", free_port());
            docker(&["swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", &listen]);
        }
        swarm
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        if self.made {
            let _ = Command::new("docker").args(["swarm", "leave", "--force"]).output();
        }
    }
}

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
        let gateway = docker(&["network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"]);
        variables.push(("AGENT_PORT", agent.to_string()));
        variables.push(("COLLECTOR_PORT", collector.to_string()));
        variables.push(("AGENTS", format!("\"{gateway}:{agent}\"")));
        variables.push(("CLUSTER_NET", network.clone()));
        Self { name, network, collector, variables }
    }

    /// Deploys it, and waits until every service has as many tasks as it wants, each of them healthy.
    fn deploy(&self) {
        images_are_there();
        let mut command = Command::new(root().join("provisioning/stack.sh"));
        run(command.args(["deploy", &self.name]).envs(self.variables.iter().cloned()));
        let filter = format!("label=com.docker.stack.namespace={}", self.name);
        eventually(120, "every service has its replicas", || {
            let shown = docker(&["service", "ls", "--filter", &filter, "--format", "{{.Name}} {{.Replicas}}"]);
            let short = shown.lines().filter(|line| {
                let (have, want) = line.rsplit(' ').next().unwrap().split_once('/').unwrap();
                have != want
            });
            let short: Vec<&str> = short.collect();
            if short.is_empty() { Ok(()) } else { Err(short.join(", ")) }
        });
    }

    /// The addresses of a service's containers, by their common name.
    fn tasks(&self, service: &str) -> Vec<String> {
        let shown = inside(&self.network, "busybox:1", &["nslookup", &format!("tasks.{service}")]).unwrap();
        let after_server = shown.split("Name:").skip(1);
        let mut found: Vec<String> = after_server
            .filter_map(|part| Some(part.split("Address").nth(1)?.split_whitespace().last()?.to_owned()))
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// What `curl ARGS` prints in a container on the network.
    #[track_caller]
    fn curl(&self, args: &[&str]) -> String {
        let args = [&["-sS", "--fail-with-body", "-m", "20"], args].concat();
        inside(&self.network, CURL, &args).unwrap_or_else(|said| panic!("curl {args:?}: {said}"))
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
        let (name, content) = (format!("file{number}"), format!("by way of replica {number}\n"));
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

    // Targets that the engine filled in, and those by name.
    let collector = format!("127.0.0.1:{}", stack.collector);
    let config = std::fs::read_to_string(root().join("provisioning/stack/prometheus.yml")).unwrap();
    let targets = config.matches("targets:").count();
    eventually(60, "every target is up", || {
        let up = prom_query(&collector, "up == 1")?;
        if up.len() == targets { Ok(()) } else { Err(format!("{} of {targets}: {up:?}", up.len())) }
    });

    drop(stack);
    drop(swarm);
}
