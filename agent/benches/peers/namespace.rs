//! A network namespace with a given number of interfaces, so that what else runs on the machine adds none.
//!
//! The bench starts itself in it and reads its figures from its output. The namespace ends with the last process
//! in it: there is nothing to remove.

use std::path::Path;
use std::process::Command;

use crate::connection::Form;
use crate::peer::{Figures, FormFigures};

/// The first argument of a bench that runs inside; the second is the agent.
pub const INSIDE: &str = "--in-namespace";

/// A loopback, a bridge and pairs of virtual links, as a host of containers has them. `/sys/class/net` shows the namespace
/// that sysfs was mounted in.
const ENTER: &str = r#"
set -e
mount -t sysfs sysfs /sys
ip link set lo up
ip link add bridge0 type bridge
ip address add 10.234.0.1/24 dev bridge0
ip link set bridge0 up
for i in $(seq "$1"); do
  ip link add "outer$i" type veth peer name "inner$i"
  ip link set "outer$i" master bridge0 up
  ip link set "inner$i" up
done
shift
exec "$@"
"#;

/// Figures of the node page with that many interfaces, an even number.
pub fn measure(interfaces: usize, agent: &Path, flags: &[String]) -> Vec<Figures> {
    let pairs = (interfaces - 2) / 2;
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--", "sh", "-c", ENTER, "sh", &pairs.to_string()])
        .arg(std::env::current_exe().unwrap())
        .args([INSIDE.as_ref(), agent.as_os_str()])
        .args(flags)
        .stderr(std::process::Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "no figures from a network namespace: root is needed, iproute2 and util-linux");
    understand(&String::from_utf8(output.stdout).unwrap())
}

/// Writes figures for the bench outside: a line for each peer, and one for each of its forms.
pub fn report(figures: &[Figures]) {
    for of in figures {
        println!("{} {}", of.column, of.resident_kib);
        for form in &of.forms {
            let wall_ms: Vec<_> = form.wall_ms.iter().map(|ms| format!(" {ms}")).collect();
            println!("{} {}{}", form.cpu_ms.unwrap(), form.bytes, wall_ms.concat());
        }
    }
}

fn understand(report: &str) -> Vec<Figures> {
    let mut lines = report.lines();
    let mut all = Vec::new();
    while let Some((column, resident)) = lines.next().and_then(|line| line.split_once(' ')) {
        let forms = Form::ALL.map(|_| {
            let mut words = lines.next().unwrap().split(' ');
            FormFigures {
                cpu_ms: words.next().unwrap().parse().ok(),
                bytes: words.next().unwrap().parse().unwrap(),
                wall_ms: words.map(|ms| ms.parse().unwrap()).collect(),
            }
        });
        let resident_kib = resident.parse().unwrap();
        all.push(Figures { column: column.to_owned(), forms, resident_kib, idle: None });
    }
    all
}
