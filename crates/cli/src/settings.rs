//! Settings: one schema for flags and TOML files, merged over the defaults.

use crate::choices::{
    ColormapWord, DefinitionWord, MpiWord, NormaliseWord, OrderingWord, OrientationWord,
    PrecisionWord, ProjectionWord, Shard, SigmaWord, SpectrumLossWord, StandardiseWord, StartWord,
    TargetWord,
};
use anyhow::{Context, Result};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything that can be set, by section; a key is the long flag of its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) input: InputSection,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) statistics: StatisticsSection,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) emulate: EmulateSection,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) spectra: SpectraSection,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) simulate: SimulateSection,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) gaussian: GaussianSection,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) validate: ValidateSection,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) plot: PlotSection,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) map: MapSection,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) matrix: MatrixSection,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) output: OutputSection,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) run: RunSection,
}

fn is_default<T: Default + PartialEq>(section: &T) -> bool {
    *section == T::default()
}

/// Which maps are read, and how.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Input")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct InputSection {
    /// npy cube (maps, channels, pixels), FITS file, or a quoted glob; repeatable
    #[arg(short, long, value_name = "FILE")]
    pub(crate) input: Option<Vec<String>>,
    /// Pixel ordering of npy cubes, which state none [default: ring]
    #[arg(long, value_name = "ORDER")]
    pub(crate) ordering: Option<OrderingWord>,
    /// Channels to use, in this order, as Q,U [default: all of the file]
    #[arg(long, value_name = "LIST", value_delimiter = ',', alias = "channel")]
    pub(crate) channels: Option<Vec<String>>,
}

/// The scattering covariances.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Statistics")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct StatisticsSection {
    /// Which definition of the statistics [default: paper]
    #[arg(long, value_name = "WHICH")]
    pub(crate) definition: Option<DefinitionWord>,
    /// Divide by each map's own power, or not [default: own for paper, none for healpixml]
    #[arg(long, value_name = "HOW")]
    pub(crate) normalise: Option<NormaliseWord>,
    /// Count orientations from the dominant one of each pixel: none, from-input, or
    /// (statistics only) a FILE of phases saved earlier [default: none]
    #[arg(long, value_name = "HOW")]
    pub(crate) orientation: Option<OrientationWord>,
    /// Side of the wavelets in pixels: 3, 5 or 7 [default: 3]
    #[arg(long, value_name = "SIDE")]
    pub(crate) kernel: Option<usize>,
    /// Number of orientations R, 1 to 64 [default: 4]
    #[arg(long, value_name = "R")]
    pub(crate) orientations: Option<usize>,
    /// Number of scales J, 1 to log2 Nside [default: log2 Nside]
    #[arg(long, value_name = "J")]
    pub(crate) scales: Option<usize>,
    /// Weights under which scattering statistics are averaged; repeatable [default: full sky]
    #[arg(long, value_name = "FILE")]
    pub(crate) mask: Option<Vec<PathBuf>>,
}

