//! Keeps records in a file that several processes share, by threads of its own: SQLite blocks.

mod database;
mod error;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

pub use database::Page;
use database::{Database, Failed};
pub use error::Error;

use crate::metrics::{Metrics, Operation};
use crate::record::Record;

/// The file within the folder.
const FILE: &str = "registry.sqlite";
/// Inserts that may wait; a record is at most 64 KiB long.
const QUEUE: usize = 512;
/// Inserts that go into one transaction, and so share its two waits for the disk.
const TOGETHER: usize = 128;
/// After each transaction the file is left alone for so long, for the other processes that wait for it.
const TURN: Duration = Duration::from_millis(1);
/// Threads that read.
const READERS: usize = 2;
/// Reads that may wait.
const READS: usize = 64;
/// How long a request waits for the store: longer than the store waits twice for another process, so that who is
/// turned away for that knows that nothing was kept.
const ANSWER: Duration = Duration::from_secs(8);

type Answer<T> = Result<T, Arc<Error>>;

enum Write {
    Insert(Record, oneshot::Sender<Answer<()>>),
    /// Only takes the lock.
    Probe(oneshot::Sender<Answer<()>>),
}

type Read = Box<dyn FnOnce(&Database) + Send>;

/// The store, for many tasks.
#[derive(Clone)]
pub struct Store {
    path: Arc<Path>,
    writes: mpsc::Sender<Write>,
    reads: mpsc::Sender<Read>,
    metrics: Metrics,
}

impl Store {
    /// Opens the store in a folder, which is made if it is missing.
    ///
    /// # Errors
    /// Folder or file cannot be used; see [`Error`].
    pub fn open(folder: &Path, metrics: Metrics) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).map_err(|source| Error::Folder { path: folder.to_owned(), source })?;
        let path: Arc<Path> = folder.join(FILE).into();
        let database = Database::open(&path)?;
        let newest = database.newest().map_err(|error| error.at(&path))?;
        metrics.records(newest);
        let (writes, queue) = mpsc::channel(QUEUE);
        let writer = Writer { path: path.clone(), database, metrics: metrics.clone() };
        std::thread::spawn(move || writer.run(queue));
        let (reads, queue) = mpsc::channel::<Read>(READS);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..READERS {
            let (database, queue) = (Database::join(&path)?, queue.clone());
            std::thread::spawn(move || {
                // Waiting in the lock is as good as waiting in the queue.
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                while let Some(read) = next() {
                    read(&database);
                }
            });
        }
        Ok(Self { path, writes, reads, metrics })
    }

    /// Appends a record; it is on the disk when this returns.
    ///
    /// # Errors
    /// It is not kept, apart from [`Error::Slow`]: then that is not known.
    pub async fn insert(&self, record: Record) -> Answer<()> {
        self.write(|answer| Write::Insert(record, answer)).await
    }

    /// Whether the store can be written to and read, as far as can be seen without doing it.
    ///
    /// # Errors
    /// What an insert or a read would get.
    pub async fn probe(&self) -> Answer<()> {
        self.write(Write::Probe).await?;
        self.newest().await.map(drop)
    }

    /// The number of the newest record, which is how many there are.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn newest(&self) -> Answer<i64> {
        let newest = self.read(Database::newest).await?;
        self.metrics.records(newest);
        Ok(newest)
    }

    /// The records after one number up to another, as many as fit into about so many bytes, and at least one.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn page(&self, after: i64, until: i64, bytes: usize) -> Answer<Page> {
        self.read(move |database| database.page(after, until, bytes)).await
    }

    /// The newest records with their numbers, the newest first.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn recent(&self, count: u32) -> Answer<Vec<(i64, String)>> {
        self.read(move |database| database.recent(count)).await
    }

    /// The newest record of a container.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn latest_of(&self, container: String) -> Answer<Option<String>> {
        self.read(move |database| database.latest_of(&container)).await
    }

    async fn write(&self, write: impl FnOnce(oneshot::Sender<Answer<()>>) -> Write) -> Answer<()> {
        let (answer, answered) = oneshot::channel();
        self.writes.try_send(write(answer)).map_err(|error| Arc::new(turned_away(&error)))?;
        wait(answered).await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, Failed> + Send + 'static,
    ) -> Answer<T> {
        let (answer, answered) = oneshot::channel();
        let (path, metrics) = (self.path.clone(), self.metrics.clone());
        let task: Read = Box::new(move |database| {
            // Who asked may have gone since.
            if !answer.is_closed() {
                let since = Instant::now();
                let got = read(database).map_err(|error| Arc::new(error.at(&path)));
                metrics.took(Operation::Read, since.elapsed());
                let _ = answer.send(got);
            }
        });
        self.reads.try_send(task).map_err(|error| Arc::new(turned_away(&error)))?;
        wait(answered).await
    }
}

fn turned_away<T>(error: &mpsc::error::TrySendError<T>) -> Error {
    match error {
        mpsc::error::TrySendError::Full(_) => Error::TooMany,
        mpsc::error::TrySendError::Closed(_) => Error::Ended,
    }
}

async fn wait<T>(answered: oneshot::Receiver<Answer<T>>) -> Answer<T> {
    match tokio::time::timeout(ANSWER, answered).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(Arc::new(Error::Ended)),
        Err(_) => Err(Arc::new(Error::Slow { seconds: ANSWER.as_secs() })),
    }
}

/// The thread that writes.
struct Writer {
    path: Arc<Path>,
    database: Database,
    metrics: Metrics,
}

impl Writer {
    /// Until the last handle of the store is gone.
    fn run(mut self, mut queue: mpsc::Receiver<Write>) {
        let (mut records, mut answers) = (Vec::new(), Vec::new());
        while let Some(first) = queue.blocking_recv() {
            let mut next = Some(first);
            while let Some(write) = next {
                match write {
                    // Nobody waits for it any more: it is not kept, as far as anyone knows.
                    Write::Insert(_, answer) if answer.is_closed() => self.metrics.abandoned(),
                    Write::Insert(record, answer) => {
                        records.push(record);
                        answers.push(answer);
                    }
                    Write::Probe(answer) => {
                        let _ = answer.send(self.database.probe().map_err(|error| Arc::new(error.at(&self.path))));
                    }
                }
                next = if records.len() < TOGETHER { queue.try_recv().ok() } else { None };
            }
            if !records.is_empty() {
                let stored = self.store(&records);
                records.clear();
                for answer in answers.drain(..) {
                    let _ = answer.send(stored.clone());
                }
                std::thread::sleep(TURN);
            }
            self.metrics.waiting(queue.len());
        }
    }

    fn store(&mut self, records: &[Record]) -> Answer<()> {
        let since = Instant::now();
        let newest = self.database.insert(records).map_err(|error| Arc::new(error.at(&self.path)))?;
        self.metrics.took(Operation::Insert, since.elapsed());
        self.metrics.inserted(records.len(), newest);
        Ok(())
    }
}
