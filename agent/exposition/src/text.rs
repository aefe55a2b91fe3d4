//! The text format 0.0.4.

use std::fmt::Write;

use crate::page::{Kind, Page};

impl Page {
    /// Appends the page in the text format 0.0.4, families sorted by name.
    pub fn write_text(&self, out: &mut String) {
        let mut order: Vec<_> = self.families.iter().collect();
        order.sort_by(|a, b| a.name.cmp(&b.name));
        for family in order {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
                Kind::Summary => "summary",
                Kind::Untyped => "untyped",
            };
            let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
            let _ = writeln!(out, "# HELP {} {help}\n# TYPE {} {kind}", family.name, family.name);
            for entry in &family.samples {
                let own = self.arena.get(entry.labels.start as usize..entry.labels.end as usize).unwrap_or("");
                let shared = entry
                    .shared
                    .and_then(|s| self.shared.get(s.0))
                    .and_then(|r| self.arena.get(r.start as usize..r.end as usize))
                    .unwrap_or("");
                out.push_str(&family.name);
                out.push_str(entry.suffix);
                if !(own.is_empty() && shared.is_empty()) {
                    let comma = if own.is_empty() || shared.is_empty() { "" } else { "," };
                    let _ = write!(out, "{{{own}{comma}{shared}}}");
                }
                let _ = writeln!(out, " {}", entry.value);
            }
        }
    }
}
