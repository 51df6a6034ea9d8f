//! Several processes under mpirun, where the program was built for them.

use crate::{Bench, Said, listing};
use skyscat::io::read_npy;
use skyscat::num::Seed;
use skyscat_tests::skip;
use std::process::{Command, Stdio};

const JOB: &str = "emulate --input in.npy --count 11 --seed 3 --batch 4 --steps 12 --threads 1";

/// The program as so many processes of one mpirun.
fn mpirun(bench: &Bench, processes: usize) -> Command {
    let mut mpirun = Command::new("mpirun");
    mpirun.current_dir(bench.folder.path()).env("OMPI_MCA_rmaps_base_oversubscribe", "1");
    mpirun.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    mpirun.args(["-n", &processes.to_string(), env!("CARGO_BIN_EXE_skyscat")]);
    mpirun
}

fn run(bench: &Bench, processes: usize, line: &str) -> Said {
    mpirun(bench, processes).args(line.split_whitespace()).output().unwrap().into()
}

fn good(bench: &Bench, processes: usize, line: &str) -> Said {
    let said = run(bench, processes, line);
    assert_eq!(said.code, Some(0), "{processes} processes: {line}\n{}", said.stderr);
    said
}

/// Whether there is an mpirun for this program; says it if not.
fn is_there(test: &str) -> bool {
    if !cfg!(feature = "mpi") {
        skip(test, "the program was built without the feature mpi");
        return false;
    }
    let mut version = Command::new("mpirun");
    let version = version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = version.is_ok_and(|status| status.success());
    if !there {
        skip(test, "there is no mpirun");
    }
    there
}

#[test]
#[cfg(not(feature = "mpi"))]
fn a_program_without_mpi_refuses_to_share_a_job_out() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    for word in ["batches", "maps"] {
        let line = format!("{JOB} --output o.npy --mpi {word}");
        bench.refused(&line, &[&format!("--mpi {word}"), "without the feature mpi"]);
    }
    bench.refused(&format!("{JOB} --output o.npy --mpi rows"), &["batches", "maps"]);
}

#[test]
fn batches_over_processes_have_the_bits_of_one() {
    if !is_there("batches over processes") {
        return;
    }
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    bench.good(&format!("{JOB} --output whole.npy --quiet"));
    // One process and one batch each, fewer, and more processes than batches.
    for processes in [1, 2, 3, 4] {
        let line = format!("{JOB} --output o{processes}.npy --mpi batches --quiet");
        good(&bench, processes, &line);
        for suffix in ["", ".history.csv"] {
            let (own, other) = (format!("o{processes}.npy{suffix}"), format!("whole.npy{suffix}"));
            assert_eq!(bench.bytes(&own), bench.bytes(&other), "{own}");
        }
        // Finished: the shards are gone, and nothing is left to do.
        let before = listing(bench.folder.path());
        assert!(!before.iter().any(|path| path.to_string_lossy().contains(".shard-")));
        good(&bench, processes, &format!("{line} --resume"));
        assert_eq!(listing(bench.folder.path()), before);
        let said = run(&bench, processes, &line);
        assert!(said.code != Some(0) && said.stderr.contains("exists"), "{}", said.stderr);
    }
    // Killed while it merged, or while it removed what was merged.
    let line = format!("{JOB} --output o2.npy --mpi batches --quiet --resume");
    let shard = |k: usize| bench.good(&format!("{JOB} --output o2.npy --shard {k}/2 --quiet"));
    let emptied = bench.path("o2.npy.shard-1-of-2");
    for cut in ["whole shards", "no batches", "no job", "no shard"] {
        (1..=2).for_each(|k| drop(shard(k)));
        match cut {
            "no batches" => std::fs::remove_file(emptied.join("average-batch0000.batch")).unwrap(),
            "no job" => std::fs::remove_file(emptied.join("job.ckpt")).unwrap(),
            "no shard" => std::fs::remove_dir_all(&emptied).unwrap(),
            _ => {}
        }
        good(&bench, 2, &line);
        assert_eq!(bench.bytes("o2.npy"), bench.bytes("whole.npy"), "{cut}");
        let left = listing(bench.folder.path());
        assert!(!left.iter().any(|path| path.to_string_lossy().contains(".shard-")), "{cut}");
    }
    let said = run(&bench, 2, &format!("{JOB} --output s.npy --mpi batches --shard 1/2"));
    assert_ne!(said.code, Some(0));
    assert!(said.stderr.contains("give no --shard"), "{}", said.stderr);
}

