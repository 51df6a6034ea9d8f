//! Runs that are killed, run out of disk or come upon infinities: what is kept, and
//! that what follows ends in the same bits.

use crate::devices::is_there;
use crate::{Bench, Said, listing};
use skyscat::io::{FileRecord, Manifest};
use skyscat::num::Seed;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Four batches of 3 maps; a save every second iteration.
const RUN: &str = "emulate --input in.npy --count 11 --seed 3 --batch 3 --steps 24 \
                   --checkpoint-every 2 --checkpoint-seconds 0 --threads 1 --quiet";

/// Seed of the moments; another one is as good.
const MOMENTS: u64 = 20251;

/// Names of everything in the folder that a run writes, without process numbers.
fn state(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let whole: Vec<&str> =
            name.split('.').filter(|part| part.parse::<u64>().is_err()).collect();
        names.push(whole.join("."));
        if path.is_dir() {
            names.extend(state(&path).into_iter().map(|inner| format!("{name}/{inner}")));
        }
    }
    names.sort();
    names
}

/// Counts the changes of a folder as far as they can be seen from outside.
struct Changes {
    folder: PathBuf,
    last: Vec<String>,
    seen: usize,
}

impl Changes {
    fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), last: state(folder), seen: 0 }
    }

    fn look(&mut self) -> usize {
        let now = state(&self.folder);
        self.seen += usize::from(now != self.last);
        self.last = now;
        self.seen
    }
}

/// Runs to the end and tells how long it took and how often the folder changed.
fn watched(bench: &Bench, line: &str) -> (Duration, usize) {
    let ended = killed(bench, line, |_, _| false);
    ended.expect_err("a run that nobody kills ends by itself")
}

/// Iterations saved in the folder of unfinished work: none of a batch twice.
fn saved_iterations(partial: &Path) -> usize {
    let length = |path: PathBuf| -> usize {
        let Ok(file) = skyscat::io::read_checkpoint(&path) else { return 0 };
        file.array("history").map_or(0, |history| history.len() - 1)
    };
    let Ok(entries) = std::fs::read_dir(partial) else { return 0 };
    let mut batches = std::collections::BTreeMap::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|e| e == "batch" || e == "descent") {
            let most = batches.entry(path.file_stem().unwrap().to_owned()).or_insert(0);
            *most = length(path).max(*most);
        }
    }
    batches.values().sum()
}

