//! The client's lines: `time="2020-04-10T23:10:55Z" level=info msg="[CLIENT 1] Main loop finished"`.

use std::fmt::{self, Write};

use services_kit::log::Events;
use time::OffsetDateTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent};

/// `key=value` pairs, as logrus writes them where there is no terminal; time in UTC.
#[derive(Clone, Copy, Debug)]
pub struct Pairs;

impl FormatEvent<Events, DefaultFields> for Pairs {
    fn format_event(
        &self,
        _: &FmtContext<'_, Events, DefaultFields>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write_head(&mut to, OffsetDateTime::now_utc(), event.metadata().level())?;
        let mut pairs = Values { message: String::new(), others: String::new() };
        event.record(&mut pairs);
        write!(to, " msg=")?;
        write_value(&mut to, &pairs.message)?;
        writeln!(to, "{}", pairs.others)
    }
}

fn write_head(to: &mut impl Write, now: OffsetDateTime, level: &Level) -> fmt::Result {
    let (year, month, day) = now.to_calendar_date();
    let (hour, minute, second) = now.to_hms();
    let level = match *level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    let month = u8::from(month);
    write!(to, "time=\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z\" level={level}")
}

/// The message, and the other fields as they are to be written.
struct Values {
    message: String,
    others: String,
}

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(self.others, " {}=", field.name());
            let _ = write_value(&mut self.others, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// In quotes unless all its characters are plain; on one line in any case.
fn write_value(to: &mut impl Write, value: &str) -> fmt::Result {
    if value.chars().all(|c| c.is_ascii_alphanumeric() || "-._/@^+".contains(c)) {
        return to.write_str(value);
    }
    to.write_char('"')?;
    for character in value.chars() {
        match character {
            '"' | '\\' => write!(to, "\\{character}")?,
            '\n' => to.write_str("\\n")?,
            '\r' => to.write_str("\\r")?,
            '\t' => to.write_str("\\t")?,
            _ if character.is_ascii_control() => write!(to, "\\x{:02x}", u32::from(character))?,
            _ if character.is_control() => write!(to, "\\u{:04x}", u32::from(character))?,
            _ => to.write_char(character)?,
        }
    }
    to.write_char('"')
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn time_and_level_come_first() {
        let mut line = String::new();
        write_head(&mut line, datetime!(2020-04-10 23:10:55 UTC), &Level::INFO).unwrap();
        assert_eq!(line, "time=\"2020-04-10T23:10:55Z\" level=info");
    }

    #[track_caller]
    fn check(value: &str, want: &str) {
        let mut got = String::new();
        write_value(&mut got, value).unwrap();
        assert_eq!(got, want);
    }

    #[test]
    fn what_is_not_plain_is_quoted() {
        check("", "");
        check("127.0.0.1", "127.0.0.1");
        check("127.0.0.1:80", "\"127.0.0.1:80\"");
        check("received: b'a \\x00'", "\"received: b'a \\\\x00'\"");
        check("a \"b\"\nc\r\t\u{1b}[0m", "\"a \\\"b\\\"\\nc\\r\\t\\x1b[0m\"");
        check("ñ\u{85}", "\"ñ\\u0085\"");
    }
}
