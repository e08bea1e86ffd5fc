//! Actions of a visitor, and failures.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Browser, Gpu, Screen, colors, nitp, number_after};
use crate::pictures::looks_like;

const WIDE: Screen = Screen::Window(1280, 900);

/// A run of some seconds on the CPU.
const QUICK: &str =
    "preset=nano&train.geometry_interval=10&train.eval_interval=10&train.eval_batches=2&device=cpu";

fn quick(steps: usize) -> String {
    format!("{QUICK}&train.steps={steps}&start=1")
}

/// The step of a status, 0 before the first.
fn step(status: &str) -> f64 {
    if status.contains(" Step ") { number_after(status, "Step") } else { 0.0 }
}

/// The part of the status about one run.
fn lane<'a>(status: &'a str, name: &str) -> &'a str {
    let from =
        status.find(&format!(" {name} loss")).unwrap_or_else(|| panic!("no {name}: {status}"));
    &status[from..]
}

#[test]
fn both_runs_learn_and_everything_is_painted() {
    let browser = Browser::start(Gpu::None, WIDE);
    browser.open(&format!("{QUICK}&train.steps=60"));
    browser.wait_for("Ready on the CPU", 60);
    assert!(colors(&browser.screenshot("welcome")) > 12);
    // The space bar starts.
    browser.press(&[], ' ');
    let first = browser.wait_until("both at step 1", 60, |it| {
        it.contains(" NTP loss") && it.contains(" NITP loss")
    });
    let last = browser.wait_for("Finished", 120);
    for name in ["NTP", "NITP"] {
        let (before, after) =
            (number_after(lane(&first, name), "loss"), number_after(lane(&last, name), "loss"));
        assert!(after < before - 0.5, "{name}: {before} to {after}");
    }
    for (key, name) in [
        ('2', "curves"),
        ('3', "hidden-states"),
        ('4', "why"),
        ('5', "experts"),
        ('6', "text"),
        ('7', "runs"),
    ] {
        browser.press(&[], key);
        looks_like(&browser, name);
    }
    // The page sent requests only to its own server.
    let own = browser.script(
        "return performance.getEntriesByType('resource').every(it => it.name.startsWith(location.origin))",
    );
    assert_eq!(own, Value::Bool(true));
    // The page did nothing against its security policy, and the policy rejects everything else.
    let refused = browser.script_later(
        "const done = arguments[arguments.length - 1];
        const told = [];
        const tell = (reports) => told.push(...reports.map(it => it.body.effectiveDirective));
        new ReportingObserver(tell, { types: ['csp-violation'], buffered: true }).observe();
        setTimeout(() => {
            told.push('and then');
            const script = document.createElement('script');
            script.textContent = 'window.injected = true';
            document.body.append(script);
            fetch('https://example.org/').catch(() => {});
            try { told.push(String(eval('1 + 1'))); } catch {}
            setTimeout(() => done([told.join(', '), window.injected ?? null]), 500);
        }, 500);",
    );
    assert_eq!(refused[1], Value::Null, "{refused}");
    let refused = refused[0].as_str().unwrap_or_default();
    let (before, after) = refused.split_once("and then, ").unwrap_or_else(|| panic!("{refused}"));
    assert_eq!(before, "", "{refused}");
    for directive in ["script-src-elem", "connect-src"] {
        assert!(after.contains(directive), "{refused}");
    }
    assert!(!after.contains('2'), "{refused}");
    // The address contains the experiment.
    let hash = browser.script("return location.hash");
    let hash = hash.as_str().unwrap_or_default();
    assert!(hash.contains("preset=nano") && hash.contains("train.steps=60"), "{hash}");
}