/// Starts a run and kills it when `now`, given the time and the changes of the folder
/// since the start, says so; what had been saved by then must be there after it.
///
/// # Errors
/// Time and changes of a run that ended by itself before.
fn killed(
    bench: &Bench,
    line: &str,
    mut now: impl FnMut(Duration, usize) -> bool,
) -> Result<(), (Duration, usize)> {
    let output = line.split_whitespace().skip_while(|word| *word != "--output").nth(1).unwrap();
    let partial = bench.path(&format!("{output}.partial"));
    let mut changes = Changes::of(bench.folder.path());
    let mut child = bench.command(line).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    loop {
        let ended = child.try_wait().unwrap();
        let (elapsed, seen) = (start.elapsed(), changes.look());
        if let Some(status) = ended {
            assert!(status.success(), "{line}: {status}");
            return Err((elapsed, seen));
        }
        if now(elapsed, seen) {
            let before = saved_iterations(&partial);
            child.kill().unwrap();
            child.wait().unwrap();
            let removed = bench.path(output).exists();
            assert!(removed || saved_iterations(&partial) >= before, "a saved iteration was lost");
            return Ok(());
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Every file that the output consists of is whole, and the manifest says so.
fn check_output(bench: &Bench, output: &str, whole: &str) {
    let name = |suffix: &str| match output.ends_with(".npy") {
        true => (format!("{output}{suffix}"), format!("{whole}{suffix}")),
        false => (format!("{output}/{}", &suffix[1..]), format!("{whole}/{}", &suffix[1..])),
    };
    let (own, other) = name(".history.csv");
    assert_eq!(bench.bytes(&own), bench.bytes(&other), "{own}");
    let maps: Vec<(String, String)> = match output.ends_with(".npy") {
        true => vec![(output.to_owned(), whole.to_owned())],
        false => (0..11)
            .map(|i| (format!("{output}/map_{i:05}.fits"), format!("{whole}/map_{i:05}.fits")))
            .collect(),
    };
    for (own, other) in maps {
        assert_eq!(bench.bytes(&own), bench.bytes(&other), "{own}");
    }
    let manifest = name(".manifest.json").0;
    let manifest = Manifest::read(&bench.path(&manifest)).unwrap();
    for record in manifest.outputs {
        FileRecord { path: bench.path(record.path.to_str().unwrap()), ..record }.check().unwrap();
    }
    let left = listing(bench.folder.path());
    let left = left.iter().map(|path| path.to_string_lossy()).filter(|path| {
        path.contains(".partial") || path.ends_with(".tmp") || path.contains(".old")
    });
    assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new());
}

/// 25 runs are killed, half at a random time and half after a random number of changes
/// of the disk, some of them twice; each is resumed to its end. Runs differ in how fast
/// they are, and in how many of their changes can be seen: a run that ended before its
/// moment came is no kill, and shows how early the next moment must be.
#[test]
#[allow(clippy::print_stderr, reason = "a failure is repeated with its seed")]
fn a_run_killed_at_any_moment_resumes_to_the_same_bits() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    eprintln!("seed of the moments: {MOMENTS}");
    let mut random = Seed(MOMENTS).stream("kill").index(0, 0);
    let mut attempts = 0;
    for (kind, whole, wanted) in [(".npy", "whole.npy", 13), ("", "whole", 12)] {
        let (mut time, mut changes) = watched(&bench, &format!("{RUN} --output {whole}"));
        assert!(changes > 20, "{changes} changes were seen");
        let output = format!("o{kind}");
        let line = format!("{RUN} --output {output}");
        let mut hits = 0;
        while hits < wanted {
            clear(&bench, &output);
            attempts += 1;
            let after = time.mul_f64(random.below(1_000_000) as f64 / 1e6);
            let change = 1 + random.below(changes);
            let kill = |line: &str| match attempts % 2 {
                0 => killed(&bench, line, |elapsed, _| elapsed >= after),
                _ => killed(&bench, line, |_, seen| seen >= change),
            };
            if let Err((ended, seen)) = kill(&line) {
                (time, changes) = (time.min(ended), changes.min(seen.max(1)));
                continue;
            }
            hits += 1;
            if hits % 3 == 0 {
                let _ = kill(&format!("{line} --resume"));
            }
            bench.good(&format!("{line} --resume"));
            check_output(&bench, &output, whole);
        }
    }
    eprintln!("25 kills in {attempts} attempts");
}

/// Whether a run that is left alone saves its batch on the way.
fn saves(bench: &Bench, line: &str) -> bool {
    let mut seen = false;
    let look = |_, _| {
        seen |= state(bench.folder.path()).iter().any(|name| name.ends_with(".descent"));
        false
    };
    killed(bench, line, look).expect_err("nobody kills it");
    seen
}

#[test]
fn a_batch_is_saved_no_sooner_than_it_is_asked() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    let line = "emulate --input in.npy --count 3 --seed 3 --batch 3 --steps 100 --threads 1 \
                --quiet --checkpoint-every 1 --checkpoint-seconds";
    assert!(!saves(&bench, &format!("{line} 3600 --output rarely.npy")));
    assert!(saves(&bench, &format!("{line} 0 --output often.npy")));
    assert_eq!(bench.bytes("rarely.npy"), bench.bytes("often.npy"));
}

/// Removes an output and all beside it.
fn clear(bench: &Bench, output: &str) {
    for entry in std::fs::read_dir(bench.folder.path()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with(output) {
            let path = entry.path();
            let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
        }
    }
}

