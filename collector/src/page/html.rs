//! As much HTML as the page needs: escaped text, tables, and the frame around them.

use std::fmt::Write;

/// Text, safe between tags and in quoted attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A cell of a table.
pub enum Cell {
    /// Plain text.
    Text(String),
    /// A number or a time, set right.
    Number(String),
    /// A name, a query or a label set, in the typewriter face.
    Code(String),
    /// A state: good, bad or neither.
    State(Mood, String),
    /// What went wrong; nothing when it is empty.
    Trouble(String),
}

/// How a state feels. It is said in words as well, never in colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Not known yet, or neither.
    Unknown,
}

/// Appends a table with a caption; `empty` is said where there are no rows.
pub fn table(out: &mut String, id: &str, caption: &str, heads: &[&str], rows: &[Vec<Cell>], empty: &str) {
    let _ = write!(out, "<section id=\"{id}\"><h2>{} <small>{}</small></h2>", escape(caption), rows.len());
    if rows.is_empty() {
        let _ = write!(out, "<p class=\"empty\">{}</p></section>", escape(empty));
        return;
    }
    out.push_str("<div class=\"scroll\"><table><thead><tr>");
    for head in heads {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape(head));
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for cell in row {
            push_cell(out, cell);
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div></section>");
}

fn push_cell(out: &mut String, cell: &Cell) {
    let _ = match cell {
        Cell::Text(text) => write!(out, "<td>{}</td>", escape(text)),
        Cell::Number(text) => write!(out, "<td class=\"n\">{}</td>", escape(text)),
        Cell::Code(text) => write!(out, "<td><code>{}</code></td>", escape(text)),
        Cell::Trouble(text) => write!(out, "<td class=\"trouble\">{}</td>", escape(text)),
        Cell::State(mood, text) => {
            let class = match mood {
                Mood::Good => "good",
                Mood::Bad => "bad",
                Mood::Unknown => "unknown",
            };
            write!(out, "<td><span class=\"state {class}\">{}</span></td>", escape(text))
        }
    };
}

/// The whole document around the sections.
pub fn document(title: &str, summary: &str, sections: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head>\
         <body><header><h1>{title}</h1><nav><a href=\"#targets\">Targets</a> <a href=\"#rules\">Rules</a> \
         <a href=\"#destinations\">Destinations</a> <a href=\"metrics\">Own metrics</a> \
         <label><input type=\"checkbox\" id=\"live\" checked> live</label></nav></header>\
         <main id=\"main\"><p class=\"summary\">{summary}</p>{sections}</main><script>{SCRIPT}</script></body></html>",
        title = escape(title),
    )
}

const STYLE: &str = include_str!("page.css");

/// Fetches the page again every five seconds and puts its middle in place, unless the box is unticked or the tab
/// is hidden. Without scripts the page is a still picture, and a reload does the same.
const SCRIPT: &str = "setInterval(async()=>{if(!document.getElementById('live').checked||document.hidden)return;\
    try{const t=await(await fetch(location.pathname)).text();\
    const d=new DOMParser().parseFromString(t,'text/html');\
    document.getElementById('main').replaceWith(d.getElementById('main'));}\
    catch(e){const s=document.querySelector('.summary');if(s)s.textContent='the collector does not answer';}},5000);";

/// A value for people: six significant digits, no more zeros than needed.
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || !value.is_finite() || !(1e-4..1e15).contains(&magnitude) {
        return format!("{value:e}").replace("e0", "");
    }
    let decimals = if magnitude >= 1e5 {
        0
    } else if magnitude >= 1.0 {
        4
    } else {
        6
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A number of bytes for people.
#[allow(clippy::cast_precision_loss, reason = "it is rounded for reading")]
pub fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = units.iter();
    let mut name = unit.next().unwrap_or(&"B");
    while value >= 1024.0 {
        let Some(next) = unit.next() else { break };
        value /= 1024.0;
        name = next;
    }
    if *name == "B" { format!("{count} B") } else { format!("{value:.1} {name}") }
}

/// A span of time for people, from milliseconds.
pub fn span(ms: i64) -> String {
    match ms {
        ..0 => "0 s".to_owned(),
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms / 1000 % 60),
        3_600_000..86_400_000 => format!("{} h {} min", ms / 3_600_000, ms / 60_000 % 60),
        _ => format!("{} d {} h", ms / 86_400_000, ms / 3_600_000 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_target_says_stays_text() {
        let mut out = String::new();
        let evil = "<script>alert('x')</script>\"&".to_owned();
        table(&mut out, "t", "T", &["a"], &[vec![Cell::Trouble(evil)]], "");
        assert!(out.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;"));
        assert!(!out.contains("<script>"));
    }

    #[test]
    fn an_empty_table_says_so() {
        let mut out = String::new();
        table(&mut out, "t", "Targets", &["a"], &[], "no scrape_configs");
        assert!(out.contains("no scrape_configs") && !out.contains("<table"));
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(number(2_064_384.0), "2064384");
        assert_eq!(number(98.000_000_000_001_82), "98");
        assert_eq!(number(0.000_530_782_162), "0.000531");
        assert_eq!(number(0.0), "0");
        assert_eq!(number(f64::NAN), "NaN");
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
        assert_eq!(span(250), "250 ms");
        assert_eq!(span(61_000), "1 min 1 s");
        assert_eq!(span(90_000_000), "1 d 1 h");
    }
}
