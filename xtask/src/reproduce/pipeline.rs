//! Which stages there are, at which scale.

use super::Definition;
use super::stage::Stage;
use clap::ValueEnum;

/// How large a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scale {
    /// A thinned scan, 8 maps, 5 iterations: that everything runs
    Smoke,
    /// 1000 maps from 10 inputs and 1000 from 100, 150 iterations in single precision
    Laptop,
    /// The paper's numbers: 10,000 maps each, 1000 iterations
    Paper,
}

/// Numbers of a scale.
struct Sizes {
    /// Flags that change the scan.
    scan: &'static [&'static str],
    reference: usize,
    few: usize,
    many: usize,
    emulated: usize,
    /// Maps moved together, from few inputs and from many.
    batch: [usize; 2],
    steps: u64,
    precision: &'static str,
    /// Maps of which coefficients are measured, at most.
    measured: usize,
    /// Flags of the figure of the wavelets.
    filters: &'static str,
}

impl Scale {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Laptop => "laptop",
            Self::Paper => "paper",
        }
    }

    fn sizes(self) -> Sizes {
        match self {
            Self::Smoke => Sizes {
                scan: &["--rate", "0.137", "--chunk", "1957", "--nside", "32", "--nside-out", "8"],
                reference: 200,
                few: 4,
                many: 8,
                emulated: 8,
                batch: [4, 2],
                steps: 5,
                precision: "f32",
                measured: 40,
                filters: "--nside 8 --maps 4",
            },
            // Sixteen maps fill the registers that ten leave partly empty.
            Self::Laptop => Sizes {
                scan: &[],
                reference: 10_000,
                few: 10,
                many: 100,
                emulated: 1000,
                batch: [16, 16],
                steps: 150,
                precision: "f32",
                measured: 1000,
                filters: "--nside 64 --maps 100",
            },
            Self::Paper => Sizes {
                scan: &[],
                reference: 10_000,
                few: 10,
                many: 100,
                emulated: 10_000,
                batch: [10, 10],
                steps: 1000,
                precision: "f64",
                measured: 10_000,
                filters: "--nside 64 --maps 100",
            },
        }
    }
}

/// The stages in their order.
pub(super) struct Pipeline {
    pub(super) stages: Vec<Stage>,
}

/// The emulated sets: what their files are called, and their target.
const SETS: [(&str, &str); 2] = [("few", "average"), ("many", "single")];

impl Pipeline {
    /// The stages for these settings; `steps` iterations in place of the scale's.
    pub(super) fn new(scale: Scale, seed: u64, definition: Definition, steps: Option<u64>) -> Self {
        let mut sizes = scale.sizes();
        sizes.steps = steps.unwrap_or(sizes.steps);
        let mut stages = vec![simulate(&sizes, seed)];
        for (number, (set, target)) in SETS.into_iter().enumerate() {
            stages.push(emulate(&sizes, number, (set, target), (seed, definition)));
        }
        stages.push(gaussian(&sizes, seed));
        for (set, _) in SETS {
            stages.push(validate(&sizes, set, seed, definition));
        }
        stages.push(filters(&sizes));
        Self { stages }
    }
}

