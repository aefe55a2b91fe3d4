//! The Redis list, seen from the worker: read at the left end, cut off when stored.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError};
use serde::Serialize;
use services_kit as kit;
use services_kit::connect::Address;

use crate::ballot::Flaw;

/// The list of votes.
pub const LIST: &str = "votes";
/// How many have ever been cut off it.
pub const TAKEN: &str = "votes:taken";
/// The list of what was no vote.
const REJECTED: &str = "votes:rejected";

/// The last that many are kept there.
const REJECTED_KEPT: isize = 1000;
/// As much of a rejected message as is kept.
const REJECTED_BYTES: usize = 1024;
/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// A batch is full with so many messages,
const BATCH_MESSAGES: usize = 1000;
/// or so many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// Messages are read so many at a time: what a batch may be beyond full when somebody pushes huge ones.
const SLICE: usize = 100;

/// Redis does not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no connection.
    #[error(transparent)]
    Away(#[from] kit::redis::Error),
    /// It did not answer within [`DEADLINE`].
    #[error("redis at {address} gave no answer in {} s", DEADLINE.as_secs())]
    Silent {
        /// Where.
        address: Address,
    },
    /// The connection broke, or it said no.
    #[error("redis at {address}: {source}")]
    Broken {
        /// Where.
        address: Address,
        /// How.
        source: RedisError,
    },
}

/// Messages from the left end of the list, the oldest first.
#[derive(Debug, Default)]
pub struct Batch {
    /// As they lie there.
    pub messages: Vec<Vec<u8>>,
    bytes: usize,
}

impl Batch {
    /// Whether there may be more.
    pub fn is_full(&self) -> bool {
        self.messages.len() >= BATCH_MESSAGES || self.bytes >= BATCH_BYTES
    }
}

/// A message that is no vote.
#[derive(Debug)]
pub struct Rejected {
    /// Why.
    pub flaw: Flaw,
    /// Its length.
    pub bytes: usize,
    entry: String,
}

impl Rejected {
    /// Makes the entry for the list: the reason, and as much of the message as is kept.
    pub fn new(flaw: Flaw, message: &[u8]) -> Self {
        #[derive(Serialize)]
        struct Entry<'a> {
            reason: &'static str,
            bytes: usize,
            message: &'a str,
        }
        let kept = String::from_utf8_lossy(message.get(..REJECTED_BYTES).unwrap_or(message));
        let entry = Entry { reason: flaw.as_str(), bytes: message.len(), message: &kept };
        // Texts and a number can always be written as JSON.
        Self { flaw, bytes: message.len(), entry: serde_json::to_string(&entry).unwrap_or_default() }
    }
}

/// A connection of its own: what it watches is the connection's state.
pub struct Queue {
    commands: MultiplexedConnection,
    address: Address,
}