#[test]
fn webgpu_trains_and_a_lost_device_is_no_lost_run() {
    let browser = Browser::start(Gpu::Software, WIDE);
    let mask = "device=gpu&train.document_mask=true";
    let query = quick(40).replace("device=cpu", mask);
    browser.open(&query);
    let status = browser.wait_for("Finished", 240);
    assert!(status.contains("(WebGPU)"), "{status}");
    let on_gpu = number_after(lane(&status, "NITP"), "loss");
    browser.open(&format!("{query}&lose-device-at=10"));
    browser.wait_for("in place of the GPU", 240);
    let status = browser.wait_for("Finished", 240);
    let alert = browser.alert();
    assert!(alert.contains("GPU device was lost"), "{alert}");
    // From the start on the CPU: the same run, except for rounding.
    let on_cpu = number_after(lane(&status, "NITP"), "loss");
    assert!((on_gpu / on_cpu - 1.0).abs() < 1e-3, "{on_gpu} and {on_cpu}");
}

/// The result of a request about the record of an adapter's kernels in IndexedDB, as text.
fn tuning_record(browser: &Browser, request: &str) -> Value {
    browser.script_later(&format!(
        "const done = arguments[arguments.length - 1];
        const opening = indexedDB.open('nitp');
        opening.onsuccess = () => {{
            const transaction = opening.result.transaction('sessions', 'readwrite');
            const requested = transaction.objectStore('sessions').{request};
            transaction.oncomplete = () => {{
                opening.result.close();
                const found = requested.result;
                done(found instanceof Uint8Array ? new TextDecoder().decode(found) : null);
            }};
        }};"
    ))
}

#[test]
fn what_was_measured_of_an_adapter_is_kept_and_a_broken_record_made_anew() {
    let browser = Browser::start(Gpu::Software, WIDE);
    // Each run has another length, because the saved run of the last one is shown as finished at once.
    let run = |steps: usize| {
        browser.open(&quick(steps).replace("device=cpu", "device=gpu"));
        let end = format!("Step {steps} of {steps}.");
        browser.wait_until(&end, 240, |it| it.contains("Finished") && it.contains(&end));
        let text = tuning_record(&browser, "get('tuning')");
        let kept: Value = serde_json::from_str(text.as_str().expect("a record")).expect("JSON");
        kept["ops"].as_object().expect("choices by class").clone()
    };
    let first = run(2);
    assert!(first.values().any(|it| it["microseconds"]["baseline"].is_number()), "{first:?}");
    // New measurements may be added, but none is repeated.
    let second = run(3);
    assert!(first.iter().all(|(class, choice)| second.get(class) == Some(choice)));
    tuning_record(&browser, "put(Uint8Array.of(1, 2, 3), 'tuning')");
    assert!(!run(4).is_empty());
}

