//! `nitp doctor`: the machine as training sees it, and what would be slow on it.

use std::path::{Path, PathBuf};
use std::{env, fs, thread};

use anyhow::Result;
use comfy_table::{Table, presets};
use indicatif::BinaryBytes;
use nitp_core::gpu::AdapterSummary;
use sysinfo::{Disks, System};
use walkdir::WalkDir;

use super::devices;
use crate::device;
use crate::output::outln;
use nitp_files::cache;

/// Free space below which a checkpoint or the token cache may not fit.
const LITTLE_DISK: u64 = 1 << 30;

/// Free memory below which little more than the smallest presets fit.
const LITTLE_MEMORY: u64 = 1 << 30;

/// Describes the machine, then what would be slow or fail, and what to do about it.
pub fn run() -> Result<()> {
    let machine = Machine::look();
    let adapters = device::list();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for row in machine.rows() {
        table.add_row(row);
    }
    outln!("{table}\n");
    devices::describe(&adapters)?;
    let found = [machine.problems(), of_adapters(&adapters)].concat();
    if found.is_empty() {
        outln!("\nNothing that was looked at slows training down here.");
        return Ok(());
    }
    outln!("\nWhat slows training down, or may fail:");
    for problem in found {
        outln!("  - {problem}");
    }
    Ok(())
}

/// What a program can ask of a machine.
struct Machine {
    is_debug: bool,
    cpu: String,
    /// Cores that the program may use.
    cores: usize,
    /// Threads that the CPU executor takes.
    threads: usize,
    has_avx2: bool,
    has_avx512: bool,
    memory: u64,
    memory_free: u64,
    cache: Folder,
    here: Folder,
}

/// A folder that the program writes to.
struct Folder {
    path: PathBuf,
    /// Of all files in it.
    bytes: u64,
    free: Option<u64>,
    /// Why it cannot be written to.
    refusal: Option<String>,
}

impl Machine {
    fn look() -> Self {
        let mut system = System::new();
        system.refresh_memory();
        system.refresh_cpu_all();
        let limits = system.cgroup_limits();
        let memory = limits.as_ref().map_or(u64::MAX, |it| it.total_memory);
        let free = limits.as_ref().map_or(u64::MAX, |it| it.free_memory);
        let disks = Disks::new_with_refreshed_list();
        #[cfg(target_arch = "x86_64")]
        let (has_avx2, has_avx512) = (
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl"),
        );
        // Other processors have one width of vectors, which the program is compiled for.
        #[cfg(not(target_arch = "x86_64"))]
        let (has_avx2, has_avx512) = (true, false);
        Self {
            is_debug: cfg!(debug_assertions),
            cpu: system
                .cpus()
                .first()
                .map_or_else(String::new, |cpu| cpu.brand().trim().to_owned()),
            cores: thread::available_parallelism().map_or(1, usize::from),
            threads: rayon::current_num_threads(),
            has_avx2,
            has_avx512,
            memory: system.total_memory().min(memory),
            memory_free: system.available_memory().min(free),
            cache: Folder::look(cache::folder(), &disks),
            here: Folder::look(env::current_dir().unwrap_or_default(), &disks),
        }
    }

    /// Words and what they name.
    fn rows(&self) -> Vec<[String; 2]> {
        let build = if self.is_debug { "debug build" } else { "release build" };
        let vectors = match (self.has_avx512, self.has_avx2) {
            _ if cfg!(not(target_arch = "x86_64")) => "",
            (true, _) => ", AVX-512",
            (false, true) => ", AVX2",
            (false, false) => ", no AVX2",
        };
        let threads = format!("{} of {} threads{vectors}", self.threads, self.cores);
        let cpu = if self.cpu.is_empty() { threads } else { format!("{}, {threads}", self.cpu) };
        let [total, free] = [self.memory, self.memory_free].map(BinaryBytes);
        let space = |it: &Folder| {
            it.free.map_or_else(String::new, |free| format!(", {} free", BinaryBytes(free)))
        };
        let row = |name: &str, text: String| [name.to_owned(), text];
        vec![
            row("program", format!("nitp {}, {build}", env!("CARGO_PKG_VERSION"))),
            row("CPU", cpu),
            row("memory", format!("{total}, {free} free")),
            row("this folder", format!("{}{}", self.here.path.display(), space(&self.here))),
            row(
                "cache",
                format!(
                    "{}, {} used{}",
                    self.cache.path.display(),
                    BinaryBytes(self.cache.bytes),
                    space(&self.cache)
                ),
            ),
        ]
    }