/// The emulation.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Emulation")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct EmulateSection {
    /// How many maps to make
    #[arg(short = 'n', long)]
    pub(crate) count: Option<usize>,
    /// Seed of all random numbers; the same seed gives the same bits
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..=i64::MAX as u64))]
    pub(crate) seed: Option<u64>,
    /// What the mean statistics of a batch are moved to [default: auto]
    #[arg(long, value_name = "WHICH")]
    pub(crate) target: Option<TargetWord>,
    /// Maps moved together [default: 10]
    #[arg(long, value_name = "MAPS")]
    pub(crate) batch: Option<usize>,
    /// Iterations of L-BFGS [default: 300 with an average target, 1000 with single ones and
    /// for healpixml]
    #[arg(long)]
    pub(crate) steps: Option<u64>,
    /// How maps are brought to zero mean and unit variance [default: auto; per-pixel for healpixml]
    #[arg(long, value_name = "HOW")]
    pub(crate) standardise: Option<StandardiseWord>,
    /// Width of the smoothing of log-variance, for smoothed [default: by leave-one-out likelihood]
    #[arg(long, value_name = "DEG")]
    pub(crate) fwhm: Option<f64>,
    /// Floor of the standard deviation as a fraction of its mean; 0 refuses constant pixels [default: 0]
    #[arg(long, value_name = "FRACTION")]
    pub(crate) std_floor: Option<f64>,
    /// Weight of the scattering terms of each channel [default: 1]
    #[arg(long, value_name = "W")]
    pub(crate) auto_weight: Option<f64>,
    /// Weight of the scattering terms of each pair of channels [default: 1]
    #[arg(long, value_name = "W")]
    pub(crate) cross_weight: Option<f64>,
    /// Weight of the spectra [default: 1]
    #[arg(long, value_name = "W")]
    pub(crate) spectrum_weight: Option<f64>,
    /// Weight of the within-batch variance of the statistics [default: 0]
    #[arg(long, value_name = "W")]
    pub(crate) variance_weight: Option<f64>,
    /// Within-batch variance aimed at, as a fraction of the inputs' [default: 0]
    #[arg(long, value_name = "FRACTION")]
    pub(crate) variance_fraction: Option<f64>,
    /// What residuals of coefficients are divided by [default: blocks; inputs for healpixml]
    #[arg(long, value_name = "HOW")]
    pub(crate) sigma: Option<SigmaWord>,
    /// Which loss on the spectra [default: ratio; sum for healpixml]
    #[arg(long, value_name = "WHICH")]
    pub(crate) spectrum_loss: Option<SpectrumLossWord>,
    /// Where batches start [default: noise]
    #[arg(long, value_name = "HOW")]
    pub(crate) start: Option<StartWord>,
    /// Pairs that L-BFGS remembers [default: 20]
    #[arg(long, value_name = "PAIRS")]
    pub(crate) memory: Option<usize>,
    /// Width of the numbers in the descent and in the output [default: f64, f32 with
    /// --device gpu]
    #[arg(long, value_name = "WIDTH")]
    pub(crate) precision: Option<PrecisionWord>,
    /// Stop a batch early when its loss falls by less than this fraction over 50
    /// iterations; 0 never does [default: 0; 0.001 if no number is given]
    #[arg(long, value_name = "FRACTION", num_args = 0..=1, default_missing_value = "0.001")]
    pub(crate) plateau: Option<f64>,
    /// Where loss and gradient are computed: auto, cpu, gpu or gpu:NAME, with a part of a
    /// name of `skyscat devices`. auto takes a GPU made of hardware if --precision is f32;
    /// few are fast in f64 [default: auto]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// Batches that run side by side on a GPU; 0 is as many as fit, up to 128. Each has
    /// the same bits as alone [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) wide: Option<usize>,
    /// Maps of a batch whose fields are in memory at a time, on the CPU: fewer take less
    /// memory and longer, and agree with all at once to rounding [default: all of them]
    #[arg(long, value_name = "MAPS")]
    pub(crate) at_once: Option<usize>,
    /// Iterations between saves of the running batch; 0 never saves [default: 50]
    #[arg(long, value_name = "N")]
    pub(crate) checkpoint_every: Option<u64>,
    /// Seconds between these saves at least [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) checkpoint_seconds: Option<u64>,
    /// Only the k-th of n parts of the job; skyscat merge joins them [default: all of it]
    #[arg(long, value_name = "K/N")]
    pub(crate) shard: Option<Shard>,
    /// Under mpirun: what its processes share out, the batches of the job or the maps of
    /// each batch; needs a program built with the feature mpi [default: nothing]
    #[arg(long, value_name = "WHAT")]
    pub(crate) mpi: Option<MpiWord>,
}

/// Angular power spectra.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Spectra")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SpectraSection {
    /// Largest multipole [default: 3 Nside - 1]
    #[arg(long, value_name = "L")]
    pub(crate) lmax: Option<usize>,
    /// Iterations of the analysis, as healpy's iter [default: 0]
    #[arg(long, value_name = "K")]
    pub(crate) iterations: Option<usize>,
}

