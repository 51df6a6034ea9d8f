//! Shards joined: killed at any moment, begun again, of another version.

use crate::{Bench, Said, listing};
use skyscat::io::{Manifest, read_checkpoint, write_checkpoint};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const JOB: &str = "--input in.npy --count 7 --batch 3 --steps 6 --quiet";
const CUBE: &[&str] =
    &["o.npy", "o.npy.history.csv", "o.npy.report.json", "o.npy.toml", "o.npy.manifest.json"];

/// A job in two shards.
fn shards(bench: &Bench, output: &str, seed: u64) {
    for k in [1, 2] {
        bench.good(&format!("emulate {JOB} --seed {seed} --output {output} --shard {k}/2"));
    }
}

fn merge_line(output: &str) -> String {
    format!("merge {output}.shard-1-of-2 {output}.shard-2-of-2 --output {output}")
}

fn move_to(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::rename(from, to).unwrap();
}

/// Everything but the shards, by name and content.
fn found(bench: &Bench) -> Vec<(String, Vec<u8>)> {
    let root = bench.folder.path();
    let files = listing(root).into_iter().filter(|path| path.is_file());
    let named = files.map(|path| {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        (name, std::fs::read(&path).unwrap())
    });
    named.filter(|(name, _)| !name.contains(".shard-")).collect()
}

#[test]
fn a_merge_killed_at_any_moment_is_ended_by_the_same_line() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    shards(&bench, "o.npy", 3);
    let line = merge_line("o.npy");
    let start = Instant::now();
    bench.good(&line);
    let time = start.elapsed();
    let whole = found(&bench);
    // Again: nothing is left to do, and nothing is touched.
    let said = bench.good(&line);
    assert!(said.stderr.contains("all is in place"), "{}", said.stderr);
    assert_eq!(found(&bench), whole);
    // Outputs are put in place in the order of the manifest, which comes last.
    let manifest = Manifest::read(&bench.path("o.npy.manifest.json")).unwrap();
    let mut order: Vec<String> =
        manifest.outputs.iter().map(|r| r.path.to_string_lossy().into_owned()).collect();
    order.push("o.npy.manifest.json".to_owned());
    assert_eq!(order.len(), CUBE.len());
    let staged = |name: &str| bench.path("o.npy.merging/output").join(name);
    for placed in 0..=order.len() {
        std::fs::create_dir_all(bench.path("o.npy.merging")).unwrap();
        for name in &order[placed..] {
            move_to(&bench.path(name), &staged(name));
        }
        bench.good(&line);
        assert_eq!(found(&bench), whole, "{placed} in place");
    }
    // A file of somebody else, where one was to go.
    for name in &order[1..] {
        move_to(&bench.path(name), &staged(name));
    }
    std::fs::write(bench.path("o.npy.toml"), b"mine").unwrap();
    bench.refused(&line, &["o.npy.toml", "exists"]);
    bench.good(&format!("{line} --overwrite"));
    assert_eq!(found(&bench), whole);
    // Half of the staged files, and no manifest: they are made again.
    CUBE.iter().for_each(|name| move_to(&bench.path(name), &staged(name)));
    std::fs::remove_file(staged("o.npy.manifest.json")).unwrap();
    std::fs::write(staged("o.npy"), b"half").unwrap();
    bench.good(&line);
    assert_eq!(without_command(found(&bench)), without_command(whole.clone()));
    // What happens between those states, by real kills.
    for at in 0..12 {
        CUBE.iter().for_each(|name| std::fs::remove_file(bench.path(name)).unwrap());
        let mut child = bench.command(&line).spawn().unwrap();
        std::thread::sleep(time.mul_f64(f64::from(at) / 12.0).max(Duration::from_millis(1)));
        let _ = child.kill();
        child.wait().unwrap();
        bench.good(&line);
        assert_eq!(without_command(found(&bench)), without_command(whole.clone()), "kill {at}");
    }
}

