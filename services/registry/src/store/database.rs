//! The file of records: SQLite, safe for several processes on one kernel that share it.
//!
//! A rollback journal and not a write-ahead log: the log's index is shared memory, which processes on several hosts do
//! not share. The journal is ended by truncation, since SQLite then has that on the disk before a commit returns; an
//! unlinked one may come back after a loss of power, and takes the last commit with it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::error::{Error, from_sqlite};
use crate::record::Record;

/// Marks the file as ours ("Atal"), in SQLite's header.
const APPLICATION: i32 = 0x4174_616c;
/// The form of the tables below.
const VERSION: i32 = 1;
/// `number` counts from 1 in the order of commits and is never given out twice, so that a reader who asks for what
/// comes after a number misses nothing.
const TABLES: &str = "
    CREATE TABLE record (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        container TEXT,
        text TEXT NOT NULL
    );
    CREATE INDEX record_of_container ON record (container, number) WHERE container IS NOT NULL;
";
/// How often to look whether another process has let go of the file, and how often at most: 3 s in all.
const BUSY_PAUSE: Duration = Duration::from_millis(2);
const BUSY_TRIES: i32 = 1500;

/// One connection to the file.
pub struct Database {
    connection: Connection,
}

/// Some records in order.
#[derive(Debug, Default)]
pub struct Page {
    /// Their texts with a comma and a line's end between them.
    pub text: String,
    /// How many they are.
    pub count: u64,
    /// The number of the last one.
    pub last: i64,
}

impl Database {
    /// Opens the file, makes its tables if it is new, and reads it once: damage shows now and not in an answer.
    ///
    /// # Errors
    /// It cannot be opened, is something else, or is damaged.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut database = Self::join(path)?;
        database.settle(path)?;
        database.count().map_err(|error| Error::Open { path: path.to_owned(), source: error.0 })?;
        Ok(database)
    }

    /// Opens the file once more.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn join(path: &Path) -> Result<Self, Error> {
        let connect = || {
            let mut connection = Connection::open(path)?;
            connection.busy_handler(Some(|tries| {
                std::thread::sleep(BUSY_PAUSE);
                tries < BUSY_TRIES
            }))?;
            connection.pragma_update_and_check(None, "journal_mode", "TRUNCATE", |_| Ok(()))?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            Ok(Self { connection })
        };
        connect().map_err(|source| Error::Open { path: path.to_owned(), source })
    }

    /// Sees that the file is ours, or makes it so if it is empty. One process at a time.
    fn settle(&mut self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::Open { path: path.to_owned(), source };
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let number = |sql| begun.query_row(sql, [], |row| row.get::<_, i32>(0)).map_err(failed);
        let application = number("PRAGMA application_id")?;
        let version = number("PRAGMA user_version")?;
        match (application, version, number("SELECT count(*) FROM sqlite_schema")?) {
            (0, 0, 0) => {
                begun.execute_batch(TABLES).map_err(failed)?;
                begun.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
                begun.pragma_update(None, "user_version", VERSION).map_err(failed)?;
            }
            (APPLICATION, VERSION, _) => {}
            (APPLICATION, version, _) => return Err(Error::Version { path: path.to_owned(), version, want: VERSION }),
            _ => return Err(Error::Foreign { path: path.to_owned() }),
        }
        begun.commit().map_err(failed)
    }

    /// Appends the records in one transaction; gives the number of the last.
    pub fn insert(&mut self, records: &[Record]) -> Result<i64, Failed> {
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = begun.prepare("INSERT INTO record (container, text) VALUES (?1, ?2)")?;
            for record in records {
                insert.execute(params![record.id, record.text])?;
            }
        }
        let last = begun.last_insert_rowid();
        begun.commit()?;
        Ok(last)
    }

    /// Takes the lock that an insert needs, and lets go of it.
    pub fn probe(&mut self) -> Result<(), Failed> {
        Ok(self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?.rollback()?)
    }

    /// How many records there are.
    pub fn count(&self) -> Result<i64, Failed> {
        Ok(self.connection.query_row("SELECT count(*) FROM record NOT INDEXED", [], |row| row.get(0))?)
    }

    /// The number of the newest record, which is how many there are: none is ever removed. 0 if there is none.
    pub fn newest(&self) -> Result<i64, Failed> {
        let newest = "SELECT coalesce(max(number), 0) FROM record";
        Ok(self.connection.prepare(newest)?.query_row([], |row| row.get(0))?)
    }

    /// The records after one number up to another, as many as fit into about so many bytes, and at least one.
    pub fn page(&self, after: i64, until: i64, bytes: usize) -> Result<Page, Failed> {
        let select = "SELECT number, text FROM record WHERE number > ?1 AND number <= ?2 ORDER BY number";
        let mut select = self.connection.prepare(select)?;
        let mut rows = select.query(params![after, until])?;
        let mut page = Page { last: after, ..Page::default() };
        while let Some(row) = rows.next()? {
            if page.count > 0 {
                page.text.push_str(",\n");
            }
            page.text.push_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
            page.last = row.get(0)?;
            page.count += 1;
            if page.text.len() >= bytes {
                break;
            }
        }
        Ok(page)
    }

    /// The newest records, the newest first.
    pub fn recent(&self, count: u32) -> Result<Vec<(i64, String)>, Failed> {
        let select = "SELECT number, text FROM record ORDER BY number DESC LIMIT ?1";
        let mut select = self.connection.prepare(select)?;
        let rows = select.query_map([count], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest record of a container.
    pub fn latest_of(&self, container: &str) -> Result<Option<String>, Failed> {
        let select = "SELECT text FROM record WHERE container = ?1 ORDER BY number DESC LIMIT 1";
        let mut select = self.connection.prepare(select)?;
        Ok(select.query_row([container], |row| row.get(0)).optional()?)
    }
}

/// What SQLite says to a single operation. Without the path, which only the store knows.
pub struct Failed(pub rusqlite::Error);

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self(error)
    }
}

impl Failed {
    /// With the file that it is about.
    pub fn at(self, path: &Path) -> Error {
        from_sqlite(self.0, path)
    }
}
