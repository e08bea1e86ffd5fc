//! Comparison of the page with screenshots that a person approved.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use image::RgbImage;
use image::imageops::{FilterType, resize};

use crate::harness::{Browser, root};

/// Saved pictures are smaller than the window by this factor, because layout and colours count, not single pixels.
const SMALLER: u32 = 3;
/// Largest mean difference, as a share of the channels' range.
const MEAN: f64 = 0.003;
/// Least difference of a channel for a pixel to count as different.
const OTHER: u8 = 48;
/// Largest share of different pixels.
const SHARE: f64 = 0.005;

/// Time until a view is still.
const SETTLED: Duration = Duration::from_millis(1500);
/// Time limit for painting a view on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the page looks like the saved picture of this name. With `UPDATE_SNAPSHOTS` in the environment, saves a
/// new picture. One screenshot is not enough, because browsers sometimes return an unfinished frame.
pub fn looks_like(browser: &Browser, name: &str) {
    let path = kept(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::thread::sleep(SETTLED);
        smaller(&browser.screenshot(name)).save(&path).expect("the picture is written");
        return;
    }
    let known = image::open(&path)
        .unwrap_or_else(|error| {
            panic!("{}: {error}; make it with UPDATE_SNAPSHOTS=1", path.display())
        })
        .to_rgb8();
    let begin = Instant::now();
    loop {
        let (mean, share) = difference(&known, &smaller(&browser.screenshot(name)));
        println!("{name}: {:.3} % on average, {:.3} % of pixels", 100.0 * mean, 100.0 * share);
        if mean <= MEAN && share <= SHARE {
            return;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "{name} looks otherwise than {}: {:.2} % on average, {:.2} % of the pixels; \
             target/browser/{name}.png is how it looks now; if it is meant so, keep it with \
             UPDATE_SNAPSHOTS=1\n{}\n{}",
            path.display(),
            100.0 * mean,
            100.0 * share,
            browser.status(),
            browser.alert(),
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn smaller(picture: &RgbImage) -> RgbImage {
    resize(picture, picture.width() / SMALLER, picture.height() / SMALLER, FilterType::Triangle)
}

fn kept(name: &str) -> PathBuf {
    root().join("tests/browser/pictures").join(format!("{name}.png"))
}

/// Mean difference of the channels, and the share of different pixels, each from 0 to 1.
fn difference(a: &RgbImage, b: &RgbImage) -> (f64, f64) {
    if a.dimensions() != b.dimensions() {
        return (1.0, 1.0);
    }
    let (mut sum, mut others) = (0u64, 0u64);
    for (a, b) in a.pixels().zip(b.pixels()) {
        let apart = [0, 1, 2].map(|channel| a.0[channel].abs_diff(b.0[channel]));
        sum += apart.iter().map(|&it| u64::from(it)).sum::<u64>();
        others += u64::from(apart.iter().any(|&it| it > OTHER));
    }
    let pixels = f64::from(a.width()) * f64::from(a.height());
    (sum as f64 / (3.0 * 255.0 * pixels), others as f64 / pixels)
}

#[test]
fn different_views_are_told_apart() {
    let views = ["curves", "hidden-states", "why", "experts", "text", "runs"];
    let pictures = views.map(|name| image::open(kept(name)).expect("a kept picture").to_rgb8());
    for (i, a) in pictures.iter().enumerate() {
        for b in &pictures[i + 1..] {
            let (mean, share) = difference(a, b);
            assert!(mean > MEAN || share > SHARE, "{mean} {share}");
        }
    }
}
