//! The example job scripts, run as their scheduler would run them.

use crate::{Bench, Said};
use std::path::Path;
use std::process::Command;

/// Runs a committed script with `skyscat` on the path and these variables.
fn script(bench: &Bench, name: &str, variables: &[(&str, &str)]) -> Said {
    let folder = Path::new(env!("CARGO_BIN_EXE_skyscat")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/hpc").join(name);
    let mut bash = Command::new("bash");
    bash.arg(file).current_dir(bench.folder.path()).env("PATH", path);
    bash.envs(variables.iter().copied()).output().unwrap().into()
}

#[test]
#[cfg(target_os = "linux")]
fn the_slurm_scripts_make_the_bits_of_one_run_though_a_task_is_submitted_twice() {
    let bench = Bench::new();
    bench.cube("in.npy", 4, 4);
    std::fs::write(
        bench.path("run.toml"),
        "[input]\ninput = [\"in.npy\"]\n[emulate]\ncount = 11\nseed = 3\nbatch = 3\nsteps = 6\n",
    )
    .unwrap();
    bench.good("emulate --config run.toml --output whole.npy --quiet");
    for task in ["3", "1", "1"] {
        let variables = [("SLURM_ARRAY_TASK_ID", task), ("SLURM_ARRAY_TASK_COUNT", "3")];
        let said = script(&bench, "emulate.sbatch", &variables);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
    }
    let early = script(&bench, "merge.sbatch", &[]);
    assert_eq!(early.code, Some(1), "merged without shard 2: {}", early.stderr);
    assert!(early.stderr.contains("missing: 2/3"), "{}", early.stderr);
    let variables = [("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_TASK_COUNT", "3")];
    assert_eq!(script(&bench, "emulate.sbatch", &variables).code, Some(0));
    let said = script(&bench, "merge.sbatch", &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(bench.bytes("emulated.npy"), bench.bytes("whole.npy"));
}
