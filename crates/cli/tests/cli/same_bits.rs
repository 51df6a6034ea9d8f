//! One seed, one result: a table of ways to run two jobs, and shards that are merged.

use crate::Bench;

/// A cube of four batches with an average target.
const CUBE: (&str, &str) = ("--input in.npy --count 11 --seed 3 --batch 3 --steps 6", "whole.npy");
/// A folder of FITS files in f32, the targets drawn among four inputs, the maps of a batch
/// one at a time.
const FOLDER: (&str, &str) = (
    "--input in.npy --count 8 --seed 5 --batch 2 --at-once 1 --steps 5 --target single \
     --precision f32",
    "whole",
);

/// Ways to run a job; `{job}` and `{out}` stand for its flags and its output.
const WAYS: &[(&str, &[&str])] = &[
    ("1 thread", &["emulate {job} --output {out} --threads 1"]),
    ("2 threads", &["emulate {job} --output {out} --threads 2"]),
    ("7 threads", &["emulate {job} --output {out} --threads 7"]),
    (
        "saved at every iteration",
        &["emulate {job} --output {out} --checkpoint-every 1 --checkpoint-seconds 0"],
    ),
    (
        "one shard",
        &["emulate {job} --output {out} --shard 1/1", "merge {out}.shard-1-of-1 --output {out}"],
    ),
    (
        "three shards, the last first, merged in another order",
        &[
            "emulate {job} --output {out} --shard 3/3 --threads 2",
            "emulate {job} --output {out} --shard 1/3 --threads 7",
            "emulate {job} --output {out} --shard 2/3 --threads 1",
            "merge {out}.shard-2-of-3 {out}.shard-1-of-3 {out}.shard-3-of-3 --output {out}",
        ],
    ),
    (
        "more shards than batches",
        &[
            "emulate {job} --output {out} --shard 1/9",
            "emulate {job} --output {out} --shard 2/9",
            "emulate {job} --output {out} --shard 3/9",
            "emulate {job} --output {out} --shard 4/9",
            "emulate {job} --output {out} --shard 5/9",
            "emulate {job} --output {out} --shard 6/9",
            "emulate {job} --output {out} --shard 7/9",
            "emulate {job} --output {out} --shard 8/9",
            "emulate {job} --output {out} --shard 9/9",
            "merge {out}.shard-*-of-9 --output {out}",
        ],
    ),
];

/// Files of an output whose bytes must agree: maps and history.
fn compared(whole: &str, count: usize) -> Vec<(String, String)> {
    let maps = (0..count).map(|i| format!("/map_{i:05}.fits"));
    let names: Vec<String> = match whole.ends_with(".npy") {
        true => vec![String::new(), ".history.csv".to_owned()],
        false => maps.chain(["/history.csv".to_owned()]).collect(),
    };
    let other = whole.replace("whole", "other");
    names.iter().map(|name| (format!("{whole}{name}"), format!("{other}{name}"))).collect()
}

#[test]
fn the_bits_do_not_depend_on_how_a_job_is_run() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    for ((job, whole), count) in [(CUBE, 11), (FOLDER, 8)] {
        bench.good(&format!("emulate {job} --output {whole} --quiet"));
        let output = whole.replace("whole", "other");
        for (way, commands) in WAYS {
            for command in *commands {
                let line = command.replace("{job}", job).replace("{out}", &output);
                bench.good(&format!("{line} --overwrite --quiet"));
            }
            for (whole, other) in compared(whole, count) {
                assert_eq!(bench.bytes(&whole), bench.bytes(&other), "{way}: {other}");
            }
        }
        // What must differ: the seed, and the width of the numbers in the descent.
        for (from, to) in [("--seed", "--seed 9 --seed"), ("--steps", "--steps 1 --steps")] {
            let words: Vec<&str> = job.split_whitespace().collect();
            let at = words.iter().position(|word| *word == from).unwrap();
            let skipped = [&words[..at], &words[at + 2..]].concat().join(" ");
            let flags: Vec<&str> = to.split_whitespace().take(2).collect();
            let line = format!("emulate {skipped} {} --output {output}", flags.join(" "));
            bench.good(&format!("{line} --overwrite --quiet"));
            let (whole, other) = &compared(whole, count)[0];
            assert_ne!(bench.bytes(whole), bench.bytes(other), "{line}");
        }
    }
}

