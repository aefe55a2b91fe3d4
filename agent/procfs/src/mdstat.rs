//! `/proc/mdstat`: software RAID arrays.

use crate::scan::{self, Lossy};

/// What an array does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Active,
    /// It is put together, but not started.
    Inactive,
    /// It fills a new disk.
    Recovering,
    /// It makes its disks agree.
    Resyncing,
    /// It looks whether its disks agree.
    Checking,
    /// It changes its layout.
    Reshaping,
}

/// An array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array<'a> {
    /// Such as `md0`.
    pub name: &'a str,
    /// What it does.
    pub state: State,
    /// Disks that work.
    pub disks_active: u64,
    /// Disks that it should have.
    pub disks_required: u64,
    /// Disks that were thrown out.
    pub disks_failed: u64,
    /// Disks that wait to replace one.
    pub disks_spare: u64,
    /// Its size in KiB.
    pub blocks: u64,
    /// How many of them are in sync: all, unless it recovers, resyncs, checks or reshapes.
    pub blocks_synced: u64,
}

/// Reads the file. An array that makes no sense costs itself.
pub fn parse(bytes: &[u8]) -> Lossy<Vec<Array<'_>>> {
    let mut out = Lossy::new(Vec::new());
    let mut lines = bytes.split(|byte| *byte == b'\n').zip(1..).peekable();
    while let Some((heading, number)) = lines.next() {
        let is_heading = heading.first().is_some_and(|byte| !byte.is_ascii_whitespace());
        if !is_heading || heading.starts_with(b"Personalities") || heading.starts_with(b"unused") {
            continue;
        }
        let mut details = Vec::new();
        while let Some((line, _)) = lines.next_if(|(line, _)| line.first().is_some_and(u8::is_ascii_whitespace)) {
            details.push(line);
        }
        match array(heading, &details) {
            Ok(array) => out.value.push(array),
            Err(reason) => out.skip(number, reason),
        }
    }
    out
}

/// Reads the lines of an array: its name, state and disks; its size and the disks that work; its progress.
fn array<'a>(heading: &'a [u8], details: &[&[u8]]) -> Result<Array<'a>, &'static str> {
    let mut fields = scan::fields(heading);
    let name = fields.next().and_then(scan::text).ok_or("expected a name")?;
    let state = match (fields.next(), fields.next()) {
        (Some(b":"), Some(b"active")) => State::Active,
        (Some(b":"), Some(b"inactive")) => State::Inactive,
        _ => return Err("expected an active or inactive array"),
    };
    let disks: Vec<_> = fields.filter(|field| field.contains(&b'[')).collect();
    let marked = |mark: &[u8]| disks.iter().filter(|disk| disk.ends_with(mark)).count() as u64;
    let status = details.iter().find(|line| scan::fields(line).nth(1) == Some(b"blocks"));
    let blocks = status.and_then(|line| scan::fields(line).next()).and_then(scan::number).ok_or("expected a size")?;
    let counts = status.into_iter().flat_map(|line| scan::fields(line)).find_map(disk_counts);
    let (disks_required, disks_active) = match (state, counts) {
        (State::Inactive, _) => (0, 0),
        (_, Some(counts)) => counts,
        // An array without redundancy works with all of its disks, or not at all.
        _ => (disks.len() as u64, disks.len() as u64),
    };
    let (state, blocks_synced) = details.iter().find_map(|line| progress(line)).unwrap_or((state, blocks));
    Ok(Array {
        name,
        state,
        disks_active,
        disks_required,
        disks_failed: marked(b"(F)"),
        disks_spare: marked(b"(S)"),
        blocks,
        blocks_synced,
    })
}

/// Disks that the array should have, and those that work, from `[2/1]`.
fn disk_counts(field: &[u8]) -> Option<(u64, u64)> {
    let (required, active) = scan::cut(field.strip_prefix(b"[")?.strip_suffix(b"]")?, b'/')?;
    Some((scan::number(required)?, scan::number(active)?))
}

