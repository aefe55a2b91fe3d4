//! The server's lines: `2020-04-10 23:10:54 INFO     Proceed to accept new connections`.

use std::fmt;

use services_kit::log::Events;
use time::OffsetDateTime;
use tracing::{Event, Level};
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields as _};

/// Date and time in UTC, the level in eight columns, the message.
#[derive(Clone, Copy, Debug)]
pub struct Columns;

impl FormatEvent<Events, DefaultFields> for Columns {
    fn format_event(
        &self,
        context: &FmtContext<'_, Events, DefaultFields>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write_head(&mut to, OffsetDateTime::now_utc(), event.metadata().level())?;
        context.field_format().format_fields(to.by_ref(), event)?;
        writeln!(to)
    }
}

fn write_head(to: &mut impl fmt::Write, now: OffsetDateTime, level: &Level) -> fmt::Result {
    let (year, month, day) = now.to_calendar_date();
    let (hour, minute, second) = now.to_hms();
    let level = match *level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG => "DEBUG",
        Level::TRACE => "TRACE",
    };
    let month = u8::from(month);
    write!(to, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} {level:<8} ")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_message_begins_in_one_column() {
        for (level, want) in [
            (Level::INFO, "2020-04-10 23:10:54 INFO     "),
            (Level::WARN, "2020-04-10 23:10:54 WARNING  "),
            (Level::ERROR, "2020-04-10 23:10:54 ERROR    "),
        ] {
            let mut line = String::new();
            write_head(&mut line, datetime!(2020-04-10 23:10:54.9 UTC), &level).unwrap();
            assert_eq!(line, want);
        }
    }
}
