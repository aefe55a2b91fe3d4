//! Units that count (PMUs) and the events that they name: `/sys/bus/event_source/devices/UNIT`, with `type`, `format/`,
//! `events/` and, where a unit belongs to a socket and not to a CPU, `cpumask`.

use std::fs;
use std::path::{Path, PathBuf};

use agent_procfs::perf_event::Event;
use agent_procfs::{Root, cpu_list, scan};

/// A unit that counts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unit {
    pub(super) name: String,
    pub(super) kind: u32,
    /// One CPU of each part of the machine that it counts for; nothing for a unit of every CPU.
    pub(super) cpus: Option<Vec<u32>>,
    folder: PathBuf,
}

/// All units of the machine, by name.
pub(super) fn all(root: &Root) -> Vec<Unit> {
    let entries = fs::read_dir(root.sys("bus/event_source/devices")).into_iter().flatten().flatten();
    let mut units: Vec<_> = entries.filter_map(|entry| Unit::read(entry.path())).collect();
    units.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    units
}

impl Unit {
    fn read(folder: PathBuf) -> Option<Self> {
        let name = folder.file_name()?.to_str()?.to_owned();
        let kind = scan::number(line(&folder.join("type"))?.as_bytes()).and_then(|kind| u32::try_from(kind).ok())?;
        let cpus = line(&folder.join("cpumask")).and_then(|list| cpu_list::parse(list.as_bytes()).ok());
        Some(Self { name, kind, cpus, folder })
    }

    /// The event of a name.
    ///
    /// # Errors
    /// What is wrong with the name here.
    pub(super) fn event(&self, name: &str) -> Result<Event, String> {
        let is_plain = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
        let terms = Some(name).filter(|_| is_plain).and_then(|name| line(&self.folder.join("events").join(name)));
        let Some(terms) = terms else {
            let known = self.events();
            return Err(match known.is_empty() {
                true => format!("the unit {} names no events", self.name),
                false => format!("the unit {} has no event {name:?}, but {}", self.name, known.join(", ")),
            });
        };
        let mut event = Event { kind: self.kind, ..Event::default() };
        for term in terms.split(',') {
            let (key, value) = term.split_once('=').unwrap_or((term, "1"));
            let wrong =
                || format!("the event {name} of the unit {} needs {term:?}, which is not understood", self.name);
            let value = number(value.trim()).ok_or_else(wrong)?;
            self.place(&mut event, key.trim(), value).ok_or_else(wrong)?;
        }
        Ok(event)
    }

    /// The names of its events, without the files beside them that tell their units.
    fn events(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join("events")).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<_> = names.filter(|name| !name.contains('.')).collect();
        names.sort_unstable();
        names
    }

    /// Puts a value where `format/` says that it belongs: `config1:0-7,21`.
    fn place(&self, event: &mut Event, key: &str, value: u64) -> Option<()> {
        let format = line(&self.folder.join("format").join(key)).unwrap_or_else(|| format!("{key}:0-63"));
        let (field, ranges) = format.split_once(':')?;
        let field = match field {
            "config" => &mut event.config,
            "config1" => &mut event.config1,
            "config2" => &mut event.config2,
            _ => return None,
        };
        let mut rest = value;
        for range in ranges.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let first: u32 = first.trim().parse().ok().filter(|first| *first < 64)?;
            let last: u32 = last.trim().parse().ok().filter(|last| (first..64).contains(last))?;
            let width = last - first + 1;
            let mask = u64::MAX >> (64 - width);
            *field |= (rest & mask) << first;
            rest = rest.checked_shr(width).unwrap_or(0);
        }
        (rest == 0).then_some(())
    }
}

/// A number as C and Go write it: decimal, `0x…`, `0b…`, `0o…` or `0…`.
pub(super) fn number(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (lower.get(2..)?, 16),
        [b'0', b'b', ..] => (lower.get(2..)?, 2),
        [b'0', b'o', ..] => (lower.get(2..)?, 8),
        [b'0', _, ..] => (lower.get(1..)?, 8),
        _ => (lower.as_str(), 10),
    };
    // A sign is none of a number's.
    u64::from_str_radix(digits, radix).ok().filter(|_| digits.starts_with(|first: char| first.is_ascii_hexdigit()))
}

fn line(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Vec<Unit>) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root { sysfs: folder.path().to_owned(), ..Root::default() };
        for (path, content) in files {
            let path = root.sys("bus/event_source/devices").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{content}\n")).unwrap();
        }
        let units = all(&root);
        (folder, units)
    }

    #[test]
    fn events_of_units() {
        let (_folder, units) = machine(&[
            ("cpu/type", "4"),
            ("cpu/format/event", "config:0-7"),
            ("cpu/format/umask", "config:8-15"),
            ("cpu/format/split", "config:0-3,32-35"),
            ("cpu/format/ldlat", "config1:0-15"),
            ("cpu/format/edge", "config:18"),
            ("cpu/format/odd", "attr.config:1"),
            ("cpu/events/plain", "event=0x3c,umask=0x01"),
            ("cpu/events/plain.scale", "2.0e-6"),
            ("cpu/events/loads", "event=0xcd,ldlat=3"),
            ("cpu/events/flag", "event=1,edge"),
            ("cpu/events/in-parts", "split=0xa5"),
            ("cpu/events/direct", "config=0x10,config2=7"),
            ("cpu/events/wide", "event=0x100"),
            ("cpu/events/asked", "event=?"),
            ("cpu/events/elsewhere", "odd=1"),
            ("uncore_imc_0/type", "12"),
            ("uncore_imc_0/cpumask", "0,18"),
            ("bad/type", "many"),
        ]);
        let [cpu, memory] = units.as_slice() else { panic!("{units:?}") };
        assert_eq!((memory.name.as_str(), memory.kind, memory.cpus.clone()), ("uncore_imc_0", 12, Some(vec![0, 18])));
        assert_eq!((cpu.name.as_str(), cpu.kind, cpu.cpus.clone()), ("cpu", 4, None));
        let check = |name: &str, config: u64, config1: u64, config2: u64| {
            assert_eq!(cpu.event(name), Ok(Event { kind: 4, config, config1, config2 }), "{name}");
        };
        check("plain", 0x13c, 0, 0);
        check("loads", 0xcd, 3, 0);
        check("flag", 0x4_0001, 0, 0);
        check("in-parts", 0xa_0000_0005, 0, 0);
        check("direct", 0x10, 0, 7);
        for (name, told) in [("wide", "0x100"), ("asked", "event=?"), ("elsewhere", "odd=1"), ("../type", "plain")] {
            let error = cpu.event(name).unwrap_err();
            assert!(error.contains(told), "{name}: {error}");
        }
        assert_eq!(memory.event("x").unwrap_err(), "the unit uncore_imc_0 names no events");
        assert!(!cpu.event("x").unwrap_err().contains("scale"));
    }

    #[test]
    fn numbers() {
        let all = ["7", "0x5300C0", "0b11", "0o17", "017", "0", "", "0x", "-1", "+1", "0x+1", "1x", "08"];
        let want =
            [Some(7), Some(0x53_00c0), Some(3), Some(15), Some(15), Some(0), None, None, None, None, None, None, None];
        assert_eq!(all.map(number), want);
        assert_eq!(number("0xffffffffffffffff"), Some(u64::MAX));
        assert_eq!(number("0x1ffffffffffffffff"), None);
    }
}