/// A small file system of its own, if this may be mounted.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, kib: usize) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let options = format!("size={kib}k");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then(|| Self(folder.to_owned()))
    }

    fn enlarge(&self) {
        let mut mount = Command::new("mount");
        mount.args(["-o", "remount,size=64m"]).arg(&self.0);
        assert!(mount.status().unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_ends_a_run_with_a_reason_and_room_lets_it_go_on() {
    let bench = Bench::new();
    bench.cube("in.npy", 8, 4);
    bench.good(&format!("{RUN} --output whole.npy"));
    let line = format!("{RUN} --output disk/o.npy");
    let mut stopped = 0;
    // From no room for a single batch to room for everything but the saves.
    for kib in [20, 60, 120, 200, 280, 400] {
        let Some(disk) = SmallDisk::mount(&bench.path("disk"), kib) else {
            let name = "a_full_disk_ends_a_run_with_a_reason_and_room_lets_it_go_on";
            return skyscat_tests::skip(name, "tmpfs may not be mounted here");
        };
        let said = bench.run(&line);
        if said.code != Some(0) {
            stopped += 1;
            assert_eq!(said.code, Some(1), "{kib} KiB: {}", said.stderr);
            assert!(said.stderr.contains("No space left"), "{kib} KiB: {}", said.stderr);
            assert!(!bench.path("disk/o.npy").exists());
            disk.enlarge();
            bench.good(&format!("{line} --resume"));
        }
        assert_eq!(bench.bytes("disk/o.npy"), bench.bytes("whole.npy"), "{kib} KiB");
        assert_eq!(bench.bytes("disk/o.npy.history.csv"), bench.bytes("whole.npy.history.csv"));
    }
    assert!(stopped >= 3, "only {stopped} runs filled their disk");
}

#[test]
#[cfg(unix)]
fn a_file_that_may_not_grow_ends_a_run_with_a_reason() {
    let bench = Bench::new();
    bench.cube("in.npy", 8, 4);
    bench.good(&format!("{RUN} --output whole.npy"));
    let line = format!("{RUN} --output o.npy");
    // Blocks of 512 bytes or 1 KiB: a batch has 37 KiB, the cube 132.
    for blocks in [30, 60, 120] {
        let program = env!("CARGO_BIN_EXE_skyscat");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec {program} {line} --resume");
        let mut shell = Command::new("sh");
        shell.current_dir(bench.folder.path()).args(["-c", &script]);
        let said: Said = shell.output().unwrap().into();
        assert_eq!(said.code, Some(1), "{blocks} blocks: {}", said.stderr);
        assert!(said.stderr.contains("File too large"), "{blocks} blocks: {}", said.stderr);
        assert!(!bench.path("o.npy").exists());
    }
    bench.good(&format!("{line} --resume"));
    check_output(&bench, "o.npy", "whole.npy");
}

#[test]
fn two_processes_do_not_work_on_one_run() {
    let bench = Bench::new();
    bench.cube("in.npy", 8, 4);
    let line = format!("{RUN} --output o.npy");
    let mut child = bench.command(&line).stderr(Stdio::piped()).spawn().unwrap();
    while !bench.path("o.npy.partial/manifest.json").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was met");
    }
    for more in ["--resume", "--overwrite"] {
        let said = bench.run(&format!("{line} {more}"));
        assert_eq!(said.code, Some(1), "{more}: {}", said.stderr);
        assert!(said.stderr.contains("another process is at work"), "{}", said.stderr);
    }
    assert!(child.wait().unwrap().success());
}

/// A lock of this process stands for that of another at work.
#[test]
fn two_processes_do_not_write_one_output() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 8);
    let job = "emulate --input in.npy --count 4 --seed 1 --batch 2 --steps 1 --quiet";
    for k in [1, 2] {
        bench.good(&format!("{job} --shard {k}/2 --output o.npy"));
    }
    let scan = "simulate --rate 0.137 --chunk 19570 --nside 8 --nside-out 4 -n 1 --seed 1 -q";
    let judge = "validate --reference in.npy --emulated in.npy --input in.npy --modes 1 \
                 --measured 0 --quiet --report";
    for (line, work, done) in [
        (format!("{job} --output e.npy --overwrite"), "e.npy.partial", "e.npy"),
        (
            "merge o.npy.shard-1-of-2 o.npy.shard-2-of-2 -q -o o.npy".into(),
            "o.npy.merging",
            "o.npy",
        ),
        (format!("{scan} -o d.npy"), "d.npy.partial", "d.npy"),
        (format!("{scan} --full -o f.npy"), "f.npy.partial", "f.npy"),
        (format!("{judge} r"), "r.partial", "r/report.json"),
    ] {
        std::fs::create_dir(bench.path(work)).unwrap();
        let lock = std::fs::File::create(bench.path(work).join("lock")).unwrap();
        lock.try_lock().unwrap();
        bench.refused(&line, &[work, "another process is at work"]);
        drop(lock);
        let said = bench.run(&line);
        assert!(bench.path(done).exists(), "{line}: {}", said.stderr);
        assert!(!bench.path(work).exists(), "{line}: {work} is left");
    }
}

/// A settings file says how to run again, by the name that it has in place.
#[test]
fn settings_beside_an_output_name_themselves() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    let job = "emulate --input in.npy --count 2 --seed 1 --batch 2 --steps 1 --quiet";
    let scan = "simulate --rate 0.137 --chunk 19570 --nside 8 --nside-out 4 -n 1 --seed 1 -q";
    for (line, command, settings) in [
        (format!("{job} -o o.npy"), "emulate", "o.npy.toml"),
        (format!("{job} -o o"), "emulate", "o/config.toml"),
        (format!("{scan} -o s.npy"), "simulate", "s.npy.toml"),
        (format!("{scan} -o s"), "simulate", "s/config.toml"),
    ] {
        bench.good(&line);
        let text = String::from_utf8(bench.bytes(settings)).unwrap();
        let again = format!("again with: skyscat {command} --config {settings}\n");
        assert!(text.lines().next().unwrap().ends_with(again.trim_end()), "{text}");
        bench.good(&format!("{command} --config {settings} -q --overwrite"));
    }
}

