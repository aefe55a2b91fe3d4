//! A disk in memory that can be filled up, broken after so many writes, and copied as a crash would leave it.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use collector_tsdb::{Disk, DiskFile};

type Bytes = Arc<Mutex<Vec<u8>>>;

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, Bytes>,
    /// Writes that still succeed; `None` for all of them.
    writes_left: Option<u64>,
    /// What cannot be opened.
    refused: Option<PathBuf>,
}

#[derive(Clone, Default)]
pub struct FakeDisk {
    state: Arc<Mutex<State>>,
    locked: Arc<AtomicBool>,
}

fn full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

impl FakeDisk {
    /// From now on so many writes succeed; the next one is written by half and fails, and those after it fail.
    pub fn fail_after(&self, writes: u64) {
        self.state.lock().unwrap().writes_left = Some(writes);
    }

    pub fn heal(&self) {
        self.state.lock().unwrap().writes_left = None;
    }

    /// From now on this file cannot be opened.
    pub fn refuse(&self, path: &Path) {
        self.state.lock().unwrap().refused = Some(path.to_owned());
    }

    /// A copy as the death of the process leaves it: what was written is there, the lock is not.
    pub fn image(&self) -> Self {
        let state = self.state.lock().unwrap();
        let files =
            state.files.iter().map(|(p, b)| (p.clone(), Arc::new(Mutex::new(b.lock().unwrap().clone())))).collect();
        Self { state: Arc::new(Mutex::new(State { files, ..State::default() })), locked: Arc::default() }
    }

    pub fn paths(&self, ending: &str) -> Vec<PathBuf> {
        let state = self.state.lock().unwrap();
        state.files.keys().filter(|p| p.to_str().unwrap().ends_with(ending)).cloned().collect()
    }

    pub fn edit(&self, path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
        let bytes = Arc::clone(&self.state.lock().unwrap().files[path]);
        edit(&mut bytes.lock().unwrap());
    }

    pub fn bytes(&self, path: &Path) -> Vec<u8> {
        self.state.lock().unwrap().files[path].lock().unwrap().clone()
    }

    fn find(&self, path: &Path) -> io::Result<Bytes> {
        self.state.lock().unwrap().files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// How much of a write of `len` bytes goes through, and whether it succeeds.
    fn grant(&self, len: usize) -> (usize, bool) {
        match &mut self.state.lock().unwrap().writes_left {
            None => (len, true),
            Some(0) => (0, false),
            Some(left) => {
                *left -= 1;
                if *left == 0 { (len / 2, false) } else { (len, true) }
            }
        }
    }
}

impl Disk for FakeDisk {
    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock().unwrap();
        let inside = state.files.keys().filter(|p| p.parent() == Some(dir));
        Ok(inside.map(|p| p.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        if !self.grant(0).1 {
            return Err(full());
        }
        let bytes = Bytes::default();
        self.state.lock().unwrap().files.insert(path.to_owned(), Arc::clone(&bytes));
        Ok(Arc::new(FakeFile { disk: self.clone(), bytes }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        if self.state.lock().unwrap().refused.as_deref() == Some(path) {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        Ok(Arc::new(FakeFile { disk: self.clone(), bytes: self.find(path)? }))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.find(path)?.lock().unwrap().truncate(len as usize);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.grant(0).1 {
            return Err(full());
        }
        let bytes = self.find(from)?;
        let mut state = self.state.lock().unwrap();
        state.files.remove(from);
        state.files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.find(path)?;
        self.state.lock().unwrap().files.remove(path);
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        if self.locked.swap(true, Ordering::SeqCst) {
            return Ok(None);
        }
        Ok(Some(Box::new(Unlock(Arc::clone(&self.locked)))))
    }
}

struct Unlock(Arc<AtomicBool>);

impl Drop for Unlock {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

struct FakeFile {
    disk: FakeDisk,
    bytes: Bytes,
}

impl DiskFile for FakeFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes.lock().unwrap();
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, new: &[u8], offset: u64) -> io::Result<()> {
        let (len, good) = self.disk.grant(new.len());
        let mut bytes = self.bytes.lock().unwrap();
        let end = offset as usize + len;
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset as usize..end].copy_from_slice(&new[..len]);
        if good { Ok(()) } else { Err(full()) }
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }
}
