//! One connection: lines in, answers out, until the peer ends it or a limit does.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::Settings;
use super::metrics::Metrics;
use super::places::{Leave, Place};
use crate::repr::{strip_end, write_repr};

/// Bytes that are read at once, at most.
const READ: usize = 8 << 10;
/// Answers are sent when there are so many bytes of them, at the latest.
const BATCH: usize = 16 << 10;
/// What a peer may go on to send after its last answer before the connection is reset, and for how long.
const FAREWELL_BYTES: usize = 1 << 20;
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(1);
/// What may have come and not been read when the server ends, and is still answered.
const LAST_BYTES: usize = 256 << 10;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Peer,
    LastLine,
    Broken,
    LineTooLong,
    NoLine,
    SlowReader,
    TooOld,
    MadeRoom,
    Shutdown,
    CutOff,
}

impl Ended {
    pub(super) const ALL: [Self; 10] = [
        Self::Peer,
        Self::LastLine,
        Self::Broken,
        Self::LineTooLong,
        Self::NoLine,
        Self::SlowReader,
        Self::TooOld,
        Self::MadeRoom,
        Self::Shutdown,
        Self::CutOff,
    ];

    /// For the metric.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::LastLine => "last_line",
            Self::Broken => "broken",
            Self::LineTooLong => "line_too_long",
            Self::NoLine => "no_line",
            Self::SlowReader => "slow_reader",
            Self::TooOld => "too_old",
            Self::MadeRoom => "made_room",
            Self::Shutdown => "shutdown",
            Self::CutOff => "cut_off",
        }
    }
}

/// A peer as Python writes its address: `('172.25.125.3', 60392)`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "('{}', {})", self.0.ip().to_canonical(), self.0.port())
    }
}

/// A connection that has a place.
pub(super) struct Connection {
    stream: TcpStream,
    peer: Peer,
    settings: Arc<Settings>,
    metrics: Metrics,
    place: Place,
    told: oneshot::Receiver<Leave>,
    leaving: bool,
    timer: Pin<Box<Sleep>>,
    /// When it is too old.
    end: Instant,
    /// Lines that it may still have.
    lines_left: u64,
    input: BytesMut,
    output: Vec<u8>,
    /// Lines whose answers wait, and when the last of them was read.
    waiting: u64,
    read_at: Instant,
    repr: String,
}

impl Connection {
    pub(super) fn new(
        (stream, peer): (TcpStream, Peer),
        settings: Arc<Settings>,
        metrics: Metrics,
        (place, told): (Place, oneshot::Receiver<Leave>),
    ) -> Self {
        let now = Instant::now();
        let end = now + settings.server_connection_timeout;
        let lines_left = settings.server_lines_per_connection.unwrap_or(u64::MAX);
        Self {
            stream,
            peer,
            settings,
            metrics,
            place,
            told,
            leaving: false,
            timer: Box::pin(sleep_until(now)),
            end,
            lines_left,
            input: BytesMut::new(),
            output: Vec::new(),
            waiting: 0,
            read_at: now,
            repr: String::new(),
        }
    }

