//! Whether SELinux is on and enforces, from `/sys/fs/selinux` and `/etc/selinux/config`.

use agent_exposition::{Kind, Page};
use agent_procfs::scan;

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "selinux",
    help: "Whether SELinux is on and enforces.",
    default_on: true,
    flags: &[],
    build: |context| {
        Ok(Box::new(Selinux {
            enforce: Source::new(context.root.sys("fs/selinux/enforce")).with_short_lines(),
            config: Source::new(context.root.rootfs.join("etc/selinux/config")),
        }))
    },
};

struct Selinux {
    enforce: Source,
    config: Source,
}

impl Collector for Selinux {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let mode = match self.enforce.parse(scan::single) {
            Ok(mode) => Some(mode),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        let mut gauge = |name, help, value| page.single(name, help, Kind::Gauge, value);
        gauge("node_selinux_enabled", "1 if SELinux is on.", f64::from(u8::from(mode.is_some())));
        let Some(mode) = mode else { return Ok(Outcome::Collected) };
        gauge("node_selinux_current_mode", "1 if SELinux enforces, 0 if it only warns.", mode as f64);
        let configured = match self.config.read() {
            Ok(content) => configured(content),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(mode) = configured {
            let help = "What SELinux is to do after the next boot: 1 enforce, 0 only warn, -1 be off.";
            gauge("node_selinux_config_mode", help, mode);
        }
        Ok(Outcome::Collected)
    }
}

/// The mode that the configuration asks for.
fn configured(content: &[u8]) -> Option<f64> {
    let assigned = |(_, line)| scan::cut(line, b'=').filter(|(key, _)| key.trim_ascii() == b"SELINUX");
    let (_, mode) = scan::lines(content).filter_map(assigned).last()?;
    match mode.trim_ascii() {
        b"enforcing" => Some(1.0),
        b"permissive" => Some(0.0),
        _ => Some(-1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_in_the_configuration() {
        #[track_caller]
        fn check(text: &str, want: Option<f64>) {
            assert_eq!(configured(text.as_bytes()), want, "{text}");
        }
        check("# SELINUX=disabled\nSELINUX=enforcing\nSELINUXTYPE=targeted\n", Some(1.0));
        check("SELINUX = permissive", Some(0.0));
        check("SELINUX=disabled", Some(-1.0));
        check("SELINUXTYPE=targeted\n", None);
        check("", None);
    }
}
