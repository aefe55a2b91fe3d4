//! Graphics cards with the driver amdgpu, from `/sys/class/drm/cardN/device`.

use std::path::PathBuf;

use agent_exposition::{Kind, Page};
use agent_procfs::{Malformed, scan};

use crate::numbered::Numbered;
use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "drm",
    help: "Graphics cards with the driver amdgpu.",
    default_on: false,
    flags: &[],
    build: |context| {
        let cards = Numbered::new(context.root.sys("class/drm"), "card", Card::new);
        Ok(Box::new(Drm { cards }))
    },
};

/// A file with a number, its metric, and what it says.
const NUMBERS: [(&str, &str, &str); 7] = [
    ("gpu_busy_percent", "node_drm_gpu_busy_percent", "How busy the card is, in percent."),
    ("mem_info_gtt_total", "node_drm_memory_gtt_size_bytes", "Main memory that the card may use."),
    ("mem_info_gtt_used", "node_drm_memory_gtt_used_bytes", "Main memory that the card uses."),
    ("mem_info_vis_vram_total", "node_drm_memory_vis_vram_size_bytes", "Memory of the card that the CPU sees."),
    ("mem_info_vis_vram_used", "node_drm_memory_vis_vram_used_bytes", "Memory of the card that the CPU sees, in use."),
    ("mem_info_vram_total", "node_drm_memory_vram_size_bytes", "Memory of the card."),
    ("mem_info_vram_used", "node_drm_memory_vram_used_bytes", "Memory of the card in use."),
];

/// A file with text, in the order of the labels `memory_vendor`, `power_performance_level` and `unique_id`.
const TEXTS: [&str; 3] = ["mem_info_vram_vendor", "power_dpm_force_performance_level", "unique_id"];

struct Drm {
    cards: Numbered<Card>,
}

struct Card {
    uevent: Source,
    numbers: [Source; 7],
    texts: [Source; 3],
}

impl Card {
    fn new(directory: PathBuf) -> Self {
        let file = |name| Source::new(directory.join("device").join(name));
        Self { uevent: file("uevent"), numbers: NUMBERS.map(|(name, ..)| file(name)), texts: TEXTS.map(file) }
    }

    /// Other drivers print none of this.
    fn is_amd(&mut self) -> bool {
        self.uevent.read().is_ok_and(|bytes| scan::lines(bytes).any(|(_, line)| line == b"DRIVER=amdgpu"))
    }

    fn add(&mut self, page: &mut Page, name: &str) {
        // A card has some of these, and a sleeping one may refuse any: what it does not give is absent.
        let [memory_vendor, level, id] =
            self.texts.each_mut().map(|file| file.parse(text).map(str::to_owned).unwrap_or_default());
        let labels = [
            ("card", name),
            ("memory_vendor", &memory_vendor),
            ("power_performance_level", &level),
            ("unique_id", &id),
            ("vendor", "amd"),
        ];
        let family = page.family("node_drm_card_info", "What the card is.", Kind::Gauge);
        page.sample(family, &labels, 1.0);
        for (file, (_, metric, help)) in self.numbers.iter_mut().zip(NUMBERS) {
            if let Ok(value) = file.parse(scan::single) {
                let family = page.family(metric, help, Kind::Gauge);
                page.sample(family, &[("card", name)], value as f64);
            }
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    scan::text(bytes.trim_ascii()).ok_or(Malformed { line: 1, reason: "expected text" })
}

impl Collector for Drm {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let mut outcome = Outcome::Nothing;
        for (number, card) in self.cards.list()? {
            if card.is_amd() {
                outcome = Outcome::Collected;
                card.add(page, &format!("card{number}"));
            }
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_of_other_drivers_are_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let device = directory.path().join("card1/device");
        std::fs::create_dir_all(&device).unwrap();
        std::fs::write(device.join("uevent"), "DRIVER=i915\nPCI_ID=8086:9A49\n").unwrap();
        let mut drm = Drm { cards: Numbered::new(directory.path().to_owned(), "card", Card::new) };
        let mut page = Page::new();
        assert_eq!(drm.collect(&mut page).unwrap(), Outcome::Nothing);
        std::fs::write(device.join("uevent"), "DRIVER=amdgpu\n").unwrap();
        assert_eq!(drm.collect(&mut page).unwrap(), Outcome::Collected);
        // What a card does not say is absent.
        assert_eq!((page.family_count(), page.sample_count()), (1, 1));
    }
}
