//! The compose files, as somebody uses them: each comes up well, does what its page or its `curl` line promises, and
//! ends in order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may")]

mod support;

use std::process::{Command, Stdio};
use std::time::Instant;

use provisioning_parts::{docker, eventually, get, prom_query, root};
use support::{Project, curl, inside, pinned, run};

fn upload_and_download(project: &Project) {
    let folder = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..1_000_003_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    std::fs::write(folder.path().join("photo.jpg"), &content).unwrap();
    let at = project.at("FILES_PORT");
    let said = curl(folder.path(), &format!("-X POST -F 'file=@photo.jpg' {at}/upload"));
    assert_eq!(said, "", "an upload is answered with nothing");
    curl(folder.path(), &format!("-X POST -F 'name=photo.jpg' {at}/download > photo.copy"));
    assert!(std::fs::read(folder.path().join("photo.copy")).unwrap() == content, "the file is not what it was");
}

fn hits(project: &Project, want: u64) {
    let said = curl(&root(), &format!("http://{}/", project.at("HITS_PORT")));
    assert_eq!(said.trim_end(), format!("Hello from Redis! I have been seen {want} times."));
}

fn register(project: &Project) {
    let at = project.at("REGISTRY_PORT");
    let json = r#"{"id":"4f1c","image":"registry","name":"one","timestamp":"2026-01-01T00:00:00Z","memory_usage":1.5,"cpu_usage":0.25}"#;
    curl(&root(), &format!("-X POST -H 'Content-Type: application/json' -d '{json}' http://{at}/service"));
    let all: serde_json::Value = serde_json::from_str(&curl(&root(), &format!("http://{at}/service"))).unwrap();
    let found = all.as_array().unwrap().iter().find(|one| one["id"] == "4f1c").expect("what was posted is there");
    assert_eq!(found["memory_usage"], 1.5);
}

fn vote(project: &Project, voter: &str, option: &str) {
    let at = project.at("VOTE_PORT");
    curl(&root(), &format!("-b voter_id={voter} -d vote={option} -o /dev/null http://{at}/"));
}

/// Waits until the database holds these votes, and no others.
#[track_caller]
fn counted(project: &Project, want: &str) {
    let query = "SELECT string_agg(vote || '=' || count, ' ' ORDER BY vote) FROM (SELECT vote, count(id) FROM votes GROUP BY vote) v";
    eventually(20, &format!("the votes {want} are stored"), || {
        let output = project.command(&["exec", "-T", "db", "psql", "-U", "postgres", "-Atc", query]).output().unwrap();
        let got = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if got == want { Ok(()) } else { Err(format!("{got:?} {}", String::from_utf8_lossy(&output.stderr))) }
    });
}

