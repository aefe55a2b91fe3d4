//! Graphics cards with the driver amdgpu, from `/sys/class/drm/cardN/device`.

use std::path::PathBuf;
use std::sync::Arc;

use agent_exposition::{Kind, Page};
use agent_procfs::scan;

use crate::attributes::{Attributes, Descriptors, Row};
use crate::devices::Devices;
use crate::directory::number_after;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "drm",
    help: "Graphics cards with the driver amdgpu.",
    default_on: false,
    flags: &[],
    build: |context| {
        let cards = Devices::new(context.root.sys("class/drm"));
        Ok(Box::new(Drm { cards, descriptors: Arc::clone(&context.descriptors) }))
    },
};

const NUMBERS: &[Row] = &[
    Row::gauge("device/gpu_busy_percent", "node_drm_gpu_busy_percent", "How busy the card is, in percent."),
    Row::gauge("device/mem_info_gtt_total", "node_drm_memory_gtt_size_bytes", "Main memory that the card may use."),
    Row::gauge("device/mem_info_gtt_used", "node_drm_memory_gtt_used_bytes", "Main memory that the card uses."),
    Row::gauge(
        "device/mem_info_vis_vram_total",
        "node_drm_memory_vis_vram_size_bytes",
        "Memory of the card that the CPU sees.",
    ),
    Row::gauge(
        "device/mem_info_vis_vram_used",
        "node_drm_memory_vis_vram_used_bytes",
        "Memory of the card that the CPU sees, in use.",
    ),
    Row::gauge("device/mem_info_vram_total", "node_drm_memory_vram_size_bytes", "Memory of the card."),
    Row::gauge("device/mem_info_vram_used", "node_drm_memory_vram_used_bytes", "Memory of the card in use."),
];

struct Drm {
    cards: Devices<Attributes>,
    descriptors: Arc<Descriptors>,
}

impl Collector for Drm {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        // Beside the cards are their outputs, such as `card0-DP-1`.
        let open = |name: &str, directory: PathBuf| {
            number_after("card", name).map(|_| Attributes::new(directory, &self.descriptors))
        };
        self.cards.refresh(open)?;
        let mut outcome = Outcome::Nothing;
        for (name, card) in self.cards.iter_mut() {
            if is_amd(card) {
                outcome = Outcome::Collected;
                add(page, name, card);
            }
        }
        Ok(outcome)
    }
}

/// Other drivers print none of this.
fn is_amd(card: &mut Attributes) -> bool {
    let driver = |uevent: &[u8]| scan::lines(uevent).find(|(_, line)| *line == b"DRIVER=amdgpu").map(drop);
    card.get("device/uevent", driver).is_some()
}

/// A card has some of these files, and a sleeping one may refuse any: what it does not give is absent.
fn add(page: &mut Page, name: &str, card: &mut Attributes) {
    let mut text = |file: &str| card.text(file).unwrap_or_default();
    let labels = [
        ("card", name),
        ("memory_vendor", &text("device/mem_info_vram_vendor")),
        ("power_performance_level", &text("device/power_dpm_force_performance_level")),
        ("unique_id", &text("device/unique_id")),
        ("vendor", "amd"),
    ];
    let family = page.family("node_drm_card_info", "What the card is.", Kind::Gauge);
    page.sample(family, &labels, 1.0);
    Row::add_all(NUMBERS, card, &[("card", name)], page);
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
        let mut drm =
            Drm { cards: Devices::new(directory.path().to_owned()), descriptors: Arc::new(Descriptors::new()) };
        let mut page = Page::new();
        assert_eq!(drm.collect(&mut page).unwrap(), Outcome::Nothing);
        std::fs::write(device.join("uevent"), "DRIVER=amdgpu\n").unwrap();
        assert_eq!(drm.collect(&mut page).unwrap(), Outcome::Collected);
        // What a card does not say is absent.
        assert_eq!((page.family_count(), page.sample_count()), (1, 1));
    }
}