#[test]
fn the_page_and_the_program_agree() {
    let browser = Browser::start(Gpu::None, WIDE);
    browser.open(&quick(50));
    let status = browser.wait_for("Finished", 120);
    let folder = tempfile::tempdir().expect("a folder");
    for (name, enabled) in [("NTP", false), ("NITP", true)] {
        let run = folder.path().join(name);
        let sets = QUICK.split('&').filter(|it| it.contains('.')).map(|it| format!("--set={it}"));
        let output = nitp()
            .args(["train", "--preset=nano", "--device=cpu", "--steps=50", "--out"])
            .arg(&run)
            .arg(format!("--set=nitp.enabled={enabled}"))
            .args(sets)
            .output()
            .expect("nitp runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = fs::read_to_string(run.join("metrics.jsonl")).expect("its log");
        let lines: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let at = |event: &str| lines.iter().rfind(|it| it["event"] == event).expect("an event");
        let (own, words) = (
            lane(&status, name),
            [("loss", "step", "ntp_loss"), ("held-out", "evaluation", "val_loss")],
        );
        for (word, event, key) in words {
            let (page, program) = (number_after(own, word), at(event)[key].as_f64().unwrap());
            assert!((page / program - 1.0).abs() < 1e-4, "{name} {key}: {page} and {program}");
        }
    }
    // The program reads the files that the page saves.
    browser.press(&['\u{e009}'], 's');
    let zip = browser.download("nitp-step-50.zip", 30);
    let names = unzip(&zip, folder.path());
    assert!(names.iter().any(|it| it.ends_with("config.toml")), "{names:?}");
    let output = nitp()
        .args(["eval", "--json", "--device=cpu"])
        .arg(folder.path().join("nitp-step-50"))
        .output()
        .expect("nitp runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let (page, program) =
        (number_after(lane(&status, "NITP"), "held-out"), found["val_loss"].as_f64().unwrap());
    assert!((page / program - 1.0).abs() < 1e-4, "{page} and {program}");
    // The model in Hugging Face's format, from the page to the program and back.
    browser.click("Save and open");
    browser.click("Save the NITP model for transformers…");
    let zip = browser.download("nitp-step-50-model.zip", 30);
    unzip(&zip, folder.path());
    let model = folder.path().join("nitp-step-50-model");
    assert!(model.join("config.json").is_file() && !model.join("config.toml").exists());
    let output = nitp()
        .args(["generate", "--prompt=The", "--max-tokens=4", "--device=cpu"])
        .arg(&model)
        .output()
        .expect("nitp runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    browser.choose("choose-zip", &zip);
    let status = browser.wait_for("Paused", 60);
    assert_eq!(step(&status), 0.0, "{status}");
    browser.press(&[], ' ');
    browser.wait_until("the opened model trains", 60, |it| step(it) >= 3.0);
}

/// Unpacks a zip into a folder. Returns the files.
fn unzip(zip: &Path, folder: &Path) -> Vec<PathBuf> {
    let mut archive = zip::ZipArchive::new(fs::File::open(zip).expect("the zip")).expect("a zip");
    let mut names = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).expect("a file");
        let path = folder.join(file.enclosed_name().expect("a plain name"));
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("its bytes");
        fs::write(&path, bytes).expect("the file");
        names.push(path);
    }
    names
}

#[test]
fn a_run_goes_on_after_a_reload() {
    let browser = Browser::start(Gpu::None, WIDE);
    browser.open(&quick(3000));
    browser.wait_until("step 20", 60, |it| step(it) >= 20.0);
    browser.press(&[], ' ');
    let status = browser
        .wait_until("paused and kept", 60, |it| it.contains("Paused") && it.contains("Kept step"));
    let kept = number_after(&status, "Kept step");
    // Without this, the reload would start a new run.
    browser.script("location.hash = location.hash.replace('&start=1', '')");
    browser.reload();
    let status = browser.wait_for("Paused", 60);
    assert_eq!(number_after(&status, "Step"), kept, "{status}");
    browser.press(&[], ' ');
    browser.wait_until("it goes on", 60, |it| number_after(it, "Step") > kept + 5.0);
}

#[test]
fn a_model_that_no_tab_can_hold_is_refused() {
    let browser = Browser::start(Gpu::None, WIDE);
    browser.open("preset=small&train.batch_size=64&train.context_length=512&device=cpu&start=1");
    let alert = browser.wait_for_alert("Error:");
    assert!(alert.contains("GB") && alert.contains("smaller preset"), "{alert}");
    // The page still works.
    browser.script("location.hash = 'preset=nano&train.steps=3&device=cpu'");
    std::thread::sleep(Duration::from_millis(500));
    browser.click("▶ Start");
    browser.wait_for("Finished", 60);
}

#[test]
fn own_text_and_text_that_is_too_short() {
    let browser = Browser::start(Gpu::None, WIDE);
    let folder = tempfile::tempdir().expect("a folder");
    let (long, short) = (folder.path().join("long.txt"), folder.path().join("short.txt"));
    fs::write(&long, "one two three four five six seven\n".repeat(400)).expect("a text");
    fs::write(&short, "one two").expect("a text");
    browser.open(&format!("{QUICK}&train.steps=20"));
    browser.wait_for("Ready", 60);
    browser.choose("choose-text", &short);
    browser.press(&[], ' ');
    let alert = browser.wait_for_alert("Error:");
    assert!(alert.contains("the training text has") && alert.contains("give more text"), "{alert}");
    browser.choose("choose-text", &long);
    browser.press(&[], ' ');
    let status = browser.wait_for("Finished", 60);
    assert!(status.contains("Text: long.txt"), "{status}");
}

#[test]
fn experts_are_shown_for_a_mixture() {
    let browser = Browser::start(Gpu::None, WIDE);
    let moe = "model.moe.num_experts=4&model.moe.moe_intermediate_size=32";
    browser.open(&format!("{}&{moe}", quick(20)));
    browser.wait_for("Finished", 120);
    browser.press(&[], '5');
    looks_like(&browser, "experts-moe");
    // In Hugging Face's format, its shared experts have gates, which the page removes again.
    browser.click("Save and open");
    browser.click("Save the NITP model for transformers…");
    let zip = browser.download("nitp-step-20-model.zip", 30);
    browser.choose("choose-zip", &zip);
    let status = browser.wait_for("Paused", 60);
    assert_eq!(step(&status), 0.0, "{status}");
}

#[test]
fn a_phone_has_one_column() {
    let browser = Browser::start(Gpu::None, Screen::Phone(360, 740));
    browser.open(&quick(20));
    browser.wait_for("Finished", 60);
    assert_eq!(browser.script("return window.innerWidth"), Value::from(360));
    looks_like(&browser, "phone");
}

#[test]
fn a_broken_link_says_why() {
    let browser = Browser::start(Gpu::None, WIDE);
    browser.open("preset=mimi");
    browser.wait_for("Ready", 60);
    let alert = browser.alert();
    assert!(alert.contains("The link can't be followed") && alert.contains("mini"), "{alert}");
    // The page follows another link without a reload.
    browser.script("location.hash = 'preset=nano&train.steps=77'");
    browser.click("▶ Start");
    browser.wait_for("of 77", 6);
}

#[test]
fn the_page_answers_while_it_trains() {
    // On the CPU a step takes seconds, so the page would not respond if it trained in its own thread.
    for (gpu, device, preset) in [(Gpu::None, "cpu", "tiny"), (Gpu::Software, "gpu", "nano")] {
        let browser = Browser::start_alone(gpu, WIDE);
        let query = quick(3000).replace("device=cpu", &format!("device={device}"));
        browser.open(&query.replace("preset=nano", &format!("preset={preset}")));
        browser.wait_until("step 2", 120, |it| step(it) >= 2.0);
        let (begin, first) = (Instant::now(), step(&browser.status()));
        // From a movement of the pointer to the end of the frame that it causes, twenty times,
        // while both runs train.
        let times = browser.script_later(
            "const done = arguments[arguments.length - 1]; const times = [];
             const canvas = document.getElementById('canvas');
             const once = () => { const begin = performance.now(); const at = 300 + 9 * times.length;
               canvas.dispatchEvent(new PointerEvent('pointermove',
                 { clientX: at, clientY: at, bubbles: true }));
               requestAnimationFrame(() => setTimeout(() => { times.push(performance.now() - begin);
                 times.length < 20 ? setTimeout(once, 50) : done(times); }, 0)); };
             once();",
        );
        let mut times: Vec<f64> =
            times.as_array().expect("times").iter().filter_map(Value::as_f64).collect();
        times.sort_by(f64::total_cmp);
        let done = browser.wait_until("more steps", 120, |it| step(it) >= first + 3.0);
        let each = 1000.0 * begin.elapsed().as_secs_f64() / (step(&done) - first);
        println!(
            "{device}: an answer takes {:.0} ms, at most {:.0}; a step of both {each:.0} ms",
            times[10], times[19]
        );
        assert!(times[10] < 1000.0, "{device}: median {} ms of {times:?}", times[10]);
        assert!(device == "gpu" || times[10] < 0.5 * each, "{times:?}, a step {each} ms");
    }
}

#[test]
fn a_hidden_tab_goes_on_training() {
    let browser = Browser::start_alone(Gpu::None, WIDE);
    browser.open(&quick(400));
    browser.wait_until("it trains", 60, |it| step(it) >= 20.0);
    let begin = Instant::now();
    browser.wait_until("100 steps", 120, |it| step(it) >= 100.0);
    let quarter = begin.elapsed();
    browser.script(
        "window.hidden = 0; document.addEventListener('visibilitychange',
           () => { if (document.hidden) window.hidden += 1; })",
    );
    browser.in_another_tab(|_| std::thread::sleep(8 * quarter));
    let back = Instant::now();
    browser.wait_for("Finished", 120);
    // The 300 steps would take more than three times as long as the first hundred.
    assert!(back.elapsed() < 2 * quarter, "{:?} after {quarter:?}", back.elapsed());
    assert_eq!(browser.script("return window.hidden"), Value::from(1));
}