/// What goes on, and how many blocks it has reached: `[=>...]  recovery = 8.5% (1/2) finish=...`, or `resync=DELAYED`
/// for what waits.
fn progress(line: &[u8]) -> Option<(State, u64)> {
    let state = |word: &[u8]| match word {
        b"recovery" => Some(State::Recovering),
        b"resync" => Some(State::Resyncing),
        b"check" => Some(State::Checking),
        b"reshape" => Some(State::Reshaping),
        _ => None,
    };
    let state = scan::fields(line).find_map(|field| state(scan::cut(field, b'=').map_or(field, |(word, _)| word)))?;
    let reached = scan::fields(line).find_map(|field| {
        let (reached, _) = scan::cut(field.strip_prefix(b"(")?.strip_suffix(b")")?, b'/')?;
        scan::number(reached)
    });
    Some((state, reached.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn one(text: &str) -> Array<'_> {
        let got = parse(text.as_bytes());
        assert_eq!((got.value.len(), got.bad_lines), (1, 0), "{got:?}");
        got.value.into_iter().next().unwrap()
    }

    #[test]
    fn an_array_with_a_lost_disk_that_recovers() {
        let array = one("Personalities : [raid6] [raid5]\n\
             md1 : active raid5 sdd1[4] sdc1[2](F) sdb1[1] sda1[0] sde1[5](S)\n\
             \x20     1953260544 blocks super 1.2 level 5, 512k chunk, algorithm 2 [3/2] [UU_]\n\
             \x20     [=>...................]  recovery =  8.5% (83387392/976630272) finish=71.2min speed=208965K/sec\n\
             \x20     bitmap: 3/8 pages [12KB], 65536KB chunk\n\nunused devices: <none>\n");
        let want = Array {
            name: "md1",
            state: State::Recovering,
            disks_active: 2,
            disks_required: 3,
            disks_failed: 1,
            disks_spare: 1,
            blocks: 1_953_260_544,
            blocks_synced: 83_387_392,
        };
        assert_eq!(array, want);
    }

    #[test]
    fn arrays_of_other_kinds() {
        #[track_caller]
        fn check(text: &str, state: State, disks: (u64, u64), blocks: (u64, u64)) {
            let array = one(text);
            assert_eq!((array.state, (array.disks_required, array.disks_active)), (state, disks));
            assert_eq!((array.blocks, array.blocks_synced), blocks);
        }
        let raid0 = "md0 : active raid0 sdb[1] sda[0]\n      200 blocks super 1.2 64k chunks\n";
        check(raid0, State::Active, (2, 2), (200, 200));
        let container = "md127 : inactive sdb[1](S) sda[0](S)\n      6306 blocks super external:imsm\n";
        check(container, State::Inactive, (0, 0), (6306, 6306));
        let delayed = "md2 : active raid1 sdb2[1] sda2[0]\n      10 blocks [2/2] [UU]\n      \tresync=DELAYED\n";
        check(delayed, State::Resyncing, (2, 2), (10, 0));
        let read_only = "md3 : active (auto-read-only) raid1 sda3[0]\n      10 blocks super 1.2 [2/1] [U_]\n";
        check(read_only, State::Active, (2, 1), (10, 10));
        let check_line = "md4 : active raid1 sda[0]\n 10 blocks [1/1] [U]\n [>..] check = 9.9% (1/10) finish=1.0min\n";
        check(check_line, State::Checking, (1, 1), (10, 1));
    }

    #[test]
    fn a_bad_array_costs_itself() {
        let got =
            parse(b"md0\nmd1 : active raid1 sda[0]\n\nmd2 : gone\n 1 blocks\nmd3 : active linear sda[0]\n 7 blocks\n");
        assert_eq!(got.value.iter().map(|array| array.name).collect::<Vec<_>>(), ["md3"]);
        assert_eq!((got.bad_lines, got.first_bad.unwrap().line), (3, 1));
        assert_eq!(parse(b"").value, []);
        assert_eq!(parse(b"Personalities : \nunused devices: <none>\n").value, []);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