#[test]
fn a_batch_put_in_place_of_another_is_refused_and_a_removed_one_computed_again() {
    let bench = Bench::new();
    bench.cube("in.npy", 8, 4);
    bench.good(&format!("{RUN} --output whole.npy"));
    let line = format!("{RUN} --output o.npy");
    let second = bench.path("o.npy.partial/average-batch0001.batch");
    assert!(killed(&bench, &line, |_, _| second.exists()).is_ok());
    // What the killed process was writing, which the next one would clear away.
    for entry in std::fs::read_dir(bench.path("o.npy.partial")).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with('.') {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    // One of the same run that is not what the manifest lists, under a good checksum.
    let first = bench.path("o.npy.partial/average-batch0000.batch");
    let bytes = std::fs::read(&first).unwrap();
    let file = skyscat::io::read_checkpoint(&first).unwrap();
    let mut arrays = file.arrays.clone();
    arrays[0].1[7] += 1e-12;
    let views: Vec<_> = arrays
        .iter()
        .map(|(name, values)| (name.as_str(), ndarray::ArrayView1::from(values)))
        .collect();
    skyscat::io::write_checkpoint(&first, &file.header, &views).unwrap();
    bench.refused(&format!("{line} --resume"), &["average-batch0000.batch", "has changed"]);
    std::fs::write(&first, bytes).unwrap();
    std::fs::remove_file(&second).unwrap();
    bench.good(&format!("{line} --resume"));
    check_output(&bench, "o.npy", "whole.npy");
    // A finished run is left as it is; one that differs is refused.
    let said = bench.good(&format!("{line} --resume"));
    assert!(said.stderr.contains("nothing is left to do"), "{}", said.stderr);
    bench.refused(&format!("{line} --resume").replace("--seed 3", "--seed 4"), &["exists"]);
}

#[test]
fn batches_with_infinities_are_named_and_tried_again_and_the_others_finished() {
    some_fail("--device cpu --steps 24");
}

#[test]
fn batches_with_infinities_fail_alone_though_others_run_beside_them_on_a_gpu() {
    if is_there("infinities on a GPU") {
        some_fail("--device gpu --wide 4 --steps 3");
    }
}

/// Some batches of a run fail and the others are finished.
fn some_fail(device: &str) {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    let run = RUN.replace("--steps 24", "");
    let line = format!("{run} --precision f32 {device} --output o.npy");
    let run = |weight: f64, more: &str| {
        let said = bench.run(&format!("{line} --auto-weight {weight:e} {more}"));
        (said.code, said.stderr)
    };
    // The gradient of one batch exceeds 32-bit floats at a weight where that of another
    // does not: found by halving between a weight at which all do and one at which none.
    let failures = |text: &str| text.matches("\n  average-batch").count();
    // On a GPU its square does, too, for products are f32 there.
    let (mut low, mut high) = (1e12, 1e42);
    let mut found = None;
    for _ in 0..40 {
        let weight = f64::sqrt(low * high);
        let (code, text) = run(weight, "--overwrite");
        match (code, failures(&text)) {
            (Some(0), _) => {
                clear(&bench, "o.npy");
                low = weight;
            }
            (Some(4), 4) => high = weight,
            (Some(4), _) => {
                found = Some((weight, text));
                break;
            }
            _ => panic!("{code:?} at weight {weight:e}: {text}"),
        }
    }
    let (weight, text) = found.expect("a weight at which some batches fail and others do not");
    let failed = failures(&text);
    assert!(text.contains(&format!("{failed} of 4 batches failed")), "{text}");
    assert!(text.contains("not finite at the start") || text.contains("iteration "), "{text}");
    assert!(text.contains("gradient") && text.contains("SC(Q)"), "{text}");
    assert!(text.contains("try these again with:"), "{text}");
    assert!(!bench.path("o.npy").exists());
    let manifest = Manifest::read(&bench.path("o.npy.partial/manifest.json")).unwrap();
    assert_eq!(manifest.outputs.len(), 4 - failed);
    let (code, again) = run(weight, "--resume");
    assert_eq!((code, failures(&again)), (Some(4), failed), "{again}");
    let after = Manifest::read(&bench.path("o.npy.partial/manifest.json")).unwrap();
    assert_eq!(after.outputs, manifest.outputs, "finished batches are not computed again");
}