#[test]
fn a_shard_that_was_merged_and_removed_is_not_computed_again() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    shards(&bench, "o.npy", 3);
    bench.good(&merge_line("o.npy"));
    let shard = bench.path("o.npy.shard-1-of-2");
    std::fs::remove_dir_all(&shard).unwrap();
    let line = format!("emulate {JOB} --output o.npy --shard 1/2 --resume");
    let said = bench.good(&format!("{line} --seed 3"));
    assert!(said.stderr.contains("in the output already"), "{}", said.stderr);
    assert!(!shard.exists());
    // That of another job is.
    bench.good(&format!("{line} --seed 4"));
    assert!(shard.exists());
}

#[test]
fn merges_to_one_output_at_once_are_kept_apart() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    shards(&bench, "o.npy", 3);
    let line = merge_line("o.npy");
    bench.good(&line);
    let whole = without_command(found(&bench));
    for _ in 0..4 {
        CUBE.iter().for_each(|name| std::fs::remove_file(bench.path(name)).unwrap());
        let start = || bench.command(&line).stderr(Stdio::piped()).spawn().unwrap();
        let merges: Vec<_> = (0..6).map(|_| start()).collect();
        let said: Vec<Said> =
            merges.into_iter().map(|child| child.wait_with_output().unwrap().into()).collect();
        assert!(said.iter().any(|said| said.code == Some(0)));
        for refused in said.iter().filter(|said| said.code != Some(0)) {
            // Between two looks of one, another may have made or removed the folder.
            assert!(refused.stderr.contains("o.npy.merging"), "{}", refused.stderr);
        }
        assert_eq!(without_command(found(&bench)), whole);
    }
}

/// Outputs without what tells how they were asked for.
fn without_command(mut files: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    files.retain(|(name, _)| !name.ends_with("manifest.json"));
    files
}

#[test]
fn a_merge_to_a_folder_is_ended_too_and_staged_outputs_of_another_job_are_not() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    shards(&bench, "o", 3);
    shards(&bench, "p", 4);
    let line = merge_line("o");
    bench.good(&line);
    let whole = found(&bench);
    move_to(&bench.path("o"), &bench.path("o.merging/output"));
    bench.good(&line);
    assert_eq!(found(&bench), whole, "staged");
    std::fs::create_dir_all(bench.path("o.merging/replaced")).unwrap();
    std::fs::write(bench.path("o.merging/replaced/map_00000.fits"), b"old").unwrap();
    bench.good(&line);
    assert_eq!(found(&bench), whole, "in place beside what was replaced");
    // Another job in the same place: not taken for this one, neither placed nor staged.
    let other = "merge p.shard-1-of-2 p.shard-2-of-2 --output o";
    bench.refused(other, &["exists"]);
    move_to(&bench.path("o"), &bench.path("o.merging/output"));
    bench.good(other);
    let map = |files: &[(String, Vec<u8>)]| -> Vec<u8> {
        files.iter().find(|(name, _)| name == "o/map_00000.fits").unwrap().1.clone()
    };
    assert_ne!(map(&found(&bench)), map(&whole), "the seed differs");
    assert!(!bench.path("o.merging").exists());
}

#[test]
fn shards_of_another_program_version_are_refused() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    shards(&bench, "o.npy", 3);
    let age = |k: usize| {
        let path = bench.path(&format!("o.npy.shard-{k}-of-2/job.ckpt"));
        let mut header = read_checkpoint(&path).unwrap().header;
        header["stamp"]["version"] = "0.0.9".into();
        std::fs::remove_file(&path).unwrap();
        write_checkpoint(&path, &header, &[]).unwrap();
    };
    let line = merge_line("o.npy");
    age(2);
    bench.refused(&line, &["o.npy.shard-2-of-2", "version is 0.0.9 there"]);
    age(1);
    bench.refused(&line, &["o.npy.shard-1-of-2", "written by skyscat 0.0.9, this is"]);
    let resumed = format!("emulate {JOB} --seed 3 --output o.npy --shard 1/2 --resume");
    bench.refused(&resumed, &["exists"]);
}