    /// Answers until it ends. The connection closes, and its place comes free, when this is dropped.
    pub(super) async fn serve(&mut self) {
        // Both only make a connection better: without them it still works.
        let _ = self.stream.set_nodelay(true);
        let unsent = u32::try_from(self.settings.server_write_timeout.as_millis()).unwrap_or(u32::MAX);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&self.stream, unsent);
        let ended = match self.converse().await {
            Ok(ended) | Err(ended) => ended,
        };
        match ended {
            Ended::LineTooLong => self.refuse().await,
            Ended::LastLine | Ended::TooOld => self.say_farewell().await,
            _ => {}
        }
        self.tell(ended);
        self.metrics.ended(ended);
    }

    async fn converse(&mut self) -> Result<Ended, Ended> {
        let mut line_due = Instant::now() + self.settings.server_line_timeout;
        loop {
            if Instant::now() >= self.end {
                return Err(Ended::TooOld);
            }
            match self.read(line_due.min(self.end)).await {
                Ok(0) => return self.answer_rest(Ended::Peer).await,
                Ok(_) if self.answer_lines().await? => line_due = Instant::now() + self.settings.server_line_timeout,
                Ok(_) => {}
                Err(Waited::TooLong) if self.end <= Instant::now() => return self.answer_rest(Ended::TooOld).await,
                Err(Waited::TooLong) => return self.answer_rest(Ended::NoLine).await,
                Err(Waited::Told(Leave::MakeRoom)) => return Err(Ended::MadeRoom),
                Err(Waited::Told(Leave::Shutdown)) => self.leaving = true,
                Err(Waited::Broken) => return Err(Ended::Broken),
            }
            if self.leaving {
                return self.leave().await;
            }
        }
    }

    /// Reads what is there into the room that the longest line leaves, which is never none.
    async fn read(&mut self, until: Instant) -> Result<usize, Waited> {
        self.timer.as_mut().reset(until);
        let room = (self.settings.line_bytes() + 1).saturating_sub(self.input.len());
        self.input.reserve(room.min(READ));
        let mut input = (&mut self.input).limit(room);
        let read = tokio::select! {
            biased;
            told = &mut self.told => return Err(Waited::told(told)),
            read = self.stream.read_buf(&mut input) => read.map_err(|_| Waited::Broken)?,
            () = self.timer.as_mut() => return Err(Waited::TooLong),
        };
        self.metrics.received.inc_by(read as u64);
        self.read_at = Instant::now();
        Ok(read)
    }

    /// Answers the whole lines that have come; tells whether there were any.
    async fn answer_lines(&mut self) -> Result<bool, Ended> {
        let mut lines = 0;
        while let Some(end) = memchr::memchr(b'\n', &self.input) {
            self.answer(end);
            self.input.advance(end + 1);
            lines += 1;
            if lines == self.lines_left {
                self.send().await?;
                return Err(Ended::LastLine);
            }
            if self.output.len() >= BATCH {
                self.send().await?;
            }
        }
        if lines > 0 {
            self.place.heard(self.read_at);
            self.send().await?;
            self.lines_left -= lines;
        }
        if self.input.len() > self.settings.line_bytes() {
            return Err(Ended::LineTooLong);
        }
        Ok(lines > 0)
    }

    /// Answers what has come of a line that will not be ended, and is done.
    async fn answer_rest(&mut self, ended: Ended) -> Result<Ended, Ended> {
        if !self.input.is_empty() {
            self.answer(self.input.len());
            self.send().await?;
        }
        Ok(ended)
    }

    /// Logs the first `length` bytes, and puts their answer behind those that wait.
    fn answer(&mut self, length: usize) {
        let line = strip_end(self.input.get(..length).unwrap_or_default());
        self.repr.clear();
        write_repr(line, &mut self.repr);
        tracing::info!("Message received from connection {}. Msg: {}", self.peer, self.repr);
        self.output.extend_from_slice(b"Your Message has been received: ");
        self.output.extend_from_slice(self.repr.as_bytes());
        self.output.push(b'\n');
        self.waiting += 1;
    }

    /// Sends the answers that wait.
    async fn send(&mut self) -> Result<(), Ended> {
        self.timer.as_mut().reset(Instant::now() + self.settings.server_write_timeout);
        let mut rest = self.output.as_slice();
        while !rest.is_empty() {
            let written = tokio::select! {
                biased;
                written = self.stream.write(rest) => written.map_err(|_| Ended::Broken)?,
                told = &mut self.told, if !self.leaving => match Waited::told(told) {
                    // The answers still go out; who has to wait too long for that is cut off.
                    Waited::Told(Leave::Shutdown) => {
                        self.leaving = true;
                        continue;
                    }
                    _ => return Err(Ended::MadeRoom),
                },
                () = self.timer.as_mut() => return Err(Ended::SlowReader),
            };
            self.metrics.sent.inc_by(written as u64);
            rest = rest.get(written..).unwrap_or_default();
        }
        self.output.clear();
        let seconds = self.read_at.elapsed().as_secs_f64();
        (0..self.waiting).for_each(|_| self.metrics.durations.observe(seconds));
        self.metrics.lines.inc_by(self.waiting);
        self.waiting = 0;
        Ok(())
    }

    /// Answers what has come by now, a line without end as it stands.
    async fn leave(&mut self) -> Result<Ended, Ended> {
        let mut read = 0;
        while read < LAST_BYTES {
            let room = (self.settings.line_bytes() + 1).saturating_sub(self.input.len());
            self.input.reserve(room.min(READ));
            match self.stream.try_read_buf(&mut (&mut self.input).limit(room)) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Err(Ended::Broken),
            }
            self.answer_lines().await?;
        }
        self.answer_rest(Ended::Shutdown).await
    }

    /// Tells the peer that its line is too long.
    async fn refuse(&mut self) {
        let refusal = format!("Your Message has been refused: longer than {} bytes\n", self.settings.line_bytes());
        self.output = refusal.into_bytes();
        if self.send().await.is_ok() {
            self.say_farewell().await;
        }
    }

    /// Ends the answers, and lets the peer take them in before the connection closes: closed with data unread, the
    /// system would take them back.
    async fn say_farewell(&mut self) {
        if self.stream.shutdown().await.is_err() || self.leaving {
            return;
        }
        let drained = async {
            let mut rest = FAREWELL_BYTES;
            while rest > 0 {
                self.input.clear();
                self.input.reserve(READ);
                match self.stream.read_buf(&mut self.input).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => rest = rest.saturating_sub(read),
                }
            }
        };
        tokio::select! {
            _ = timeout(FAREWELL, drained) => {}
            _ = &mut self.told => {}
        }
    }

    /// Logs the end where it was not the peer's own doing.
    fn tell(&self, ended: Ended) {
        let (peer, settings) = (self.peer, &self.settings);
        match ended {
            Ended::Peer => tracing::debug!("Connection with {peer} closed: the peer ended it"),
            Ended::LastLine => tracing::debug!("Connection with {peer} closed: its last line is answered"),
            Ended::Broken => tracing::debug!("Connection with {peer} closed: it broke"),
            Ended::LineTooLong => {
                let bytes = settings.line_bytes();
                tracing::warn!("Connection with {peer} closed: a line longer than {bytes} bytes");
            }
            Ended::NoLine => {
                let limit = settings.server_line_timeout;
                tracing::warn!("Connection with {peer} closed: no whole line in {limit:?}");
            }
            Ended::SlowReader => {
                let limit = settings.server_write_timeout;
                tracing::warn!("Connection with {peer} closed: answers not taken in {limit:?}");
            }
            Ended::TooOld => {
                let limit = settings.server_connection_timeout;
                tracing::warn!("Connection with {peer} closed: open for {limit:?}");
            }
            Ended::MadeRoom => tracing::warn!("Connection with {peer} closed: silent, and another needs its place"),
            Ended::Shutdown => tracing::info!("Connection with {peer} closed"),
            Ended::CutOff => tracing::warn!("Connection with {peer} cut off"),
        }
    }
}

/// Why there is nothing to read.
enum Waited {
    TooLong,
    Broken,
    Told(Leave),
}

impl Waited {
    /// Places that are gone tell no more: the server ends.
    fn told(told: Result<Leave, oneshot::error::RecvError>) -> Self {
        Self::Told(told.unwrap_or(Leave::Shutdown))
    }
}
