//! Several processes under mpirun, where the program was built for them.

use crate::{Bench, Said};
use skyscat::io::read_npy;
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
        // Finished: nothing is left to do.
        good(&bench, processes, &format!("{line} --resume"));
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
    bench.cube("in.npy", 4, 4);
    bench.good(&format!("{JOB} --output whole.npy --quiet"));
    // Loss at the start and maps follow those of one process to rounding.
    let start = |name: &str| -> f64 {
        let text = String::from_utf8(bench.bytes(&format!("{name}.history.csv"))).unwrap();
        let mut lines = text.lines().map(|line| line.split(','));
        let at = lines.next().unwrap().position(|name| name == "loss").expect("a column");
        lines.next().unwrap().nth(at).unwrap().parse().unwrap()
    };
    let whole = read_npy(&bench.path("whole.npy")).unwrap();
    let peak = whole.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let follows = |name: &str| {
        let maps = read_npy(&bench.path(name)).unwrap();
        let off = maps.iter().zip(&whole).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        assert!(off <= 1e-9 * peak, "{name}: {off:e} of {peak:e}");
    };
    for processes in [1, 2, 3] {
        let output = format!("o{processes}.npy");
        good(&bench, processes, &format!("{JOB} --output {output} --mpi maps --quiet"));
        let (own, one) = (start(&output), start("whole.npy"));
        assert!((own / one - 1.0).abs() <= 1e-12, "{processes} processes: {own} and {one}");
        follows(&output);
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
    follows("k.npy");
    // A setting that cannot be kept ends all processes.
    let said = run(&bench, 5, &format!("{JOB} --output f.npy --mpi maps"));
    assert_ne!(said.code, Some(0));
    assert!(said.stderr.contains("at least one map for each rank"), "{}", said.stderr);
}
