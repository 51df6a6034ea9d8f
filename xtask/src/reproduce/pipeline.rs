//! Which stages there are, at which scale.

use super::comparison::{Comparison, Pair};
use super::stage::{Action, Stage};
use super::{Definition, arrays};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// How large a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scale {
    /// 4 maps, 5 iterations: that everything runs
    Smoke,
    /// 100 maps, 300 iterations
    Laptop,
    /// 10,000 maps, 1000 iterations; also from single targets if you give 100 maps
    Paper,
}

impl Scale {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Laptop => "laptop",
            Self::Paper => "paper",
        }
    }

    /// Maps, maps moved together, iterations.
    fn sizes(self) -> (usize, usize, usize) {
        match self {
            Self::Smoke => (4, 4, 5),
            Self::Laptop => (100, 10, 300),
            Self::Paper => (10_000, 10, 1000),
        }
    }
}

/// Inputs of the paper's two emulations.
const FEW: usize = 10;
const MANY: usize = 100;
/// Emulated maps in the picture.
const PANELS: usize = 3;

/// Maps to emulate from, and what the emulation is called.
struct Set {
    /// "", or what stands before the names of its files.
    prefix: &'static str,
    input: String,
    target: &'static str,
}

impl Set {
    fn file(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// The stages in their order.
pub(super) struct Pipeline {
    pub(super) stages: Vec<Stage>,
}

impl Pipeline {
    /// The stages for these settings.
    ///
    /// # Errors
    /// An input file that cannot be read, or has another kind of name.
    pub(super) fn new(
        scale: Scale,
        seed: u64,
        definition: Definition,
        input: Option<&Path>,
    ) -> Result<Self> {
        let source = input.map(source).transpose()?;
        let (first, sets) = sets(scale, source.as_ref());
        let (count, batch, steps) = scale.sizes();
        let mut stages = vec![first];
        for set in &sets {
            let output = set.file("emulated.npy");
            let mut words = words(&["emulate", "--overwrite", "--input", &set.input]);
            words.extend(self::words(&["--output", &output, "--target", set.target]));
            let numbers = [
                ("--count", count),
                ("--seed", seed as usize),
                ("--steps", steps),
                ("--batch", batch),
            ];
            words.extend(numbers.iter().flat_map(|(flag, n)| [flag.to_string(), n.to_string()]));
            words.extend(self::words(&["--definition", definition.word()]));
            if scale == Scale::Smoke {
                words.push("--quiet".to_owned());
            }
            stages.push(Stage {
                name: if set.prefix.is_empty() { "emulate" } else { "emulate-single" },
                what: format!("{count} maps from {}, {} target", set.input, set.target),
                actions: vec![Action::Skyscat(words)],
                inputs: vec![set.input.clone()],
                outputs: vec![output.clone(), format!("{output}.report.json")],
            });
        }
        stages.push(measure("spectra", "EE, BB, EB of inputs and emulated", &sets, &[]));
        let definition = ["--definition", definition.word()];
        let what = "scattering covariances of the same";
        stages.push(measure("statistics", what, &sets, &definition));
        stages.push(table(&sets));
        stages.push(picture(&sets[0], source.is_none()));
        Ok(Self { stages })
    }
}

/// A file of the user: where it is, how many maps, what it becomes.
struct Source {
    path: PathBuf,
    maps: usize,
    name: &'static str,
}

fn source(path: &Path) -> Result<Source> {
    let path = path.canonicalize().with_context(|| format!("{}: no such file", path.display()))?;
    let name = path.to_string_lossy().to_ascii_lowercase();
    let known = [(".npy", "input.npy"), (".fits", "input.fits"), (".fits.gz", "input.fits.gz")];
    let found = known.iter().find(|(ending, _)| name.ends_with(ending));
    let shown = path.display();
    ensure!(found.is_some(), "{shown}: allowed are names that end in .npy, .fits, .fits.gz");
    let copy = found.expect("checked above").1;
    let maps = if copy == "input.npy" { arrays::shape(&path)?[0] } else { 1 };
    Ok(Source { path, maps, name: copy })
}

/// The input stage, and what is emulated from.
fn sets(scale: Scale, source: Option<&Source>) -> (Stage, Vec<Set>) {
    let stage = |what: String, actions, inputs, outputs| Stage {
        name: "input",
        what,
        actions,
        inputs,
        outputs,
    };
    let Some(Source { path, maps, name }) = source else {
        let command = words(&["sample-data", "--overwrite", "--output", "input.npy"]);
        let output = vec!["input.npy".to_owned()];
        let what = "ten maps of the program".to_owned();
        let stage = stage(what, vec![Action::Skyscat(command)], Vec::new(), output);
        return (stage, vec![Set { prefix: "", input: "input.npy".to_owned(), target: "average" }]);
    };
    let copy = |to: &str| Action::Copy { from: path.clone(), to: to.to_owned() };
    let inputs = vec![path.to_string_lossy().into_owned()];
    let what = format!("{} maps of {}", maps, path.display());
    if scale == Scale::Paper && *maps >= MANY {
        let (all, few) = ("single_input.npy", "input.npy");
        let take = |count, to: &str| Action::Take {
            from: path.to_string_lossy().into_owned(),
            count,
            to: to.to_owned(),
        };
        let actions = vec![take(MANY, all), take(FEW, few)];
        let outputs = vec![all.to_owned(), few.to_owned()];
        let sets = vec![
            Set { prefix: "", input: few.to_owned(), target: "average" },
            Set { prefix: "single_", input: all.to_owned(), target: "single" },
        ];
        return (stage(what, actions, inputs, outputs), sets);
    }
    let target = if *maps >= MANY { "auto" } else { "average" };
    let set = Set { prefix: "", input: (*name).to_owned(), target };
    (stage(what, vec![copy(name)], inputs, vec![(*name).to_owned()]), vec![set])
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// A command of the program on the inputs and the emulated maps of every set.
fn measure(name: &'static str, what: &str, sets: &[Set], extra: &[&str]) -> Stage {
    let mut stage = Stage {
        name,
        what: what.to_owned(),
        actions: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
    };
    for set in sets {
        for (maps, role) in [(set.input.clone(), "input"), (set.file("emulated.npy"), "emulated")] {
            let output = set.file(&format!("{role}_{name}.npz"));
            let mut command = words(&[name, "--overwrite", "--quiet", "--input", &maps]);
            command.extend(words(&["--output", &output]));
            command.extend(words(extra));
            stage.actions.push(Action::Skyscat(command));
            stage.inputs.push(maps);
            stage.outputs.push(output);
        }
    }
    stage
}

fn table(sets: &[Set]) -> Stage {
    let pairs: Vec<Pair> = sets
        .iter()
        .map(|set| Pair {
            label: set.file("emulated"),
            input_spectra: set.file("input_spectra.npz"),
            emulated_spectra: set.file("emulated_spectra.npz"),
            input_statistics: set.file("input_statistics.npz"),
            emulated_statistics: set.file("emulated_statistics.npz"),
        })
        .collect();
    let inputs = pairs.iter().flat_map(|pair| {
        [
            &pair.input_spectra,
            &pair.emulated_spectra,
            &pair.input_statistics,
            &pair.emulated_statistics,
        ]
    });
    let (csv, markdown) = ("comparison.csv".to_owned(), "comparison.md".to_owned());
    Stage {
        name: "table",
        what: "emulated against input, as csv and Markdown".to_owned(),
        inputs: inputs.cloned().collect(),
        outputs: vec![csv.clone(), markdown.clone()],
        actions: vec![Action::Compare(Comparison { pairs, csv, markdown })],
    }
}

/// One row of maps: an input and samples.
fn picture(set: &Set, is_own: bool) -> Stage {
    let (input, emulated) = (set.input.clone(), set.file("emulated.npy"));
    let mut actions = Vec::new();
    let mut outputs = Vec::new();
    let mut command = words(&["plot", "map", "--overwrite"]);
    if input.ends_with(".npy") {
        // One cube, so that every panel is a map of it.
        let panels = "panels.npy".to_owned();
        actions.push(Action::Panels {
            target: input.clone(),
            samples: emulated.clone(),
            count: PANELS,
            to: panels.clone(),
        });
        command.extend(words(&["--input", &panels, "--index", "0,1,2,3", "--title", "input"]));
        command.extend((1..=PANELS).flat_map(|i| ["--title".to_owned(), format!("sample {i}")]));
        outputs.push(panels);
    } else {
        command.extend(words(&["--input", &input, "--input", &emulated, "--index", "0"]));
    }
    if is_own {
        command.extend(words(&["--channels", "Q", "--unit", "K"]));
    }
    command.extend(words(&["--output", "maps.png"]));
    actions.push(Action::Skyscat(command));
    outputs.push("maps.png".to_owned());
    Stage {
        name: "picture",
        what: format!("an input and {PANELS} samples in one row"),
        actions,
        inputs: vec![input, emulated],
        outputs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pipeline: &Pipeline) -> Vec<&'static str> {
        pipeline.stages.iter().map(|stage| stage.name).collect()
    }

    #[test]
    fn every_input_of_a_stage_is_an_output_before() {
        let pipeline = Pipeline::new(Scale::Laptop, 1, Definition::Paper, None).unwrap();
        assert_eq!(
            names(&pipeline),
            ["input", "emulate", "spectra", "statistics", "table", "picture"]
        );
        let mut there: Vec<String> = Vec::new();
        for stage in &pipeline.stages {
            for input in &stage.inputs {
                assert!(there.contains(input), "{} needs {input}", stage.name);
            }
            there.extend(stage.outputs.clone());
        }
    }

    #[test]
    fn a_hundred_maps_at_paper_scale_are_emulated_twice() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("maps.npy");
        let cube = arrays::Array { shape: vec![100, 1, 12], complex: false, data: vec![0.0; 1200] };
        arrays::write_npy(&path, &cube).unwrap();
        let paper = Pipeline::new(Scale::Paper, 1, Definition::Paper, Some(&path)).unwrap();
        assert_eq!(names(&paper)[1..3], ["emulate", "emulate-single"]);
        let laptop = Pipeline::new(Scale::Laptop, 1, Definition::Paper, Some(&path)).unwrap();
        assert_eq!(laptop.stages.len(), 6);
        let wrong = place.path().join("maps.txt");
        std::fs::write(&wrong, "").unwrap();
        assert!(Pipeline::new(Scale::Smoke, 1, Definition::Paper, Some(&wrong)).is_err());
    }
}