/// Simulated maps.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Simulation")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SimulateSection {
    /// Scan that comes with the program: campeti2025, planck or litebird [default: campeti2025]
    #[arg(long, value_name = "NAME", conflicts_with = "scan")]
    pub(crate) preset: Option<String>,
    /// A scan of your own, a TOML file (skyscat simulate --print-scan shows one)
    #[arg(long, value_name = "FILE")]
    pub(crate) scan: Option<PathBuf>,
    /// Length of the mission in days [default: that of the scan]
    #[arg(long)]
    pub(crate) days: Option<f64>,
    /// Samples a second [default: that of the scan]
    #[arg(long, value_name = "HZ")]
    pub(crate) rate: Option<f64>,
    /// Samples of a chunk, over which a gain is constant [default: that of the scan]
    #[arg(long, value_name = "SAMPLES")]
    pub(crate) chunk: Option<u64>,
    /// Nside at which timelines are binned [default: that of the scan]
    #[arg(long)]
    pub(crate) nside: Option<usize>,
    /// Nside of the maps [default: that of the scan]
    #[arg(long, value_name = "NSIDE")]
    pub(crate) nside_out: Option<usize>,
    /// How many maps to make [default: none]
    #[arg(short = 'n', long)]
    pub(crate) count: Option<usize>,
    /// Seed of all random numbers; the same seed gives the same bits
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..=i64::MAX as u64))]
    pub(crate) seed: Option<u64>,
    /// Name of the set; sets of different names share no random number [default: input]
    #[arg(long, value_name = "NAME")]
    pub(crate) set: Option<String>,
    /// Number of the first map in its set [default: 0]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) first: Option<u64>,
    /// Channels to write: Q,U or T,Q,U [default: Q,U]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) channels: Option<Vec<String>>,
    /// Follow every sample of every map, with every systematic of the scan, instead of
    /// drawing gains for the templates
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) full: Option<bool>,
    /// Map of T (or T, Q and U with --full) that is seen beside the dipole, K
    #[arg(long, value_name = "FILE")]
    pub(crate) sky: Option<PathBuf>,
    /// The template matrix as npz: taken from this file if it holds this scan, else
    /// written to it
    #[arg(long, value_name = "FILE")]
    pub(crate) templates: Option<PathBuf>,
    /// Write the exact covariance of the stacked channels as npy, K^2
    #[arg(long, value_name = "FILE")]
    pub(crate) covariance: Option<PathBuf>,
    /// Write hits and condition numbers of the pixels as npz
    #[arg(long, value_name = "FILE")]
    pub(crate) coverage: Option<PathBuf>,
    /// Width of the numbers in maps [default: f64]
    #[arg(long, value_name = "WIDTH")]
    pub(crate) precision: Option<PrecisionWord>,
}

/// Isotropic Gaussian maps.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Gaussian maps")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct GaussianSection {
    /// Maps made with the spectra of each input [default: 1]
    #[arg(long, value_name = "MAPS")]
    pub(crate) each: Option<usize>,
    /// Seed of all random numbers; the same seed gives the same bits
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..=i64::MAX as u64))]
    pub(crate) seed: Option<u64>,
}