/// A command line from words and numbers.
fn line(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn stage(name: &'static str, what: String, commands: Vec<Vec<String>>) -> Stage {
    Stage { name, what, commands, inputs: Vec::new(), outputs: Vec::new() }
}

/// The templates, the exact covariance, the reference and both input sets.
fn simulate(sizes: &Sizes, seed: u64) -> Stage {
    let scan = sizes.scan.join(" ");
    let base = format!("simulate {scan} --overwrite --templates templates.npz");
    let mut commands = vec![line(&format!("{base} --covariance covariance.npy"))];
    let sets = [("reference", sizes.reference), ("few", sizes.few), ("many", sizes.many)];
    for (set, count) in sets {
        let output = if set == "reference" { set.to_owned() } else { format!("input-{set}") };
        commands.push(line(&format!(
            "{base} --set {set} --count {count} --seed {seed} --output {output}.npy --quiet"
        )));
    }
    let what = format!("exact covariance, {} maps for reference, inputs", sizes.reference);
    let mut stage = stage("simulate", what, commands);
    let files = ["templates.npz", "covariance.npy", "reference.npy", "input-few.npy"];
    stage.outputs = files.map(str::to_owned).to_vec();
    stage.outputs.push("input-many.npy".to_owned());
    stage
}

fn emulate(
    sizes: &Sizes,
    number: usize,
    (set, target): (&str, &str),
    (seed, definition): (u64, Definition),
) -> Stage {
    let inputs = [sizes.few, sizes.many][number];
    let (input, output) = (format!("input-{set}.npy"), format!("emulated-{set}.npy"));
    let command = format!(
        "emulate --overwrite --input {input} --output {output} --target {target} --count {} \
         --seed {seed} --steps {} --batch {} --precision {} --definition {}",
        sizes.emulated,
        sizes.steps,
        sizes.batch[number],
        sizes.precision,
        definition.word()
    );
    let name = if number == 0 { "emulate-few" } else { "emulate-many" };
    let what = format!("{} maps from {inputs}, {target} target", sizes.emulated);
    let mut stage = stage(name, what, vec![line(&command)]);
    stage.inputs = vec![input];
    stage.outputs = vec![output.clone(), format!("{output}.report.json")];
    stage
}

/// Isotropic Gaussian maps with the spectra of each input.
fn gaussian(sizes: &Sizes, seed: u64) -> Stage {
    let mut stage = stage("gaussian", "isotropic maps of the inputs' spectra".to_owned(), vec![]);
    for (set, inputs) in [("few", sizes.few), ("many", sizes.many)] {
        let (input, output) = (format!("input-{set}.npy"), format!("gaussian-{set}.npy"));
        let each = (sizes.emulated / inputs).max(1);
        stage.commands.push(line(&format!(
            "gaussian --overwrite --quiet --input {input} --each {each} --seed {seed} --output \
             {output}"
        )));
        stage.inputs.push(input);
        stage.outputs.push(output);
    }
    stage
}

fn validate(sizes: &Sizes, set: &str, seed: u64, definition: Definition) -> Stage {
    let inputs = [
        ("reference", "reference.npy".to_owned()),
        ("emulated", format!("emulated-{set}.npy")),
        ("input", format!("input-{set}.npy")),
        ("gaussian", format!("gaussian-{set}.npy")),
        ("covariance", "covariance.npy".to_owned()),
    ];
    let files: Vec<String> = inputs.iter().map(|(flag, file)| format!("--{flag} {file}")).collect();
    let position = SETS.iter().position(|(name, _)| *name == set).expect("one of the sets");
    let command = format!(
        "validate --overwrite {} --unit K --report report-{set} --batch {} --seed {seed} --measured {} \
         --definition {}",
        files.join(" "),
        sizes.batch[position],
        sizes.measured,
        definition.word()
    );
    let name = if set == "few" { "validate-few" } else { "validate-many" };
    let mut stage = stage(name, "scores, figures and report".to_owned(), vec![line(&command)]);
    stage.inputs = inputs.map(|(_, file)| file).to_vec();
    stage.outputs = ["report.html", "report.json", "verdicts.csv"]
        .map(|file| format!("report-{set}/{file}"))
        .to_vec();
    stage
}

/// What the wavelets of each scale let through (paper, Figs. A.2 and A.3).
fn filters(sizes: &Sizes) -> Stage {
    let command = format!("plot filters --overwrite {} --output filters.png", sizes.filters);
    let mut stage = stage("filters", "transfer of the wavelets".to_owned(), vec![line(&command)]);
    stage.outputs = vec!["filters.png".to_owned()];
    stage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_of_a_stage_is_an_output_before() {
        for scale in [Scale::Smoke, Scale::Laptop, Scale::Paper] {
            let pipeline = Pipeline::new(scale, 1, Definition::Paper, None);
            let mut there: Vec<String> = Vec::new();
            for stage in &pipeline.stages {
                for input in &stage.inputs {
                    assert!(there.contains(input), "{} needs {input}", stage.name);
                }
                there.extend(stage.outputs.clone());
            }
            assert_eq!(pipeline.stages.len(), 7);
        }
    }
}
