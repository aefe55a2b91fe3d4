//! A swarm for a test. An engine is in one at a time, and so tests take turns, in whatever processes they run.

use std::fs::File;
use std::process::Command;

use provisioning_parts::{docker, eventually, free_port};

/// The address of this machine that containers reach.
fn gateway() -> String {
    docker(&["network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}"])
}

/// A swarm of this one machine: the engine's own, or one made for the test and left afterwards.
pub struct Swarm {
    made: bool,
    /// Locked until the swarm is left.
    _turn: File,
}

impl Swarm {
    /// Waits for its turn.
    pub fn init() -> Self {
        let turn = File::create(std::env::temp_dir().join("atalaia-test-swarm.lock")).unwrap();
        eventually(900, "no other test has the swarm", || turn.try_lock().map_err(|e| e.to_string()));
        let active = docker(&["info", "-f", "{{.Swarm.LocalNodeState}}"]) == "active";
        let swarm = Self { made: !active, _turn: turn };
        if swarm.made {
            // The address is what a collector is told of the machine, and where it looks for its agent.
            let (address, listen) = (gateway(), format!("127.0.0.1:{}", free_port()));
            docker(&["swarm", "init", "--advertise-addr", &address, "--listen-addr", &listen]);
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