#[test]
fn a_second_tab_does_not_write_over_what_the_first_keeps() {
    let browser = Browser::start(Gpu::None, WIDE);
    browser.open(&quick(20));
    browser.wait_for("Kept step 20", 60);
    browser.in_another_tab(|other| {
        other.open(&quick(5));
        other.wait_for("Finished", 60);
        let alert = other.wait_for_alert("another tab");
        assert!(!other.status().contains("Kept"), "{alert}");
    });
    browser.script("location.hash = location.hash.replace('&start=1', '')");
    browser.reload();
    browser.wait_for("Step 20 of 20", 60);
}

#[test]
fn a_long_run_needs_no_more_memory() {
    let browser = Browser::start(Gpu::None, WIDE);
    let small = "&train.context_length=16&train.batch_size=1&train.eval_batches=1";
    let query = quick(2400).replace("&train.eval_batches=2", small);
    browser.open(&query.replace("geometry_interval=10", "geometry_interval=5"));
    let memory = |status: &str| {
        (number_after(status, "Memory to train"), number_after(status, "MB, to show it"))
    };
    // By then all lists that are thinned have been thinned.
    let early = memory(&browser.wait_until("step 600", 120, |it| step(it) >= 600.0));
    let late = memory(&browser.wait_for("Finished", 300));
    println!("MB to train and to show: {early:?} at step 600, {late:?} at step 2400");
    assert!(early.0 > 1.0 && early.1 > 1.0, "{early:?}");
    assert!(late.0 - early.0 <= 8.0 && late.1 - early.1 <= 8.0, "{early:?}, then {late:?}");
}

