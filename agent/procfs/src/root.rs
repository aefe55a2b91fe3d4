//! Where the kernel's files are, and the one place that reads them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec};

/// The four trees an agent reads. Tests point them at fixtures; a container points them at the host's mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// `--path.procfs`
    pub procfs: PathBuf,
    /// `--path.sysfs`
    pub sysfs: PathBuf,
    /// `--path.rootfs`
    pub rootfs: PathBuf,
    /// `--path.udev.data`
    pub udev_data: PathBuf,
}

impl Default for Root {
    fn default() -> Self {
        Self { procfs: "/proc".into(), sysfs: "/sys".into(), rootfs: "/".into(), udev_data: "/run/udev/data".into() }
    }
}

/// A kernel file could not be read or understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Opening or reading failed.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The content was not what the kernel documents.
    #[error("cannot understand {}, line {line}: {reason}", path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What was found and what was expected.
        reason: String,
    },
}

impl Error {
    /// Whether the file simply is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl Root {
    /// A path below `--path.procfs`.
    pub fn proc(&self, path: impl AsRef<Path>) -> PathBuf {
        self.procfs.join(path)
    }

    /// A path below `--path.sysfs`.
    pub fn sys(&self, path: impl AsRef<Path>) -> PathBuf {
        self.sysfs.join(path)
    }

    /// Reads a whole file into `buffer`, which is cleared first.
    ///
    /// # Errors
    /// [`Error::Read`] with the path.
    pub fn read_into(&self, path: &Path, buffer: &mut Vec<u8>) -> Result<(), Error> {
        buffer.clear();
        File::open(path)
            .and_then(|file| file.take(LARGEST as u64 + 1).read_to_end(buffer))
            .and_then(|length| if length > LARGEST { Err(too_large()) } else { Ok(()) })
            .map_err(|source| Error::Read { path: path.to_owned(), source })
    }
}

/// No kernel file that is read here comes near this; a path that leads to a device of endless zeros does.
const LARGEST: usize = 64 << 20;

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "file is larger than 64 MiB")
}

/// A file that is read again and again, with a buffer of its own.
///
/// A file of the kernel's (procfs, sysfs, cgroup) is kept open, and every read begins at its start: that saves the
/// walk along the path and asks the kernel for fresh content all the same. Any other file, such as a fixture, may be
/// replaced by another of the same name, so it is opened each time.
#[derive(Debug)]
pub struct CachedFile {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    /// The longest line, if it is known.
    longest_line: Option<usize>,
}

/// The kernel prints files of lines into a buffer of at least this size (one page), and gives what is in it.
const PRINTED: usize = 4096;
/// More than a line has in most of the kernel's files. It may be said of any that the kernel makes as a whole, too.
pub const SHORT_LINE: usize = 512;

/// Whether no line can follow in one of the kernel's files whose lines have at most `longest` bytes, when it gave `read`
/// bytes to one that had room for `room`: another line would have fitted in.
pub fn is_end_of_lines(read: usize, room: usize, longest: usize) -> bool {
    read + longest < room.min(PRINTED)
}