/// One line to the echo server, by netcat inside its network: no port is needed.
fn echo(network: &str, server: &str, line: &str) -> String {
    let (image, mut command) = (pinned("BUSYBOX_IMAGE"), Command::new("docker"));
    command.args(["run", "--rm", "-i", "--network", network, &image, "nc", "-w", "5", server, "12345"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), format!("{line}\n").as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn voting_stands_alone() {
    let project = Project::new("voting.yml");
    project.up();
    // Both pages are there, and the votes arrive: the last one of each voter.
    assert!(curl(&root(), &format!("http://{}/", project.at("VOTE_PORT"))).contains("Cats"));
    assert!(curl(&root(), &format!("http://{}/", project.at("RESULT_PORT"))).contains("<html"));
    for (voter, option) in [("aa01", "a"), ("aa02", "b"), ("aa03", "b"), ("aa01", "b"), ("aa02", "a")] {
        vote(&project, voter, option);
    }
    counted(&project, "a=1 b=2");

    let (front, back) = (format!("{}_front-tier", project.name), format!("{}_back-tier", project.name));
    for service in ["worker", "redis", "db"] {
        assert_eq!(project.container(service).networks, [back.as_str()], "{service}");
    }
    for service in ["vote", "result"] {
        assert_eq!(project.container(service).networks, [back.as_str(), front.as_str()], "{service}");
    }
    // By name, and only where it is to be reached.
    let (redis, ping) = (pinned("REDIS_IMAGE"), ["redis-cli", "-h", "redis", "ping"]);
    assert_eq!(inside(&back, &redis, &ping).unwrap().trim(), "PONG");
    inside(&front, &pinned("CURL_IMAGE"), &["-sS", "-m", "5", "http://vote/healthz"]).unwrap();
    inside(&front, &redis, &ping).unwrap_err();

    // What is stored outlives all containers.
    project.stop_in_order();
    project.compose(&["down"]);
    project.up();
    counted(&project, "a=1 b=2");
}

#[test]
fn echo_stands_alone() {
    // The settings are files outside of the images: a copy of them is changed here.
    let folder = tempfile::tempdir().unwrap();
    run(Command::new("cp").arg("-rL").arg(root().join("provisioning/compose")).arg(folder.path()));
    let project = Project::of(&folder.path().join("compose/echo.yml"));
    project.up();
    let (server, client) = (project.container("server"), project.container("client1"));
    let network = format!("{}_testing_net", project.name);
    assert_eq!(echo(&network, "server", "hello there"), "Your Message has been received: b'hello there'\n");
    server.says(5, "Msg: b'hello there'");
    server.says(5, "Got connection from ('10.125.");
    client.says(20, "[CLIENT 1] Message from server: Your Message has been received: b'[CLIENT 1] Message ");

    // No image is built, and the change is there.
    let settings = folder.path().join("compose/echo/server.conf");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text.replace("LOG_LEVEL=info", "LOG_LEVEL=error")).unwrap();
    let before = docker(&["inspect", "-f", "{{.Image}}", &server.name]);
    project.compose(&["restart", "-t", "1", "server"]);
    assert_eq!(echo(&network, "server", "now in silence"), "Your Message has been received: b'now in silence'\n");
    assert!(!server.logs().contains("now in silence"), "{}", server.logs());
    assert_eq!(docker(&["inspect", "-f", "{{.Image}}", &server.name]), before);

    project.stop_in_order();
}

#[test]
fn hits_stand_alone() {
    let project = Project::new("hits.yml");
    project.up();
    for count in 1..=3 {
        hits(&project, count);
    }
    // Without its database it says so, and it needs no restart to find it again; and the count outlives both.
    let database = project.container("db").name;
    docker(&["rm", "-f", &database]);
    let at = project.at("HITS_PORT");
    eventually(10, "the loss is told", || match get(&at, "/") {
        Err(reason) if reason.starts_with("503") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    project.up();
    eventually(20, "the database is found again", || get(&at, "/"));
    docker(&["rm", "-f", &project.container("app").name]);
    project.up();
    hits(&project, 5);
    project.stop_in_order();
}

#[test]
fn files_and_registry_stand_alone() {
    let project = Project::new("files-registry.yml");
    project.up();
    upload_and_download(&project);
    register(&project);
    let mut client = project.command(&["run", "--rm", "-T", "registry-client"]);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut client.stdin.take().unwrap(), b"help\nget\nexit\n").unwrap();
    let output = client.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Options are get, post and exit"), "{said}");
    assert!(said.contains("4f1c"), "{said}");
    project.stop_in_order();
}

#[test]
fn all_of_it_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut project = Project::new("all.yml");
    // The agent is in the machine's own network, where its usual port may be somebody else's.
    let usual = std::fs::read_to_string(root().join("provisioning/compose/prometheus.yml")).unwrap();
    let own = folder.path().join("prometheus.yml");
    std::fs::write(&own, usual.replace("agent:9100", &format!("agent:{}", project.get("AGENT_PORT")))).unwrap();
    project.set("COLLECTOR_CONFIG", own.display().to_string());
    project.up();

    upload_and_download(&project);
    hits(&project, 1);
    register(&project);
    vote(&project, "bb01", "a");
    counted(&project, "a=1");
    let port = project.get("ECHO_PORT");
    let line = run(Command::new("bash").args(["-c", &format!("echo hi | nc -w 5 127.0.0.1 {port}")]));
    assert_eq!(line, "Your Message has been received: b'hi'\n");

    // Everything is scraped by its name.
    let collector = project.at("COLLECTOR_PORT");
    let targets = usual.matches("targets:").count();
    eventually(60, "every target is up", || {
        let up = prom_query(&collector, "up == 1")?;
        if up.len() == targets { Ok(()) } else { Err(format!("{} of {targets}: {up:?}", up.len())) }
    });
    // What is recorded of the machine and of the containers is in its database.
    for (port, series) in [
        ("INFLUXDB_VMS_PORT", "job_instance:memory_usage_per_instance"),
        ("INFLUXDB_CONTAINERS_PORT", "job_container:memory_usage_per_container"),
    ] {
        eventually(60, &format!("{series} is in InfluxDB"), || {
            let query = format!("/query?db=prometheus&q=SELECT%20last(value)%20FROM%20%22{series}%22");
            let answer = get(&project.at(port), &query)?;
            if answer.contains("values") { Ok(()) } else { Err(answer) }
        });
    }
    // Under the name that compose gave it.
    let name = project.container("file-transfer").name;
    let memory = prom_query(&collector, &format!("container_memory_usage_bytes{{name={name:?}}}")).unwrap();
    assert_eq!(memory.len(), 1, "{memory:?}");

    let began = Instant::now();
    project.stop_in_order();
    assert!(began.elapsed().as_secs() < 60, "to stop took {:?}", began.elapsed());
}
