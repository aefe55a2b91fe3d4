//! `/proc/cpuinfo`: what the CPUs are. Its keys differ by architecture; those of x86 are named here.

use crate::scan;

/// One CPU: its lines, looked up by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuInfo<'a> {
    lines: Vec<(&'a str, &'a str)>,
}

impl<'a> CpuInfo<'a> {
    /// The value of a line such as `model name`; `None` where this architecture has no such line.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.lines.iter().find(|(k, _)| *k == key).map(|(_, value)| *value)
    }

    /// The features, called `flags` on x86 and `Features` on ARM.
    pub fn flags(&self) -> impl Iterator<Item = &'a str> {
        self.get("flags").or_else(|| self.get("Features")).unwrap_or_default().split_ascii_whitespace()
    }
}

/// Reads the file: a CPU begins at each line `processor`. Lines before the first one, and lines without a colon,
/// are passed over.
pub fn parse(bytes: &[u8]) -> Vec<CpuInfo<'_>> {
    let mut cpus: Vec<CpuInfo> = Vec::new();
    for (_, line) in scan::lines(bytes) {
        let pair = scan::cut(line, b':').and_then(|(k, v)| Some((scan::text(k)?.trim(), scan::text(v)?.trim())));
        let Some((key, value)) = pair else { continue };
        if key == "processor" {
            cpus.push(CpuInfo::default());
        }
        if let Some(cpu) = cpus.last_mut() {
            cpu.lines.push((key, value));
        }
    }
    cpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cpus_of_x86() {
        let got = parse(
            b"processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Some CPU @ 2.00GHz\nflags\t\t: fpu vme\npower management:\n\n\
              processor\t: 1\nvendor_id\t: GenuineIntel\n",
        );
        assert_eq!(got.len(), 2);
        assert_eq!(got[0].get("model name"), Some("Some CPU @ 2.00GHz"));
        assert_eq!(got[0].get("power management"), Some(""));
        assert_eq!(got[0].flags().collect::<Vec<_>>(), ["fpu", "vme"]);
        assert_eq!((got[1].get("processor"), got[1].get("model name")), (Some("1"), None));
    }

    #[test]
    fn features_of_arm() {
        let got = parse(b"processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\n");
        assert_eq!(got[0].flags().collect::<Vec<_>>(), ["fp", "asimd"]);
    }

    #[test]
    fn nonsense_gives_nothing() {
        assert_eq!(parse(b"\xff: \xff\nno colon\nHardware : x\n"), []);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
