//! Any bytes are read without a panic, and in pieces as in one go.
#![no_main]

use agent_exposition::{Event, Format, ParseError, Parser, Progress};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (openmetrics, size, page) = input;
    let format = if openmetrics { Format::OpenMetrics100 } else { Format::Text004 };
    let whole = read(Parser::new(format, page));
    assert_eq!(in_pieces(format, page, usize::from(size) + 1), whole);
});

type Seen = (String, Vec<(String, String)>, u64, Option<i64>);

fn read<'a>(events: impl Iterator<Item = Result<Event<'a>, ParseError>>) -> Result<Vec<Seen>, ParseError> {
    let mut seen = Vec::new();
    for event in events {
        if let Event::Sample(sample) = event? {
            let labels = sample.labels().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
            seen.push((sample.name().into_owned(), labels, sample.value.to_bits(), sample.timestamp_ms));
        }
    }
    Ok(seen)
}

fn in_pieces(format: Format, page: &[u8], size: usize) -> Result<Vec<Seen>, ParseError> {
    let (mut progress, mut buffer, mut all) = (Progress::new(format), Vec::new(), Vec::new());
    for piece in page.chunks(size) {
        buffer.extend_from_slice(piece);
        let mut parser = Parser::lines(progress, &buffer);
        all.extend(read(&mut parser)?);
        let consumed = parser.consumed();
        progress = parser.progress();
        buffer.drain(..consumed);
    }
    all.extend(read(Parser::rest(progress, &buffer))?);
    Ok(all)
}
