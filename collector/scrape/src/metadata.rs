//! What a target says about its metric families.

use agent_exposition::Kind;
use collector_model::Metadata;
use hashbrown::HashMap;

/// Families that did not come for so many scrapes are forgotten.
const KEEP_SCRAPES: u32 = 10;

/// How many families that no good scrape had are kept, beside as many as good scrapes had.
const SPARE: usize = 1000;

/// The families of one target.
#[derive(Debug, Default)]
pub(crate) struct MetadataCache {
    families: HashMap<Box<str>, Family>,
    scrape: u32,
    /// How many families were known after the last good scrape.
    good: usize,
}

#[derive(Debug)]
struct Family {
    kind: Kind,
    help: Box<str>,
    unit: Box<str>,
    seen: u32,
    /// Whether a good scrape had it.
    good: bool,
}

impl MetadataCache {
    pub(crate) fn kind(&mut self, name: &str, kind: Kind) {
        self.family(name).kind = kind;
    }

    pub(crate) fn help(&mut self, name: &str, help: &str) {
        let family = self.family(name);
        if *family.help != *help {
            family.help = help.into();
        }
    }

    pub(crate) fn unit(&mut self, name: &str, unit: &str) {
        let family = self.family(name);
        if *family.unit != *unit {
            family.unit = unit.into();
        }
    }

    fn family(&mut self, name: &str) -> &mut Family {
        let family = self.families.entry_ref(name).or_insert_with(|| Family {
            kind: Kind::Untyped,
            help: "".into(),
            unit: "".into(),
            seen: 0,
            good: false,
        });
        family.seen = self.scrape;
        family
    }

    /// Ends a scrape. Families are forgotten after good ones alone, so that those of a target that is down stay;
    /// but what failing scrapes bring is bounded.
    pub(crate) fn commit(&mut self, good: bool) {
        let scrape = self.scrape;
        self.scrape += 1;
        if good {
            self.families.retain(|_, family| {
                family.good |= family.seen == scrape;
                family.good && scrape - family.seen <= KEEP_SCRAPES
            });
            self.good = self.families.len();
        } else if self.families.len() > 2 * self.good + SPARE {
            self.families.retain(|_, family| family.good);
            self.families.shrink_to_fit();
        }
    }

    /// The families, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Metadata)> {
        self.families.iter().map(|(name, family)| {
            let metadata =
                Metadata { kind: word(family.kind), help: family.help.to_string(), unit: family.unit.to_string() };
            (&**name, metadata)
        })
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
        Kind::GaugeHistogram => "gaugehistogram",
        Kind::Summary => "summary",
        Kind::Info => "info",
        Kind::StateSet => "stateset",
        Kind::Untyped => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_remembered_for_ten_scrapes() {
        let mut cache = MetadataCache::default();
        cache.kind("a", Kind::Counter);
        cache.help("a", "first");
        cache.help("a", "second");
        cache.unit("a", "seconds");
        cache.commit(true);
        let want = Metadata { kind: "counter", help: "second".to_owned(), unit: "seconds".to_owned() };
        assert_eq!(cache.iter().collect::<Vec<_>>(), [("a", want)]);
        (0..10).for_each(|_| cache.commit(true));
        assert_eq!(cache.iter().count(), 1);
        cache.commit(true);
        assert_eq!(cache.iter().count(), 0);
    }

    #[test]
    fn scrapes_that_fail_cannot_fill_it() {
        let mut cache = MetadataCache::default();
        cache.kind("known", Kind::Gauge);
        cache.commit(true);
        for scrape in 0..100 {
            (0..100).for_each(|family| cache.kind(&format!("f{scrape}_{family}"), Kind::Gauge));
            cache.commit(false);
            assert!(cache.iter().count() <= 2 + SPARE, "scrape {scrape}: {}", cache.iter().count());
            assert!(cache.iter().any(|(name, _)| name == "known"), "scrape {scrape}");
        }
        // Nor does a good one take over what they brought.
        cache.kind("known", Kind::Gauge);
        cache.commit(true);
        assert_eq!(cache.iter().count(), 1);
    }
}