/// Scores, figures and verdicts.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Validation")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ValidateSection {
    /// Maps of the true distribution, independent of the inputs; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) reference: Option<Vec<String>>,
    /// The maps that are judged, batch after batch; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) emulated: Option<Vec<String>>,
    /// Isotropic Gaussian maps of the inputs' spectra, to be judged beside them; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) gaussian: Option<Vec<String>>,
    /// The exact covariance of Q above U, RING, as npy [default: that of the reference maps]
    #[arg(long, value_name = "FILE")]
    pub(crate) covariance: Option<PathBuf>,
    /// Unit of maps whose files state none [default: none]
    #[arg(long)]
    pub(crate) unit: Option<String>,
    /// Folder that is made for the report
    #[arg(long, value_name = "DIR")]
    pub(crate) report: Option<PathBuf>,
    /// Limits of the scores: inputs (what so few inputs can teach), sampling (what draws
    /// of the truth keep), or a TOML FILE [default: inputs]
    #[arg(long, value_name = "WHICH")]
    pub(crate) limits: Option<String>,
    /// Principal components that scores use [default: 150]
    #[arg(long)]
    pub(crate) modes: Option<usize>,
    /// Maps that were emulated together [default: 10]
    #[arg(long, value_name = "MAPS")]
    pub(crate) batch: Option<usize>,
    /// Maps of each set of which scattering coefficients are measured; 0 for none
    /// [default: 1000]
    #[arg(long, value_name = "MAPS")]
    pub(crate) measured: Option<usize>,
    /// Seed of the judge's own random numbers [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u64).range(0..=i64::MAX as u64))]
    pub(crate) seed: Option<u64>,
}

/// Pictures.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Picture")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PlotSection {
    /// Values at the ends of colours or of the vertical axis, as -1e-7,1e-7 [default: from the data]
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "A,B")]
    pub(crate) range: Option<Vec<f64>>,
    /// Colours of values [default: planck]
    #[arg(long, ignore_case = true, value_name = "NAME")]
    pub(crate) colormap: Option<ColormapWord>,
    /// Title of each map or file; repeatable [default: its name]
    #[arg(long)]
    pub(crate) title: Option<Vec<String>>,
    /// Unit of the values [default: that of the file]
    #[arg(long)]
    pub(crate) unit: Option<String>,
    /// Width of the whole picture in pixels [default: 1600]
    #[arg(long, value_name = "PIXELS")]
    pub(crate) width: Option<usize>,
}

/// Pictures of maps.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Map")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct MapSection {
    /// Which maps of each file, as 0,3,7 [default: 0]
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub(crate) index: Option<Vec<usize>>,
    /// How the sphere is laid on the page [default: mollweide]
    #[arg(long, value_name = "HOW")]
    pub(crate) projection: Option<ProjectionWord>,
    /// Longitude and latitude of the middle of a gnomonic view, degrees [default: 0,0]
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "LON,LAT")]
    pub(crate) centre: Option<Vec<f64>>,
    /// Side of a gnomonic view, degrees [default: 60]
    #[arg(long, value_name = "DEG")]
    pub(crate) size: Option<f64>,
    /// Degrees between the lines of a graticule [default: no graticule]
    #[arg(long, value_name = "DEG")]
    pub(crate) graticule: Option<f64>,
}

/// Pictures of matrices.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Matrix")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct MatrixSection {
    /// First row and column, and the end, as 760,840 [default: all]
    #[arg(long, value_delimiter = ',', value_name = "FIRST,END")]
    pub(crate) zoom: Option<Vec<usize>>,
    /// Divide a covariance by its diagonal
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) correlation: Option<bool>,
}

/// What is written.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Output")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct OutputSection {
    /// Where the result goes; its kind follows from the name
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
}

/// The machine and the terminal.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[command(next_help_heading = "Run")]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RunSection {
    /// Threads; results do not depend on it [default: 0, one a core]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