#[test]
fn a_figure_is_saved_as_a_picture() {
    let browser = Browser::start(Gpu::None, WIDE);
    browser.open(&quick(20));
    browser.wait_for("Finished", 60);
    let save = |format: &str| {
        browser.click("Save Loss");
        browser.click(&format!("Save as {}", format.to_uppercase()));
        browser.download(&format!("nitp-loss.{format}"), 20)
    };
    let picture = image::open(save("png")).expect("a PNG").to_rgb8();
    assert!(picture.width() > 300 && picture.height() > 120, "{:?}", picture.dimensions());
    assert!(colors(&picture) > 8, "it is blank");
    let text = fs::read_to_string(save("svg")).expect("a file");
    assert!(text.contains("<svg") && text.contains("Loss"), "{text}");
}

#[test]
fn a_screen_reader_finds_and_sets_everything() {
    let browser = Browser::start(Gpu::None, WIDE);
    browser.open(&format!("{QUICK}&train.steps=20"));
    browser.wait_for("Ready", 60);
    browser.click("Curves");
    let found = browser.script(
        "const it = document.querySelector('#mirror input[aria-label=\"Seed\"]');
         it.value = 7; it.dispatchEvent(new Event('change', { bubbles: true }));
         it.value = ''; return it.type",
    );
    assert_eq!(found, Value::from("number"));
    // The app shows the entered value.
    let taken = "return document.querySelector('#mirror input[aria-label=\"Seed\"]').value";
    let begin = Instant::now();
    while browser.script(taken) != "7" {
        assert!(begin.elapsed() < Duration::from_secs(30), "{}", browser.script(taken));
        std::thread::sleep(Duration::from_millis(100));
    }
    browser.click("▶ Start");
    browser.wait_for("Finished", 60);
    let hash = browser.script("return location.hash");
    assert!(hash.as_str().unwrap_or_default().contains("train.seed=7"), "{hash}");
    browser.press(&[], '6');
    browser.click("Continue the text");
    let said = || browser.script("return document.getElementById('mirror').textContent");
    let begin = Instant::now();
    while !said().as_str().unwrap_or_default().contains("Likeliest tokens after") {
        assert!(begin.elapsed() < Duration::from_secs(60), "{}", said());
        std::thread::sleep(Duration::from_millis(200));
    }
}
