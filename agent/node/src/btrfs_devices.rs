//! What btrfs says about its devices: three calls of `ioctl(2)` from `linux/btrfs.h`. They need no right but to open
//! the mount point.

use std::fs::File;
use std::path::Path;

use rustix::io::Errno;
use rustix::ioctl::{Updater, ioctl, opcode};

/// A device of a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// Such as `sda1`.
    pub(crate) name: String,
    /// As sysfs writes it.
    pub(crate) uuid: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// How much of it is given to block groups, in bytes.
    pub(crate) used: u64,
    /// Errors of writing, reading, flushing, of content, and of generation.
    pub(crate) errors: [u64; 5],
}

/// The UUID of the file system at a mount point, as sysfs writes it, and its devices. `None` where
/// it cannot be asked.
pub(crate) fn devices(mount_point: &Path) -> Option<(String, Vec<Device>)> {
    let directory = File::open(mount_point).ok()?;
    let info = filesystem(&directory).ok()?;
    let [most, count, first, second, ..] = info;
    let mut devices = Vec::new();
    // Numbers begin anywhere and have gaps.
    for number in (0..=most).take(MOST_NUMBERS) {
        if devices.len() as u64 >= count {
            break;
        }
        match device(&directory, number) {
            Ok(device) => devices.push(device),
            Err(Errno::NODEV) => {}
            Err(_) => return None,
        }
    }
    Some((uuid([first, second]), devices))
}

/// A file system that has had more devices than this is not looked through.
const MOST_NUMBERS: usize = 4096;

fn device(directory: &File, number: u64) -> Result<Device, Errno> {
    let info = device_info(directory, number)?;
    let [_, first, second, used, size, ..] = info;
    let path: Vec<u8> = info.iter().skip(PATH_AT).flat_map(|word| word.to_ne_bytes()).take_while(|b| *b != 0).collect();
    let path = String::from_utf8_lossy(&path).into_owned();
    let [_, _, _, errors @ .., _] = device_errors(directory, number)?;
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(Device { name, uuid: uuid([first, second]), size, used, errors })
}

/// A UUID as sysfs writes it.
fn uuid(words: [u64; 2]) -> String {
    let bytes = words.iter().flat_map(|word| word.to_ne_bytes());
    let dash = |at| if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
    bytes.enumerate().map(|(at, byte)| format!("{}{byte:02x}", dash(at))).collect()
}

const BTRFS: u8 = 0x94;

/// `struct btrfs_ioctl_fs_info_args`: the highest number of a device, how many there are, the UUID, and more.
type FilesystemInfo = [u64; 128];

/// `struct btrfs_ioctl_dev_info_args`: number, UUID, bytes used, size, and the path in its last kilobyte.
type DeviceInfo = [u64; 512];
const PATH_AT: usize = 384;

/// `struct btrfs_ioctl_get_dev_stats`: number, how many values are asked for, flags, the values, and room for more.
type DeviceStats = [u64; 129];

#[expect(unsafe_code, reason = "no crate that we have wraps this ioctl, and nothing else says this")]
fn filesystem(directory: &File) -> Result<FilesystemInfo, Errno> {
    let mut info: FilesystemInfo = [0; 128];
    // SAFETY: the number has the size of the structure in it, which the kernel fills in, and any bits are numbers.
    unsafe { ioctl(directory, Updater::<{ opcode::read::<FilesystemInfo>(BTRFS, 31) }, _>::new(&mut info)) }?;
    Ok(info)
}

#[expect(unsafe_code, reason = "no crate that we have wraps this ioctl, and nothing else says this")]
fn device_info(directory: &File, number: u64) -> Result<DeviceInfo, Errno> {
    let mut info: DeviceInfo = [0; 512];
    if let Some(slot) = info.first_mut() {
        *slot = number;
    }
    // SAFETY: as above. The UUID of zeros means that the number counts.
    unsafe { ioctl(directory, Updater::<{ opcode::read_write::<DeviceInfo>(BTRFS, 30) }, _>::new(&mut info)) }?;
    Ok(info)
}

#[expect(unsafe_code, reason = "no crate that we have wraps this ioctl, and nothing else says this")]
fn device_errors(directory: &File, number: u64) -> Result<[u64; 9], Errno> {
    const VALUES: u64 = 5;
    let mut stats: DeviceStats = [0; 129];
    for (slot, value) in stats.iter_mut().zip([number, VALUES]) {
        *slot = value;
    }
    // SAFETY: as above. Without a flag nothing is reset.
    unsafe { ioctl(directory, Updater::<{ opcode::read_write::<DeviceStats>(BTRFS, 52) }, _>::new(&mut stats)) }?;
    Ok(stats.first_chunk().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_as_sysfs_writes_them() {
        let bytes: [u8; 16] = std::array::from_fn(|at| at as u8 * 17);
        let (words, _) = bytes.as_chunks::<8>();
        let words = [u64::from_ne_bytes(words[0]), u64::from_ne_bytes(words[1])];
        assert_eq!(uuid(words), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn another_file_system_is_not_asked() {
        assert_eq!(devices(Path::new("/proc")), None);
        assert_eq!(devices(Path::new("/nonexistent")), None);
    }
}
