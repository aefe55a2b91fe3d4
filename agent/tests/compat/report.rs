//! The checker's table.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::allowed::Entry;
use super::compare::Comparison;

/// Whether to colour what is wrong.
#[derive(Clone, Copy)]
pub struct Colours(pub bool);

impl Colours {
    fn red(self, text: &str) -> String {
        if self.0 { format!("\x1b[31m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What one comparison came to: the numbers, then a line for each difference; those of one reason together.
pub fn table(title: &str, comparison: &Comparison, colours: Colours) -> String {
    let Comparison { families, other_helps, still, moving, not_compared, .. } = comparison;
    let mut out = format!(
        "{title}\n  {families} families on both pages ({other_helps} with the help in other words); series: {still} equal, \
         {moving} that moved and lay between, {not_compared} not compared\n"
    );
    let mut meant = BTreeMap::<(&str, &str), Vec<&str>>::new();
    for difference in &comparison.differences {
        if let Some(why) = difference.why {
            meant.entry((&difference.what, why)).or_default().push(&difference.family);
        }
    }
    for ((what, why), families) in meant {
        let _ = writeln!(out, "  {:>4} {what:<26} {why}: {}", families.len(), shortened(&families));
    }
    for difference in comparison.unexplained() {
        let line = format!("  UNEXPLAINED {}: {}", difference.family, difference.what);
        let _ = writeln!(out, "{}", colours.red(&line));
    }
    out
}

/// Entries of the list that matched nothing.
pub fn unused(entries: &[Entry], colours: Colours) -> String {
    let line = |(family, what, why): &Entry| {
        colours.red(&format!("UNUSED ENTRY {family} {what:?} ({why}): nothing differs so any more, take it out")) + "\n"
    };
    entries.iter().map(line).collect()
}

/// Names with a common beginning, as many as fit on a line.
fn shortened(families: &[&str]) -> String {
    const MOST: usize = 3;
    let mut text = families.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    if families.len() > MOST {
        text.push_str(", …");
    }
    text
}
