//! `cargo xtask bench`: the benchmarks, and beside their floors with `--record`.

use crate::{cargo, say};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::SystemTime;

/// What to run, and where to write it down.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which: kernels, evaluation, runs, validation [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Write a table beside the floors; benches/record/PROCESSOR-COMMIT.md unless FILE is given
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    record: Option<Option<PathBuf>>,
}

const ALL: [&str; 4] = ["kernels", "evaluation", "runs", "validation"];

/// Seconds, by kind: arithmetic or memory.
type Floors = BTreeMap<String, BTreeMap<String, f64>>;

/// What criterion found for one benchmark, in seconds.
#[derive(Clone, Debug, PartialEq)]
struct Measured {
    id: String,
    mean: f64,
    error: f64,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let names = match args.names.is_empty() {
        true => ALL.map(str::to_owned).to_vec(),
        false => args.names.clone(),
    };
    for name in &names {
        let known = ALL.join(", ");
        ensure!(ALL.contains(&name.as_str()), "no benchmark is called {name}: {known}");
    }
    let machine = Machine::look()?;
    let file = args.record.as_ref().map(|file| file.clone().unwrap_or_else(|| machine.file()));
    if let Some(file) = &file {
        ensure!(!file.exists(), "{} exists; name another with --record FILE", file.display());
    }
    let start = SystemTime::now();
    let mut floors = Floors::new();
    for name in &names {
        bench(name, &mut floors)?;
    }
    if let Some(file) = file {
        let measured = criterion(&target()?.join("criterion"), start)?;
        std::fs::create_dir_all(file.parent().expect("a file in a folder"))?;
        let text = table(&machine, &measured, &floors);
        std::fs::write(&file, text).with_context(|| file.display().to_string())?;
        say::line(&format!("{}: {} measurements", file.display(), measured.len()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs one benchmark and collects the floors that it prints.
fn bench(name: &str, floors: &mut Floors) -> Result<()> {
    let mut child = cargo::cargo()
        .args(["bench", "--package", "skyscat-benches", "--bench", name])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("cargo bench")?;
    let output = BufReader::new(child.stdout.take().expect("piped"));
    for line in output.lines() {
        let line = line?;
        if let Some((id, kind, seconds)) = floor(&line) {
            floors.entry(id).or_default().insert(kind, seconds);
        } else {
            say::line(&line);
        }
    }
    let status = child.wait()?;
    ensure!(status.success(), "the benchmark {name} failed: {status}");
    Ok(())
}

/// `floor ID SECONDS KIND`.
fn floor(line: &str) -> Option<(String, String, f64)> {
    let mut words = line.strip_prefix("floor ")?.split_whitespace();
    let (id, seconds, kind) = (words.next()?, words.next()?, words.next()?);
    Some((id.to_owned(), kind.to_owned(), seconds.parse().ok()?))
}

fn target() -> Result<PathBuf> {
    let metadata = cargo::metadata()?;
    Ok(metadata["target_directory"].as_str().context("cargo names its target directory")?.into())
}

/// What criterion has written since `start`.
fn criterion(folder: &Path, start: SystemTime) -> Result<Vec<Measured>> {
    let mut list = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let new = entry?.path().join("new");
        let file = new.join("estimates.json");
        if !file.is_file() || file.metadata()?.modified()? < start {
            continue;
        }
        let read = |file: PathBuf| -> Result<Value> {
            let text = std::fs::read(&file).with_context(|| file.display().to_string())?;
            serde_json::from_slice(&text).with_context(|| file.display().to_string())
        };
        let (estimates, benchmark) = (read(file)?, read(new.join("benchmark.json"))?);
        let number = |name: &str| estimates["mean"][name].as_f64().map(|ns| 1e-9 * ns);
        list.push(Measured {
            id: benchmark["full_id"].as_str().context("criterion names its benchmark")?.to_owned(),
            mean: number("point_estimate").context("an estimate of the mean")?,
            error: number("standard_error").context("and its error")?,
        });
    }
    list.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(list)
}

/// Where and of what a record was made.
struct Machine {
    processor: String,
    cores: usize,
    load: String,
    rustc: String,
    commit: String,
    date: String,
    changed: bool,
}

impl Machine {
    fn look() -> Result<Self> {
        let git = |arguments: &[&str]| said(Command::new("git").args(arguments));
        Ok(Self {
            processor: processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism()?.get(),
            load: std::fs::read_to_string("/proc/loadavg")
                .ok()
                .and_then(|text| text.split_whitespace().next().map(str::to_owned))
                .unwrap_or_else(|| "unknown".to_owned()),
            rustc: said(Command::new("rustc").arg("--version"))?,
            commit: git(&["rev-parse", "--short", "HEAD"])?,
            date: git(&["show", "--no-patch", "--format=%cs", "HEAD"])?,
            changed: !git(&["status", "--porcelain"])?.is_empty(),
        })
    }

    fn file(&self) -> PathBuf {
        let letters =
            |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let processor: String = self.processor.chars().map(letters).collect();
        let words: Vec<&str> = processor.split('-').filter(|w| !w.is_empty()).collect();
        let name = format!("{}-{}.md", words.join("-"), self.commit);
        cargo::root().join("benches/record").join(name)
    }
}

fn said(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.current_dir(cargo::root()).output().with_context(|| name.clone())?;
    ensure!(output.status.success(), "{name} failed: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn processor() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|l| l.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn table(machine: &Machine, measured: &[Measured], floors: &Floors) -> String {
    let Machine { processor, cores, load, rustc, commit, date, changed } = machine;
    let changed = if *changed { ", with changes" } else { "" };
    let mut text = format!(
        "# Benchmarks of {commit}{changed}\n\n{processor}, {cores} cores, load {load} at the \
         start; {rustc}; commit of {date}. Written by `cargo xtask bench --record`.\n\n\
         Gap: the measured mean over the arithmetic floor.\n\n\
         | benchmark | floor, arithmetic | floor, memory | measured | ± | gap |\n|{}\n",
        "---|".repeat(6)
    );
    for one in measured {
        let of = |kind: &str| floors.get(&one.id).and_then(|f| f.get(kind)).copied();
        let shown = |seconds: Option<f64>| seconds.map(time).unwrap_or_default();
        let gap = of("arithmetic").map(|f| format!("{:.1}", one.mean / f)).unwrap_or_default();
        let (arithmetic, memory) = (shown(of("arithmetic")), shown(of("memory")));
        let (mean, error) = (time(one.mean), time(one.error));
        let id = &one.id;
        writeln!(text, "| {id} | {arithmetic} | {memory} | {mean} | {error} | {gap} |")
            .expect("a string takes all");
    }
    text
}

/// A time with three digits.
fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 1e-6 => (1e9 * s, "ns"),
        s if s < 1e-3 => (1e6 * s, "µs"),
        s if s < 1.0 => (1e3 * s, "ms"),
        s => (s, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_are_read_and_other_lines_are_not() {
        let line = "floor convolve/forward/f64 1.5e-4 memory";
        let read = ("convolve/forward/f64".to_owned(), "memory".to_owned(), 1.5e-4);
        assert_eq!(floor(line), Some(read));
        assert_eq!(floor("convolve/forward/f64 time: [1 ms]"), None);
        assert_eq!(floor("floor x much memory"), None);
    }

    #[test]
    fn only_what_was_measured_now_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("a_b/new");
        std::fs::create_dir_all(&new).unwrap();
        std::fs::write(new.join("benchmark.json"), r#"{"full_id":"a/b"}"#).unwrap();
        let estimates = r#"{"mean":{"point_estimate":2000.0,"standard_error":10.0}}"#;
        std::fs::write(new.join("estimates.json"), estimates).unwrap();
        let found = criterion(folder.path(), SystemTime::UNIX_EPOCH).unwrap();
        let (mean, error) = (1e-9 * 2000.0, 1e-9 * 10.0);
        assert_eq!(found, [Measured { id: "a/b".to_owned(), mean, error }]);
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        assert_eq!(criterion(folder.path(), later).unwrap(), []);
    }

    #[test]
    fn a_row_has_its_gap() {
        let machine = Machine {
            processor: "AMD EPYC 9000".to_owned(),
            cores: 2,
            load: "0.1".to_owned(),
            rustc: "rustc".to_owned(),
            commit: "abc".to_owned(),
            date: "2026-01-01".to_owned(),
            changed: false,
        };
        assert!(machine.file().ends_with("benches/record/amd-epyc-9000-abc.md"));
        let measured = [Measured { id: "a/b".to_owned(), mean: 3e-3, error: 1e-5 }];
        let floors = BTreeMap::from([("arithmetic".to_owned(), 1e-3)]);
        let floors = Floors::from([("a/b".to_owned(), floors)]);
        let text = table(&machine, &measured, &floors);
        assert!(text.contains("| a/b | 1.00 ms |  | 3.00 ms | 10.0 µs | 3.0 |"), "{text}");
    }
}