    fn problems(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.is_debug {
            all.push(
                "The program is a debug build, which checks every sum. Build it with \
                 `cargo build --release -p native`."
                    .to_owned(),
            );
        }
        if !self.has_avx2 {
            all.push(
                "The processor has no AVX2, so the CPU executor multiplies with vectors of four \
                 numbers. Take a GPU if there is one."
                    .to_owned(),
            );
        }
        if self.threads < self.cores {
            all.push(format!(
                "The CPU executor takes {} of {} threads, because RAYON_NUM_THREADS says so. Unset \
                 the variable to use all of them.",
                self.threads, self.cores
            ));
        }
        if self.memory_free < LITTLE_MEMORY {
            all.push(format!(
                "Only {} of memory are free. `nitp info` tells what each preset needs.",
                BinaryBytes(self.memory_free)
            ));
        }
        if let Some(refusal) = &self.cache.refusal {
            all.push(format!(
                "The cache cannot be written to ({refusal}), so each run tokenises its text and \
                 measures its kernels again. Set NITP_CACHE_DIR to a folder that can."
            ));
        }
        if let Some(refusal) = &self.here.refusal {
            all.push(format!(
                "This folder cannot be written to ({refusal}), and runs go to runs/ in it. Give \
                 another one with --out."
            ));
        }
        for folder in [&self.here, &self.cache] {
            if let Some(free) = folder.free.filter(|&free| free < LITTLE_DISK) {
                all.push(format!(
                    "Only {} are free where {} is. A run that finds the disk full stops, with what \
                     was saved intact.",
                    BinaryBytes(free),
                    folder.path.display()
                ));
            }
        }
        all
    }
}

impl Folder {
    fn look(path: PathBuf, disks: &Disks) -> Self {
        let files = WalkDir::new(&path).into_iter().flatten();
        let sizes = files.filter_map(|it| it.metadata().ok()).filter(|it| it.is_file());
        let bytes = if path == cache::folder() { sizes.map(|it| it.len()).sum() } else { 0 };
        // The disk whose mount point is the longest part of the path.
        let real = existing(&path).canonicalize().unwrap_or_else(|_| path.clone());
        let disks = disks.iter().filter(|disk| real.starts_with(disk.mount_point()));
        let disk = disks.max_by_key(|disk| disk.mount_point().as_os_str().len());
        let refusal = match path.exists() && !path.is_dir() {
            true => Some(format!("{} is a file", path.display())),
            false => tempfile::tempfile_in(existing(&path)).err().map(|error| error.to_string()),
        };
        Self { path, bytes, free: disk.map(sysinfo::Disk::available_space), refusal }
    }
}

/// The folder itself, or the nearest one above it that there is.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|it| fs::metadata(it).is_ok_and(|it| it.is_dir())).unwrap_or(path)
}

fn of_adapters(adapters: &[AdapterSummary]) -> Vec<String> {
    let mut real = adapters.iter().filter(|it| !it.software).peekable();
    if real.peek().is_none() {
        let found =
            if adapters.is_empty() { "There is no GPU" } else { "The only adapters are software" };
        return vec![format!(
            "{found}: training runs on the CPU. If the machine has a GPU, its driver for Vulkan, \
             Metal or DirectX 12 is missing."
        )];
    }
    let no_half = real.filter(|it| !it.half);
    no_half
        .map(|it| {
            format!(
                "{} has no 16-bit numbers (shader-f16), so train.precision=\"mixed\" is refused there.",
                it.label()
            )
        })
        .collect()
}
