//! The images of our own programs: small, empty but for the program, without rights, and able to tell their health.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may")]

mod support;

use std::process::Command;

use provisioning_parts::{docker, root};
use support::{image, listed, run};

/// Bytes; Docker's megabytes are thousands of thousands.
const MOST_BYTES: u64 = 15_000_000;

/// Programs that end by themselves, or that somebody types into: nobody asks for their health.
const SHORT_LIVED: [&str; 2] = ["echo-client", "registry-client"];

fn inspected(image: &str) -> serde_json::Value {
    let all: serde_json::Value = serde_json::from_str(&docker(&["image", "inspect", image])).unwrap();
    all[0].clone()
}

#[test]
fn images_are_small_and_without_rights() {
    for [name, binary, ..] in listed() {
        let about = inspected(&image(&name));
        let size = about["Size"].as_u64().unwrap();
        assert!(size < MOST_BYTES, "{name} has {size} bytes");
        assert_eq!(about["Config"]["User"], "10001:10001", "{name}");
        assert_eq!(about["Config"]["Entrypoint"], serde_json::json!([format!("/{binary}")]), "{name}");
    }
}

#[test]
fn long_running_images_have_a_health_check() {
    for [name, binary, ..] in listed() {
        let about = inspected(&image(&name));
        let check = about["Config"]["Healthcheck"]["Test"].as_array().cloned().unwrap_or_default();
        if SHORT_LIVED.contains(&name.as_str()) {
            assert_eq!(check, ["NONE"], "{name}");
        } else {
            assert_eq!(check[..2], ["CMD".into(), serde_json::Value::from(format!("/{binary}"))], "{name}");
        }
    }
}

/// The check itself, in a container in which nothing listens: it must not say that all is well.
#[test]
fn the_health_of_nothing_is_bad() {
    for [name, ..] in listed().into_iter().filter(|[name, ..]| !SHORT_LIVED.contains(&name.as_str())) {
        let about = inspected(&image(&name));
        let check: Vec<&str> = about["Config"]["Healthcheck"]["Test"].as_array().unwrap()[1..]
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        let mut command = Command::new("docker");
        command.args([
            "run",
            "--rm",
            "--network",
            "none",
            "--read-only",
            "--cap-drop",
            "ALL",
            "--entrypoint",
            check[0],
        ]);
        let output = command.arg(image(&name)).args(&check[1..]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stderr.is_empty(), "{name} does not say what is wrong");
    }
}

/// What the engine itself puts into every container.
const ENGINES: [&str; 9] =
    [".dockerenv", "dev/", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf", "proc/", "sys/", "etc/"];

#[test]
fn images_hold_the_program_and_nothing_else() {
    for [name, binary, ..] in listed() {
        let id = docker(&["create", &image(&name)]);
        let files = run(Command::new("bash").args(["-c", &format!("docker export {id} | tar -t")]));
        docker(&["rm", &id]);
        let ours: Vec<&str> = files
            .lines()
            .filter(|file| !ENGINES.contains(file) && !file.starts_with("dev/") && *file != "data/")
            .filter(|file| name != "collector" || !"etc/ssl/certs/ca-certificates.crt".starts_with(*file))
            .collect();
        assert_eq!(ours, [binary.as_str()], "{name}");
    }
}

/// The stages that compile are the same text everywhere, so that one build in the cache serves all images; and the
/// old builder, which goes from the top, finds the stage for built binaries before anything that it had to pull.
#[test]
fn dockerfiles_are_of_one_kind() {
    let compile = |text: &str| {
        let from = text.find("FROM rust:").unwrap();
        text[from..].split("\n\n").next().unwrap().to_owned()
    };
    let mut seen = Vec::new();
    for [name, _, package, dockerfile] in listed() {
        let text = std::fs::read_to_string(root().join(&dockerfile)).unwrap();
        let prebuilt = text.find(&format!(" AS {name}-prebuilt\n")).expect("a stage for the built binary");
        assert!(prebuilt < text.find("FROM rust:").unwrap(), "{dockerfile}");
        assert!(text.contains(&format!("FROM {name}-base AS {name}\n")), "{dockerfile} has no target {name}");
        seen.push((dockerfile, compile(&text)));
        let manifest = root().join(seen.last().unwrap().0.replace("Dockerfile", "Cargo.toml"));
        assert!(std::fs::read_to_string(manifest).unwrap().contains(&format!("name = \"{package}\"")), "{package}");
    }
    for (dockerfile, stage) in &seen {
        assert_eq!(stage, &seen[0].1, "{dockerfile} and {}", seen[0].0);
    }
}
