//! `nitp devices`.

use anyhow::Result;
use comfy_table::{Table, presets};
use indicatif::BinaryBytes;
use nitp_core::gpu::AdapterSummary;

use crate::args::{DeviceArgs, Tune};
use crate::device;
use crate::output::outln;

/// Lists adapters and the choice of `auto`.
pub fn run() -> Result<()> {
    describe(&device::list())?;
    outln!("--device gpu chooses any adapter, --device NAME the first whose name contains NAME.");
    Ok(())
}

/// A table of these adapters, and what `auto` takes.
pub fn describe(adapters: &[AdapterSummary]) -> Result<()> {
    if adapters.is_empty() {
        outln!("No GPU adapter: neither Vulkan, Metal nor DirectX 12 found one.\n");
    } else {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["adapter", "interface", "kind", "largest binding", "f16", "driver"]);
        for adapter in adapters {
            table.add_row([
                adapter.label().to_owned(),
                adapter.backend.clone(),
                if adapter.software { "software" } else { "GPU" }.to_owned(),
                BinaryBytes(4 * adapter.limits.binding as u64).to_string(),
                if adapter.half { "yes" } else { "no" }.to_owned(),
                adapter.driver.clone(),
            ]);
        }
        outln!("{table}\n");
    }
    let auto = DeviceArgs { device: "auto".to_owned(), tune: Tune::Off };
    outln!("--device auto chooses: {}", device::choose(&auto)?.why);
    Ok(())
}