impl Queue {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Away`].
    pub async fn open(settings: &kit::redis::Settings) -> Result<Self, Error> {
        let commands = kit::redis::dedicated(settings).await?;
        Ok(Self { commands, address: settings.address() })
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.ask::<(String,)>(redis::pipe().cmd("PING")).await.map(drop)
    }

    /// Reads messages and leaves them where they are. From here on the counter of what is cut off is watched.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn peek(&mut self) -> Result<Batch, Error> {
        let mut batch = Batch::default();
        let mut watch = redis::pipe();
        watch.cmd("UNWATCH").ignore().cmd("WATCH").arg(TAKEN).ignore();
        while !batch.is_full() {
            let from = batch.messages.len();
            let slice = watch.cmd("LRANGE").arg(LIST).arg(from).arg(from + SLICE - 1);
            let (messages,): (Vec<Vec<u8>>,) = self.ask(slice).await?;
            let read = messages.len();
            batch.bytes += messages.iter().map(Vec::len).sum::<usize>();
            batch.messages.extend(messages);
            if read < SLICE {
                break;
            }
            watch.clear();
        }
        Ok(batch)
    }

    /// Cuts off as many messages as the last [`Queue::peek`] gave, and keeps those that were rejected elsewhere, all or
    /// nothing. False if somebody else has cut since: then nothing is done.
    ///
    /// # Errors
    /// See [`Error`]; it may have been done all the same.
    pub async fn cut(&mut self, count: usize, rejected: &[Rejected]) -> Result<bool, Error> {
        let mut cut = redis::pipe();
        cut.atomic().cmd("LTRIM").arg(LIST).arg(count).arg(-1).ignore();
        if !rejected.is_empty() {
            let entries: Vec<&str> = rejected.iter().map(|one| one.entry.as_str()).collect();
            cut.cmd("RPUSH").arg(REJECTED).arg(entries).ignore();
            cut.cmd("LTRIM").arg(REJECTED).arg(-REJECTED_KEPT).arg(-1).ignore();
        }
        cut.cmd("INCRBY").arg(TAKEN).arg(count);
        self.ask::<Option<(u64,)>>(&cut).await.map(|done| done.is_some())
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, commands: &Pipeline) -> Result<T, Error> {
        let address = self.address.clone();
        match tokio::time::timeout(DEADLINE, commands.query_async(&mut self.commands)).await {
            Ok(answer) => answer.map_err(|source| Error::Broken { address, source }),
            Err(_) => Err(Error::Silent { address }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_message_is_kept_as_text_and_cut_short() {
        let one = Rejected::new(Flaw::NotJson, b"\xffx\"");
        assert_eq!(one.entry, "{\"reason\":\"not_json\",\"bytes\":3,\"message\":\"\u{fffd}x\\\"\"}");
        let one = Rejected::new(Flaw::TooLong, &[b'x'; 1 << 20]);
        assert_eq!(one.bytes, 1 << 20);
        assert!(one.entry.len() < REJECTED_BYTES + 100);
    }

    async fn queue(redis: &provisioning_parts::Redis) -> Queue {
        let settings =
            kit::redis::Settings { redis_host: "127.0.0.1".to_owned(), redis_port: redis.port, redis_password: None };
        Queue::open(&settings).await.unwrap()
    }

    fn push(redis: &provisioning_parts::Redis, messages: &[&str]) {
        redis.command(&[&["RPUSH", LIST], messages].concat());
    }

    #[tokio::test]
    async fn what_is_read_stays_until_it_is_cut_and_what_comes_meanwhile_stays_too() {
        let redis = provisioning_parts::Redis::start();
        let mut queue = queue(&redis).await;
        assert!(queue.peek().await.unwrap().messages.is_empty());
        push(&redis, &["1", "2"]);
        assert_eq!(queue.peek().await.unwrap().messages, [b"1", b"2"]);
        push(&redis, &["3"]);
        assert_eq!(queue.peek().await.unwrap().messages.len(), 3);
        push(&redis, &["4"]);
        assert!(queue.cut(3, &[Rejected::new(Flaw::NotJson, b"2")]).await.unwrap());
        assert_eq!(redis.command(&["LRANGE", LIST, "0", "-1"]), "4");
        assert_eq!(redis.command(&["GET", TAKEN]), "3");
        assert_eq!(redis.command(&["LLEN", REJECTED]), "1");
    }

    #[tokio::test]
    async fn one_that_slept_while_another_cut_cuts_nothing_and_keeps_nothing() {
        let redis = provisioning_parts::Redis::start();
        let (mut sleeper, mut other) = (queue(&redis).await, queue(&redis).await);
        push(&redis, &["1", "2", "3"]);
        assert_eq!(sleeper.peek().await.unwrap().messages.len(), 3);
        assert_eq!(other.peek().await.unwrap().messages.len(), 3);
        assert!(other.cut(3, &[]).await.unwrap());
        push(&redis, &["4", "5", "6"]);
        assert!(!sleeper.cut(3, &[Rejected::new(Flaw::NotJson, b"1")]).await.unwrap());
        assert_eq!(redis.command(&["LRANGE", LIST, "0", "-1"]), "4\n5\n6");
        assert_eq!(redis.command(&["EXISTS", REJECTED]), "0");
        // It looks again, and goes on.
        assert_eq!(sleeper.peek().await.unwrap().messages.len(), 3);
        assert!(sleeper.cut(3, &[]).await.unwrap());
    }

    #[tokio::test]
    async fn a_batch_has_a_bound_in_messages_and_in_bytes() {
        let redis = provisioning_parts::Redis::start();
        let mut queue = queue(&redis).await;
        redis.command(&["EVAL", "for i = 1, 1500 do redis.call('RPUSH', 'votes', i) end", "0"]);
        let batch = queue.peek().await.unwrap();
        assert_eq!((batch.messages.len(), batch.is_full()), (BATCH_MESSAGES, true));
        assert_eq!(batch.messages.last().unwrap(), b"1000");
        assert!(queue.cut(BATCH_MESSAGES, &[]).await.unwrap());
        let batch = queue.peek().await.unwrap();
        assert_eq!((batch.messages.len(), batch.is_full()), (500, false));
        redis.command(&["DEL", LIST]);
        redis.command(&["EVAL", "for i = 1, 300 do redis.call('RPUSH', 'votes', string.rep('x', 20000)) end", "0"]);
        let batch = queue.peek().await.unwrap();
        assert_eq!((batch.messages.len(), batch.is_full()), (SLICE, true));
    }
}
