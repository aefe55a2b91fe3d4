//! Lines of the log on their way out. Who logs never waits for who reads: what finds no room is dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait; as many again may be on their way.
const ROOM: usize = 4 << 20;
/// How long lines are gathered before they are written together.
const GATHER: Duration = Duration::from_millis(5);
/// How long the last lines may take to be written.
const GRACE: Duration = Duration::from_millis(100);

/// Takes whole lines. Clones are the same queue.
#[derive(Clone)]
pub struct Queue {
    shared: Arc<Shared>,
}

/// Ends the queue when the program does.
pub struct Ending {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    dropped: Counter,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    /// Since the log last told.
    dropped: u64,
    ending: bool,
    ended: bool,
}

impl Queue {
    /// Starts a thread that writes to `out` what is queued.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<(Self, Ending)> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), dropped: Counter::default() });
        let writer = Arc::clone(&shared);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(out))?;
        Ok((Self { shared: Arc::clone(&shared) }, Ending { shared }))
    }

    /// Counts lines that found no room, or nobody who reads.
    #[must_use]
    pub fn dropped(&self) -> Counter {
        self.shared.dropped.clone()
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.shared.state.lock();
        if state.lines.len() + line.len() > ROOM {
            state.dropped += 1;
            self.shared.dropped.inc();
            return;
        }
        let before = state.lines.len();
        state.lines.extend_from_slice(line);
        // Wakes the writer for the first line, and out of its gathering when half of the room is taken.
        if before == 0 || (before < ROOM / 2 && state.lines.len() >= ROOM / 2) {
            self.shared.changed.notify_all();
        }
    }
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Ending {
    /// Waits until what is queued is written, a moment at most: a reader that hangs does not keep the program.
    pub fn finish(self) {
        let mut state = self.shared.state.lock();
        state.ending = true;
        self.shared.changed.notify_all();
        self.shared.changed.wait_while_for(&mut state, |state| !state.ended, GRACE);
    }
}

impl Shared {
    fn write_to(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        loop {
            let (dropped, ending) = self.take(&mut batch);
            if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
                self.dropped.inc_by(batch.iter().filter(|&&byte| byte == b'\n').count() as u64);
            }
            batch.clear();
            if dropped > 0 {
                tracing::warn!("{dropped} lines of the log were dropped: its reader is too slow");
            }
            let mut state = self.state.lock();
            if ending && state.lines.is_empty() {
                state.ended = true;
                self.changed.notify_all();
                return;
            }
        }
    }

    /// Waits for lines, and a little for more of them.
    fn take(&self, batch: &mut Vec<u8>) -> (u64, bool) {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| state.lines.is_empty() && !state.ending);
        self.changed.wait_while_for(&mut state, |state| state.lines.len() < ROOM / 2 && !state.ending, GATHER);
        std::mem::swap(&mut state.lines, batch);
        (std::mem::take(&mut state.dropped), state.ending)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A reader that takes a batch only when it is told to.
    struct Gate {
        open: mpsc::Receiver<()>,
        seen: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.open.recv().map_err(io::Error::other)?;
            self.seen.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Queue, Ending, mpsc::Sender<()>, mpsc::Receiver<Vec<u8>>) {
        let ((open, gate), (seen, batches)) = (mpsc::channel(), mpsc::channel());
        let (queue, ending) = Queue::start(Gate { open: gate, seen }).unwrap();
        (queue, ending, open, batches)
    }

    #[test]
    fn lines_come_in_order_and_all_before_the_end() {
        let (mut queue, ending, open, batches) = gated();
        let lines: Vec<u8> = (0..1000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            queue.write_all(line).unwrap();
        }
        for _ in 0..10 {
            open.send(()).unwrap();
        }
        ending.finish();
        assert_eq!(batches.try_iter().flatten().collect::<Vec<u8>>(), lines);
        assert_eq!(queue.dropped().get(), 0);
    }

    #[test]
    fn a_reader_that_hangs_holds_up_nobody_and_costs_lines_that_are_counted() {
        let (mut queue, ending, open, batches) = gated();
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        let written: u64 = 3 * (ROOM / 1024) as u64;
        for _ in 0..written {
            queue.write_all(&line).unwrap();
        }
        let dropped = queue.dropped().get();
        assert!((written / 3..=written * 2 / 3).contains(&dropped), "{dropped} of {written}");
        // Nobody opens the gate: the end does not wait for it either.
        ending.finish();
        drop(open);
        assert_eq!(batches.try_iter().count(), 0);
    }

    #[test]
    fn lines_that_nobody_takes_are_counted() {
        let (mut queue, ending, open, _) = gated();
        drop(open);
        queue.write_all(b"one\n").unwrap();
        ending.finish();
        assert_eq!(queue.dropped().get(), 1);
    }
}
