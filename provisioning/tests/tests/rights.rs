//! The agent's rights, as `agent/README.md` states them: the lines there, the compose files, the stack and the systemd
//! unit give the same ones, the lines run as they stand, and they show what they promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use provisioning_parts::{Container, docker, eventually, free_port, get, root};
use serde_yaml_ng::Value;
use support::{Project, image, pinned, run};

/// What the agent may and sees.
#[derive(Debug, PartialEq)]
struct Rights {
    user: String,
    dropped: BTreeSet<String>,
    added: BTreeSet<String>,
    is_read_only: bool,
    is_on_machines_network: bool,
    sees_processes: bool,
    /// From and to; all are read-only.
    mounts: BTreeSet<(String, String)>,
    /// `--path.*`
    paths: BTreeSet<String>,
}

/// A file of the checkout.
fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The blocks of the section on rights, by what they begin with.
fn block(begin: &str) -> String {
    let readme = text("agent/README.md");
    let section = readme.split("\n## Rights\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let blocks = section.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    blocks.map(|(_, block)| block.to_owned()).find(|block| block.starts_with(begin)).unwrap()
}

/// The words of a command that is continued over several lines.
fn words(command: &str) -> Vec<String> {
    command.replace("\\\n", " ").split_whitespace().map(str::to_owned).collect()
}

/// Of `docker run` and `docker service create`.
fn of_command(words: &[String]) -> Rights {
    let values = |flag: &str| -> Vec<String> {
        words.windows(2).filter(|pair| pair[0] == flag).map(|pair| pair[1].clone()).collect()
    };
    let has = |flag: &str, value: &str| values(flag).iter().any(|given| given == value);
    let volume = |volume: &String| -> (String, String) {
        let parts: Vec<&str> = volume.split(':').collect();
        assert!(parts[2].split(',').any(|option| option == "ro"), "{volume} can be written");
        (parts[0].to_owned(), parts[1].to_owned())
    };
    let mount = |mount: &String| -> (String, String) {
        let field = |name: &str| mount.split(',').find_map(|field| field.strip_prefix(&format!("{name}="))).unwrap();
        assert!(mount.split(',').any(|option| option == "readonly"), "{mount} can be written");
        (field("source").to_owned(), field("target").to_owned())
    };
    Rights {
        user: values("--user").concat(),
        dropped: values("--cap-drop").into_iter().collect(),
        added: values("--cap-add").into_iter().collect(),
        is_read_only: words.iter().any(|word| word == "--read-only"),
        is_on_machines_network: has("--network", "host"),
        sees_processes: has("--pid", "host"),
        mounts: values("--volume").iter().map(volume).chain(values("--mount").iter().map(mount)).collect(),
        paths: words.iter().filter(|word| word.starts_with("--path.")).cloned().collect(),
    }
}

/// Of a service in a compose file or a stack.
fn of_service(file: &str, name: &str) -> Rights {
    let mut file: Value = serde_yaml_ng::from_str(file).unwrap();
    file.apply_merge().unwrap();
    let service = &file["services"][name];
    let list = |key: &str| -> Vec<String> {
        let items = service[key].as_sequence().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let network = service["networks"][0].as_str().map(|network| file["networks"][network]["name"].clone());
    let short = |volume: &Value| {
        let parts: Vec<&str> = volume.as_str()?.split(':').collect();
        assert!(parts[2].split(',').any(|option| option == "ro"), "{volume:?} can be written");
        Some((parts[0].to_owned(), parts[1].to_owned()))
    };
    let long = |volume: &Value| {
        assert_eq!(volume["read_only"], Value::Bool(true), "{volume:?} can be written");
        (volume["source"].as_str().unwrap().to_owned(), volume["target"].as_str().unwrap().to_owned())
    };
    let volumes = service["volumes"].as_sequence().unwrap();
    Rights {
        user: service["user"].as_str().unwrap().to_owned(),
        dropped: list("cap_drop").into_iter().collect(),
        added: list("cap_add").into_iter().collect(),
        is_read_only: service["read_only"] == Value::Bool(true),
        is_on_machines_network: service["network_mode"] == "host" || network.is_some_and(|name| name == "host"),
        sees_processes: service["pid"] == "host",
        mounts: volumes.iter().map(|volume| short(volume).unwrap_or_else(|| long(volume))).collect(),
        paths: list("command").into_iter().filter(|word| word.starts_with("--path.")).collect(),
    }
}

#[test]
fn all_ways_to_run_it_give_the_same_rights() {
    let rights = of_command(&words(&block("docker run")));
    assert!(rights.is_read_only && rights.is_on_machines_network && rights.sees_processes, "{rights:?}");
    assert_eq!(of_service(&block("services:"), "atalaia-agent"), rights);
    assert_eq!(of_service(&text("provisioning/compose/services.yml"), "agent"), rights);
    // A swarm has no flag for the PID namespace.
    let of_swarm = Rights { sees_processes: false, ..rights };
    assert_eq!(of_command(&words(&block("docker service create"))), of_swarm);
    assert_eq!(of_service(&text("provisioning/stack.yml"), "agent"), of_swarm);

    let unit = text("provisioning/systemd/atalaia-agent.service");
    let given: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("CapabilityBoundingSet=")).collect();
    let given: BTreeSet<String> = given.concat().split_whitespace().map(|name| name.replace("CAP_", "")).collect();
    assert_eq!(given, of_swarm.added);
    assert!(unit.contains("\nUser=root\n") && unit.contains("\nNoNewPrivileges=yes\n"));
}

/// A container whose open files only its own user may see, without `CAP_DAC_READ_SEARCH`.
fn neighbour() -> Container {
    Container::run("rights", &["--user", "1000:1000"], &pinned("BUSYBOX_IMAGE"), &["sleep", "600"])
}

/// The one sample of a family with these words in its labels; nothing where there is none.
fn sample(page: &str, family: &str, name: &str) -> Option<f64> {
    let line = page.lines().find(|line| line.starts_with(&format!("{family}{{")) && line.contains(name))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// That the page shows the machine and the container beside the agent.
fn shows_everything(address: &str, neighbour: &Container) -> Result<(), String> {
    let page = get(address, "/metrics")?;
    let wanted = |family: &str, name: &str| {
        sample(&page, family, name).ok_or_else(|| format!("{family} of {name:?} is missing"))
    };
    let machine = rustix::system::uname();
    wanted("node_uname_info", &format!("nodename=\"{}\"", machine.nodename().to_str().unwrap()))?;
    wanted("node_filesystem_size_bytes", "mountpoint=\"/\"")?;
    wanted("node_os_info", "")?;
    let name = format!("name=\"{}\"", neighbour.name);
    wanted("container_memory_usage_bytes", &name)?;
    wanted("container_fs_usage_bytes", &name)?;
    let processes = wanted("container_processes", &name)?;
    let files = wanted("container_file_descriptors", &name)?;
    match page.contains("\nnode_timex_status ") && processes == 1.0 && files >= 1.0 {
        true => Ok(()),
        false => Err(format!("{processes} processes with {files} open files, or nothing of the clock")),
    }
}

/// A container of the agent's, as the line says but for its name, its port and the sets that are on.
struct Agent {
    name: String,
    address: String,
}

impl Agent {
    fn run(line: &str, without: &[&str]) -> Self {
        let port = free_port();
        let name = format!("atalaia-test-rights-{}-{port}", std::process::id());
        let mut words = words(line);
        for word in &mut words {
            match word.as_str() {
                "atalaia-agent" => word.clone_from(&name),
                "unless-stopped" => "no".clone_into(word),
                "atalaia/agent:local" => *word = image("agent"),
                _ => {}
            }
        }
        if !without.is_empty() {
            let at = words.windows(without.len()).position(|part| part == without).unwrap();
            words.drain(at..at + without.len());
        }
        words.extend(settings(port));
        run(Command::new(&words[0]).args(&words[1..]));
        Self { name, address: format!("127.0.0.1:{port}") }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", docker(&["logs", &self.name]));
        }
        docker(&["rm", "--force", &self.name]);
    }
}

fn settings(port: u16) -> [String; 2] {
    [format!("--web.listen-address=127.0.0.1:{port}"), "--enable_metrics=cpu,memory,disk,process".to_owned()]
}

#[test]
fn the_line_for_docker_shows_everything() {
    let neighbour = neighbour();
    let agent = Agent::run(&block("docker run"), &[]);
    eventually(60, "everything is there", || shows_everything(&agent.address, &neighbour));
}

#[test]
fn the_compose_file_shows_everything() {
    let neighbour = neighbour();
    let port = free_port();
    let last = "--path.udev.data=/host/run/udev/data]";
    let more = settings(port).map(|word| format!(", \"{word}\"")).concat();
    let file = block("services:")
        .replace(last, &format!("{}{more}]", last.trim_end_matches(']')))
        .replace("restart: unless-stopped", "restart: \"no\"")
        .replace("atalaia/agent:local", &image("agent"));
    let folder = tempfile::tempdir().unwrap();
    let path = Path::new(folder.path()).join("compose.yml");
    std::fs::write(&path, file).unwrap();
    let project = Project::of(&path);
    project.compose(&["up", "-d"]);
    let address = format!("127.0.0.1:{port}");
    eventually(60, "everything is there", || shows_everything(&address, &neighbour));
}

/// As in a swarm. Cgroup files name no process to whoever is in another PID namespace, which is not the same as none.
#[test]
fn without_the_machines_processes_no_wrong_count_is_told() {
    let neighbour = neighbour();
    let agent = Agent::run(&block("docker run"), &["--pid", "host"]);
    let name = format!("name=\"{}\"", neighbour.name);
    eventually(60, "the container is there", || {
        let page = get(&agent.address, "/metrics")?;
        assert_eq!(sample(&page, "container_processes", ""), None);
        assert_eq!(sample(&page, "container_file_descriptors", ""), None);
        sample(&page, "container_memory_usage_bytes", &name).ok_or_else(|| "it has no figures, or no name".to_owned())
    });
}
