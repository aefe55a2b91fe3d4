//! Podman: Docker's API at a socket of the machine, and at one of each user who runs it without root.
//!
//! What a user's engine says counts in the cgroups of that user alone, and after the word of all others.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};

use super::docker::{Address, Client};
use super::{Built, Runtime, Spec, View, follow};
use crate::Error;
use crate::config::Config;
use crate::described::Place;

pub(super) const SPEC: Spec = Spec { name: "podman", build };

/// How often sockets of users are looked for.
const LOOK: Duration = Duration::from_secs(30);
/// More users than these are not followed.
const MOST_USERS: usize = 64;

fn build(config: &Config) -> Result<Built, Error> {
    let Some(address) = &config.podman else { return Ok(None) };
    let address = Address::of(SPEC.name, address)?;
    Ok(Some(Box::new(Podman { address, config: config.clone() })))
}

struct Podman {
    address: Address,
    config: Config,
}

impl Runtime for Podman {
    fn watch(self: Box<Self>, view: Arc<View>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let Self { address, config } = *self;
        let of_machine = Client::of_podman(address, &config, Place::ById);
        let post = view.open(SPEC.name, None);
        Box::pin(async move {
            tokio::join!(follow(of_machine, post), follow_users(&config, &view));
        })
    }
}

/// Follows the sockets of users as they come and go.
async fn follow_users(config: &Config, view: &Arc<View>) {
    let mut tasks = JoinSet::new();
    let mut followed: BTreeMap<u32, AbortHandle> = BTreeMap::new();
    loop {
        let found = sockets(&config.user_runtimes);
        followed.retain(|user, task| {
            let is_here = found.contains_key(user);
            if !is_here {
                task.abort();
            }
            is_here
        });
        for (user, socket) in found {
            followed.entry(user).or_insert_with(|| {
                // Where systemd keeps all that users run.
                let place = Place::Under(format!("/user.slice/user-{user}.slice/").into());
                let client = Client::of_podman(Address::Unix(socket), config, place);
                tasks.spawn(follow(client, view.open(SPEC.name, Some(&user.to_string()))))
            });
        }
        while tasks.try_join_next().is_some() {}
        tokio::time::sleep(LOOK).await;
    }
}

/// The sockets that are there, by user.
fn sockets(users: &Path) -> BTreeMap<u32, PathBuf> {
    let Ok(entries) = std::fs::read_dir(users) else { return BTreeMap::new() };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let user = entry.file_name().to_str()?.parse().ok()?;
            let socket = entry.path().join("podman/podman.sock");
            socket.exists().then_some((user, socket))
        })
        .take(MOST_USERS)
        .collect()
}