impl CachedFile {
    /// Touches nothing until it is read.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), file: None, buffer: Vec::new(), longest_line: None }
    }

    /// The same for a file of the kernel's whose lines have at most so many bytes. Where it gives so few that another
    /// line would have fitted in, there is none, and that saves the question for more. That matters where the kernel
    /// begins its search anew for each question, as it does for sockets.
    #[must_use]
    pub fn with_lines_of(self, longest: usize) -> Self {
        Self { longest_line: Some(longest), ..self }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the kernel says that it is still as it was when it was last read. Only of a list of mounts, which it lets
    /// one wait for; it says nothing where a file system turned read-only by itself, or through another list.
    pub fn is_unchanged(&self) -> bool {
        let Some(file) = &self.file else { return false };
        let mut files = [PollFd::new(file, PollFlags::PRI)];
        rustix::event::poll(&mut files, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(0)
    }

    /// What it says now.
    ///
    /// # Errors
    /// [`Error::Read`] with the path. A descriptor that does not work any more is opened again first.
    pub fn read(&mut self) -> Result<&[u8], Error> {
        let result = match self.file.take() {
            Some(file) => self.read_from(file).or_else(|_| self.open_and_read()),
            None => self.open_and_read(),
        };
        match result {
            Ok(()) => Ok(&self.buffer),
            Err(source) => Err(Error::Read { path: self.path.clone(), source }),
        }
    }

    fn open_and_read(&mut self) -> io::Result<()> {
        self.read_from(File::open(&self.path)?)?;
        if self.file.as_ref().is_some_and(|file| !is_the_kernels(file)) {
            self.file = None;
        }
        Ok(())
    }

    /// Reads to the end: a short read is no sign of the end in these file systems. Keeps the file on success.
    fn read_from(&mut self, file: File) -> io::Result<()> {
        let mut length = 0;
        let least = if self.longest_line.is_some() { PRINTED } else { 512 };
        self.buffer.resize(self.buffer.capacity().max(least), 0);
        loop {
            let free = self.buffer.get_mut(length..).unwrap_or_default();
            let room = free.len();
            match file.read_at(free, length as u64) {
                Ok(0) => break,
                Ok(read) => {
                    length += read;
                    if self.longest_line.is_some_and(|longest| is_end_of_lines(read, room, longest)) {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if length > LARGEST {
                return Err(too_large());
            }
            if self.buffer.len() - length < 256 {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        self.buffer.truncate(length);
        self.file = Some(file);
        Ok(())
    }
}

/// The longest content of an attribute in sysfs: one page.
pub const ATTRIBUTE: usize = 4096;

/// A file with a single value, of which sysfs has thousands. The kernel gives all of it to one call, so there is no
/// second one to look for the end, and a driver that fails for good costs one call as well.
#[derive(Debug)]
pub struct AttributeFile {
    path: Box<Path>,
    file: Option<File>,
}

impl AttributeFile {
    /// Touches nothing until it is read.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().into(), file: None }
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// What it says now, up to one page, without white space around it. A kernel file stays open for the next time if
    /// `keep` allows it; any other file is opened each time.
    ///
    /// # Errors
    /// Why it cannot be read. A file whose device is gone is opened again first: another one may have its place.
    pub fn read<'a>(&mut self, buffer: &'a mut [u8; ATTRIBUTE], keep: bool) -> io::Result<&'a [u8]> {
        let is_gone = |error: &io::Error| error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error());
        let length = match self.file.as_ref().map(|file| file.read_at(buffer, 0)) {
            Some(Err(error)) if is_gone(&error) => self.open_and_read(buffer, keep),
            Some(result) => result,
            None => self.open_and_read(buffer, keep),
        }?;
        Ok(buffer.get(..length).unwrap_or_default().trim_ascii())
    }

    fn open_and_read(&mut self, buffer: &mut [u8; ATTRIBUTE], keep: bool) -> io::Result<usize> {
        self.file = None;
        let file = File::open(&self.path)?;
        let result = file.read_at(buffer, 0);
        if keep && is_the_kernels(&file) {
            self.file = Some(file);
        }
        result
    }
}

/// Whether the file is on procfs, sysfs or cgroupfs, by the magic numbers of `linux/magic.h`.
fn is_the_kernels(file: &File) -> bool {
    const MAGIC: [u32; 4] = [0x9fa0, 0x6265_6572, 0x0027_e0eb, 0x6367_7270];
    rustix::fs::fstatfs(file).is_ok_and(|fs| MAGIC.contains(&(fs.f_type as u32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_file_is_kept_open_and_gives_fresh_content() {
        let mut file = CachedFile::new("/proc/self/comm");
        let first = file.read().unwrap().to_vec();
        assert!(file.file.is_some());
        assert_eq!(file.read().unwrap(), first);
        std::fs::write("/proc/self/comm", "renamed").unwrap();
        let renamed = std::fs::read("/proc/self/comm").unwrap();
        assert_eq!(file.read().unwrap(), renamed);
    }

    #[test]
    fn another_file_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("stat");
        let mut file = CachedFile::new(&path);
        assert!(file.read().unwrap_err().is_not_found());
        std::fs::write(&path, "one").unwrap();
        assert_eq!(file.read().unwrap(), b"one");
        std::fs::write(directory.path().join("new"), "another").unwrap();
        std::fs::rename(directory.path().join("new"), &path).unwrap();
        assert_eq!(file.read().unwrap(), b"another");
        std::fs::remove_file(&path).unwrap();
        assert!(file.read().unwrap_err().is_not_found());
    }

    #[test]
    fn long_and_short_content_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("long");
        let mut file = CachedFile::new(&path);
        for length in [0, 1, 255, 256, 511, 512, 513, 70_000, 3] {
            let content: Vec<u8> = (0..length).map(|i: u32| i.to_le_bytes()[0]).collect();
            std::fs::write(&path, &content).unwrap();
            assert_eq!(file.read().unwrap(), content);
        }
    }

    #[test]
    fn a_file_of_short_lines_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lines");
        let mut file = CachedFile::new(&path).with_lines_of(80);
        for length in [0, 1, 4000, 4016, 4017, 4096, 9000, 100] {
            let content = vec![b'x'; length];
            std::fs::write(&path, &content).unwrap();
            assert_eq!(file.read().unwrap(), content, "{length}");
        }
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = format!("0100007F:{:04X}", socket.local_addr().unwrap().port());
        let mut file = CachedFile::new("/proc/net/udp").with_lines_of(256);
        for _ in 0..2 {
            assert!(String::from_utf8_lossy(file.read().unwrap()).contains(&port));
        }
    }

    #[test]
    fn an_endless_file_is_an_error() {
        let error = CachedFile::new("/dev/zero").read().unwrap_err();
        assert!(matches!(error, Error::Read { source, .. } if source.kind() == io::ErrorKind::FileTooLarge));
        let mut buffer = Vec::new();
        assert!(Root::default().read_into(Path::new("/dev/zero"), &mut buffer).is_err());
    }

    #[test]
    fn an_attribute_is_one_value() {
        let mut buffer = [0; ATTRIBUTE];
        let mut kernels = AttributeFile::new("/proc/sys/kernel/ostype");
        for _ in 0..2 {
            assert_eq!(kernels.read(&mut buffer, true).unwrap(), b"Linux");
            assert!(kernels.is_open());
        }
        let mut closed = AttributeFile::new("/proc/sys/kernel/ostype");
        assert_eq!(closed.read(&mut buffer, false).unwrap(), b"Linux");
        assert!(!closed.is_open());

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("temp1_input");
        let mut other = AttributeFile::new(&path);
        assert_eq!(other.read(&mut buffer, true).unwrap_err().kind(), io::ErrorKind::NotFound);
        for (content, want) in [("42\n", "42".len()), ("", 0), (&"x".repeat(5000), ATTRIBUTE)] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(other.read(&mut buffer, true).unwrap().len(), want);
        }
        assert!(!other.is_open());
    }

    #[test]
    fn a_directory_is_an_error() {
        assert!(CachedFile::new("/proc").read().is_err());
    }
}
