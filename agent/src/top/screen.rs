//! The terminal: taken over, drawn on, and given back whatever happens.

use std::io::{self, Write as _};
use std::sync::Mutex;

use rustix::process::{Signal, getpid, kill_process};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Another screen, without a cursor, whose lines do not wrap.
const TAKE: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l";
const GIVE_BACK: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";

/// How the terminal was; there while it is taken. The hook of panics needs it too, and has nothing else.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The taken terminal. It is given back when this is dropped, and before the message of a panic.
pub struct Screen(());

impl Screen {
    pub fn enter() -> io::Result<Self> {
        // Before it is taken: it is given back too when that fails half-way.
        let screen = Self(());
        take()?;
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            give_back();
            hook(info);
        }));
        Ok(screen)
    }

    /// Shows lines from the top on, and nothing else.
    pub fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut text = String::from("\x1b[H");
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                text.push_str("\r\n");
            }
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Stops this process, as Ctrl-Z does, until somebody lets it go on.
    pub fn suspend(&self) -> io::Result<()> {
        give_back();
        kill_process(getpid(), Signal::STOP)?;
        take()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    let before = tcgetattr(stdin())?;
    let mut raw = before.clone();
    raw.make_raw();
    tcsetattr(stdin(), OptionalActions::Flush, &raw)?;
    *lock() = Some(before);
    let mut out = io::stdout().lock();
    out.write_all(TAKE)?;
    out.flush()
}

/// Does nothing where that was done. What fails here, nobody can be told any more.
fn give_back() {
    let Some(before) = lock().take() else { return };
    let mut out = io::stdout().lock();
    let _ = out.write_all(GIVE_BACK);
    let _ = out.flush();
    let _ = tcsetattr(stdin(), OptionalActions::Flush, &before);
}

fn lock() -> std::sync::MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Columns and lines of the terminal.
pub fn size() -> Option<(usize, usize)> {
    let size = tcgetwinsize(stdout()).ok()?;
    Some((usize::from(size.ws_col), usize::from(size.ws_row))).filter(|(width, height)| *width > 0 && *height > 0)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    #[ignore = "run in a terminal by the test below"]
    fn panics() {
        let screen = Screen::enter().unwrap();
        screen.draw(&["drawn".to_owned()]).unwrap();
        panic!("on purpose");
    }

    #[test]
    fn a_panic_gives_the_terminal_back_before_its_message() {
        let own = std::env::current_exe().unwrap();
        let line = format!("{} --ignored --exact top::screen::tests::panics --nocapture; stty -a", own.display());
        let output = Command::new("script").args(["-qec", &line, "/dev/null"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let (drawn, after) = text.split_once("\x1b[?7h\x1b[?25h\x1b[?1049l").unwrap_or_else(|| panic!("{text:?}"));
        assert!(drawn.contains("\x1b[?1049h") && drawn.contains("drawn"), "{text:?}");
        assert!(after.contains("on purpose") && after.contains(" icanon") && after.contains(" echo "), "{after}");
    }
}