#[test]
fn maps_over_processes_follow_those_of_one_and_resume_with_another_number() {
    if !is_there("maps over processes") {
        return;
    }
    let bench = Bench::new();
    let data = bench.cube("in.npy", 4, 4);
    bench.good(&format!("{JOB} --output whole.npy --quiet"));
    let start = |name: &str| -> f64 {
        let text = String::from_utf8(bench.bytes(&format!("{name}.history.csv"))).unwrap();
        let mut lines = text.lines().map(|line| line.split(','));
        let at = lines.next().unwrap().position(|name| name == "loss").expect("a column");
        lines.next().unwrap().nth(at).unwrap().parse().unwrap()
    };
    let whole = read_npy(&bench.path("whole.npy")).unwrap();
    // How far a run is from that of one process: in its loss at the start, and in its maps.
    let apart = |name: &str| -> [f64; 2] {
        let maps = read_npy(&bench.path(name)).unwrap();
        let off = maps.iter().zip(&whole).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        [(start(name) / start("whole.npy") - 1.0).abs(), off]
    };
    // Other sums of pixels are off by roundings, as inputs are that differ in last bits.
    // What these do is measured; several times that is allowed.
    let near = JOB.replace("in.npy", "near.npy");
    let mut bits = [0.0f64; 2];
    for seed in 0..4 {
        let mut signs = Seed(seed).stream("signs").index(0, 0);
        bench.write("near.npy", &data.mapv(|x| x * (1.0 + f64::EPSILON * signs.normal().signum())));
        bench.good(&format!("{near} --output n{seed}.npy --quiet"));
        let found = apart(&format!("n{seed}.npy"));
        bits = [bits[0].max(found[0]), bits[1].max(found[1])];
    }
    let follows = |name: &str| {
        let found = apart(name);
        (0..2).all(|i| found[i] <= 8.0 * bits[i])
    };
    // Must fail: a number off by a millionth, and single precision.
    let mut other = data.clone();
    other[[2, 1, 77]] *= 1.0 + 1e-6;
    bench.write("near.npy", &other);
    bench.good(&format!("{near} --output changed.npy --quiet"));
    bench.good(&format!("{JOB} --output single.npy --precision f32 --quiet"));
    for name in ["changed.npy", "single.npy"] {
        let found = apart(name);
        let seen = (0..2).all(|i| found[i] > 8.0 * bits[i]);
        assert!(seen, "{name} passes for the same: {found:?}, {bits:?} by last bits");
    }
    for processes in [1, 2, 3] {
        let output = format!("o{processes}.npy");
        good(&bench, processes, &format!("{JOB} --output {output} --mpi maps --quiet"));
        let found = apart(&output);
        assert!(follows(&output), "{processes} processes: {found:?}, {bits:?} by last bits");
    }
    // Killed by mpirun at a save; another number of processes goes on.
    let line = format!("{JOB} --output k.npy --mpi maps --checkpoint-every 2 --quiet");
    let mut child = mpirun(&bench, 3).args(line.split_whitespace()).spawn().unwrap();
    let saved = bench.path("k.npy.partial/average-batch0001.descent");
    while !saved.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was stopped");
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // The processes of a dead mpirun end by themselves, and let go of their folder.
    let mut resumed = (0..100).map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        run(&bench, 2, &format!("{line} --resume"))
    });
    let last = resumed.find(|said| !said.stderr.contains("another process is at work"));
    let said = last.expect("the processes end");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(follows("k.npy"), "{:?}, {bits:?} by last bits", apart("k.npy"));
    // A setting that cannot be kept ends all processes.
    let said = run(&bench, 5, &format!("{JOB} --output f.npy --mpi maps"));
    assert_ne!(said.code, Some(0));
    assert!(said.stderr.contains("at least one map for each rank"), "{}", said.stderr);
}