#[test]
fn shards_that_do_not_make_a_job_are_refused() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    bench.cube("again.npy", 8, 4);
    let job = CUBE.0;
    let shard = |more: &str| bench.good(&format!("emulate {job} --output o.npy --quiet {more}"));
    (1..=3).for_each(|k| drop(shard(&format!("--shard {k}/3"))));
    // A shard tells by itself how its batches went.
    let report: serde_json::Value =
        serde_json::from_slice(&bench.bytes("o.npy.shard-1-of-3/report.json")).unwrap();
    let batches = report["batches"].as_array().unwrap();
    let stops = batches.iter().map(|b| (b["number"].as_u64(), b["stop"].is_string()));
    assert_eq!(stops.collect::<Vec<_>>(), [(Some(0), true), (Some(3), true)]);
    assert!(bench.path("o.npy.shard-1-of-3/history.csv").is_file());
    let parts =
        |k: &[usize]| -> String { k.iter().map(|k| format!(" o.npy.shard-{k}-of-3")).collect() };
    let merge = |shards: &str, words: &[&str]| {
        bench.refused(&format!("merge {shards} --output o.npy"), words);
    };
    merge(&parts(&[1, 3]), &["missing: 2/3"]);
    merge(&parts(&[1, 2, 3, 2]), &["2/3 is given twice"]);
    merge("in.npy", &["in.npy"]);
    merge("gone*", &["no file matches"]);
    for (more, words) in [
        ("--shard 2/3 --seed 4", "seed is 4 there, 3 here"),
        ("--shard 2/3 --steps 7", "steps is 7 there, 6 here"),
        ("--shard 2/3 --input again.npy", "the content of the input"),
        ("--shard 2/4", "others are of 3"),
    ] {
        let flag = more.split_whitespace().nth(2).unwrap_or("--none");
        let words_of_job: Vec<&str> = job.split_whitespace().collect();
        let at = words_of_job.iter().position(|word| *word == flag);
        let rest = match at {
            Some(at) => [&words_of_job[..at], &words_of_job[at + 2..]].concat().join(" "),
            None => job.to_owned(),
        };
        bench.good(&format!("emulate {rest} {more} --output p.npy --quiet"));
        let other = if more.contains("2/4") { "p.npy.shard-2-of-4" } else { "p.npy.shard-2-of-3" };
        merge(&format!("{} {other}", parts(&[1, 3])), &[other, words]);
        std::fs::remove_dir_all(bench.path(other)).unwrap();
    }
    // A batch that is missing, damaged, or of another shard.
    let batch = bench.path("o.npy.shard-2-of-3/average-batch0001.batch");
    let bytes = std::fs::read(&batch).unwrap();
    let all = parts(&[1, 2, 3]);
    std::fs::remove_file(&batch).unwrap();
    merge(&all, &["average-batch0001.batch"]);
    let mut damaged = bytes.clone();
    damaged[1000] ^= 1;
    std::fs::write(&batch, damaged).unwrap();
    merge(&all, &["average-batch0001.batch", "has changed"]);
    std::fs::write(&batch, &bytes).unwrap();
    let manifest = bench.path("o.npy.shard-2-of-3/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("batch0001", "batch0000")).unwrap();
    merge(&all, &["batch average-batch0001 is missing"]);
    std::fs::write(&manifest, text).unwrap();
    for word in ["0/3", "4/3", "1/0", "1", "a/b", "-1/2"] {
        let line = format!("emulate {job} --output q.npy --shard={word}");
        bench.refused(&line, &["--shard", "k/n"]);
    }
    std::fs::write(bench.path("o.npy"), b"mine").unwrap();
    merge(&all, &["exists"]);
}