/// Values that hold where neither a flag nor the file says otherwise.
pub(crate) fn defaults() -> Settings {
    Settings {
        input: InputSection { ordering: Some(OrderingWord::Ring), ..InputSection::default() },
        statistics: StatisticsSection {
            definition: Some(DefinitionWord::Paper),
            orientation: Some(OrientationWord::None),
            kernel: Some(3),
            orientations: Some(4),
            ..StatisticsSection::default()
        },
        emulate: EmulateSection {
            target: Some(TargetWord::Auto),
            batch: Some(10),
            std_floor: Some(0.0),
            variance_weight: Some(0.0),
            variance_fraction: Some(0.0),
            start: Some(StartWord::Noise),
            memory: Some(20),
            plateau: Some(0.0),
            device: Some("auto".to_owned()),
            wide: Some(0),
            checkpoint_every: Some(50),
            checkpoint_seconds: Some(30),
            ..EmulateSection::default()
        },
        spectra: SpectraSection { iterations: Some(0), ..SpectraSection::default() },
        simulate: SimulateSection {
            set: Some("input".to_owned()),
            first: Some(0),
            channels: Some(vec!["Q".to_owned(), "U".to_owned()]),
            full: Some(false),
            precision: Some(PrecisionWord::F64),
            ..SimulateSection::default()
        },
        gaussian: GaussianSection { each: Some(1), seed: None },
        validate: ValidateSection {
            limits: Some("inputs".to_owned()),
            modes: Some(150),
            batch: Some(10),
            measured: Some(1000),
            seed: Some(1),
            ..ValidateSection::default()
        },
        plot: PlotSection {
            colormap: Some(ColormapWord::Planck),
            width: Some(1600),
            ..PlotSection::default()
        },
        map: MapSection {
            index: Some(vec![0]),
            projection: Some(ProjectionWord::Mollweide),
            centre: Some(vec![0.0, 0.0]),
            size: Some(60.0),
            graticule: None,
        },
        matrix: MatrixSection { zoom: None, correlation: Some(false) },
        output: OutputSection::default(),
        run: RunSection { threads: Some(0) },
    }
}

impl Settings {
    /// These flags over the file (if any) over the defaults, in the sections that a
    /// command uses; the others stay empty.
    pub(crate) fn over(self, file: Option<&Path>, sections: &[&str]) -> Result<Self> {
        let mut table = table_of(&defaults())?;
        if let Some(path) = file {
            let given = Self::read(path)?;
            overlay(&mut table, table_of(&given)?);
        }
        overlay(&mut table, table_of(&self)?);
        table.retain(|section, _| sections.contains(&section));
        Ok(table.try_into()?)
    }

    /// Reads a configuration file; unknown keys are an error.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{}: cannot read the configuration", path.display()))?;
        let named = || format!("{}: configuration", path.display());
        // A table holds signed numbers: one that only fits u64 could not be laid over another.
        toml::from_str::<toml::Table>(&text).with_context(named)?;
        toml::from_str(&text).with_context(named)
    }

    /// As TOML.
    pub(crate) fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }
}

pub(crate) fn table_of(settings: &Settings) -> Result<toml::Table> {
    Ok(toml::Table::try_from(settings)?)
}

/// Puts every value of `top` in place of that of `base`, section by section.
fn overlay(base: &mut toml::Table, top: toml::Table) {
    for (key, value) in top {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(top)) => overlay(base, top),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, "[emulate]\nsteps = 7\nbatch = 3\n").unwrap();
        let flags = Settings {
            emulate: EmulateSection { batch: Some(5), ..EmulateSection::default() },
            ..Settings::default()
        };
        let found = flags.over(Some(&path), &["emulate"]).unwrap().emulate;
        assert_eq!((found.steps, found.batch, found.plateau), (Some(7), Some(5), Some(0.0)));
    }

    #[test]
    fn unknown_keys_are_named_with_those_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, "[emulate]\nstep = 7\n").unwrap();
        let text = format!("{:#}", Settings::read(&path).unwrap_err());
        assert!(text.contains("`step`") && text.contains("`steps`"), "{text}");
        assert!(text.contains("run.toml"), "{text}");
    }

    #[test]
    fn numbers_beyond_those_of_toml_are_refused_where_they_stand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        for (number, fits) in [(i64::MAX as u64, true), (i64::MAX as u64 + 1, false)] {
            std::fs::write(&path, format!("[emulate]\nsteps = {number}\n")).unwrap();
            let read = Settings::default().over(Some(&path), &["emulate"]);
            let text = read.err().map(|error| format!("{error:#}")).unwrap_or_default();
            assert_eq!(text.is_empty(), fits, "{number}: {text}");
            assert!(fits || text.contains("run.toml") && text.contains("line 2"), "{text}");
        }
    }
}
