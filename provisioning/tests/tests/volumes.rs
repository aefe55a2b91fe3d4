//! The databases of others: what they were told is on their volume, and is there again for the next container.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may")]

mod support;

use std::process::Command;

use provisioning_parts::{Container, docker, eventually};
use support::{images_are_there, pinned};

/// A database as the stack runs it.
struct Database {
    image: &'static str,
    volume: &'static str,
    env: &'static [&'static str],
    write: &'static [&'static str],
    read: &'static [&'static str],
    /// Part of what `read` says when it is still there.
    kept: &'static str,
}

const DATABASES: [Database; 3] = [
    Database {
        image: "INFLUXDB_1_IMAGE",
        volume: "/var/lib/influxdb",
        env: &["INFLUXDB_DB=prometheus"],
        write: &["influx", "-database", "prometheus", "-execute", "INSERT kept value=4711"],
        read: &["influx", "-database", "prometheus", "-execute", "SELECT value FROM kept"],
        kept: "4711",
    },
    Database {
        image: "POSTGRES_IMAGE",
        volume: "/var/lib/postgresql/data",
        env: &["POSTGRES_PASSWORD=a-tests-own"],
        write: &[
            "psql",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-c",
            "CREATE TABLE IF NOT EXISTS kept AS SELECT 4711 AS value",
        ],
        read: &["psql", "-h", "127.0.0.1", "-U", "postgres", "-c", "SELECT value FROM kept"],
        kept: "4711",
    },
    Database {
        image: "REDIS_IMAGE",
        volume: "/data",
        env: &[],
        write: &["redis-cli", "SET", "kept", "4711"],
        read: &["redis-cli", "GET", "kept"],
        kept: "4711",
    },
];

impl Database {
    fn start(&self, volume: &str) -> Container {
        let mount = format!("{volume}:{}", self.volume);
        let mut options = vec!["-v", &mount];
        for variable in self.env {
            options.extend(["-e", variable]);
        }
        let command: &[&str] = if self.image == "REDIS_IMAGE" { &["redis-server", "--appendonly", "yes"] } else { &[] };
        Container::run("volume", &options, &pinned(self.image), command)
    }

    /// What a command in the container says, whether or not it succeeds.
    fn say(&self, container: &Container, command: &[&str]) -> String {
        let mut exec = vec!["exec"];
        if self.image == "POSTGRES_IMAGE" {
            exec.extend(["-e", "PGPASSWORD=a-tests-own"]);
        }
        exec.push(&container.name);
        let output = Command::new("docker").args(&exec).args(command).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Waits until it answers with what was written. One that has just started is not asked once: some of their
    /// clients call it a success when there is no database yet.
    fn await_kept(&self, container: &Container, before: &[&[&str]]) {
        eventually(60, self.image, || {
            before.iter().for_each(|command| drop(self.say(container, command)));
            let said = self.say(container, self.read);
            if said.contains(self.kept) { Ok(()) } else { Err(said) }
        });
    }
}

/// A named volume that goes with the test.
struct Volume(String);

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["volume", "rm", "-f", &self.0]).output();
    }
}

#[test]
fn what_was_written_outlives_the_container() {
    images_are_there();
    for database in DATABASES {
        let volume = Volume(docker(&["volume", "create"]));
        let first = database.start(&volume.0);
        database.await_kept(&first, &[database.write]);
        docker(&["stop", "-t", "30", &first.name]);
        drop(first);
        let second = database.start(&volume.0);
        database.await_kept(&second, &[]);
    }
}
