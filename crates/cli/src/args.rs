//! The command line: commands, flags and examples.

use crate::settings::{
    EmulateSection, GaussianSection, InputSection, MapSection, MatrixSection, OutputSection,
    PlotSection, RunSection, SimulateSection, SpectraSection, StatisticsSection, ValidateSection,
};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Many sky maps from few: scattering covariances and mean-field gradient descent.
#[derive(Parser)]
#[command(name = "skyscat", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
A first run, nothing needed but this program:
  skyscat simulate --count 10 --seed 1 --output maps.npy
  skyscat plan --input maps.npy --count 10
  skyscat emulate --input maps.npy --count 10 --output emulated.npy --seed 1 --steps 200
  skyscat plot map --input maps.npy --input emulated.npy --channels Q --output look.png

Every command takes --config run.toml (see skyscat init); flags win over the file.";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make many maps that share the statistics of a few
    #[command(after_help = EMULATE_EXAMPLES)]
    Emulate(EmulateArgs),
    /// Join the shards of an emulation to the output of the whole
    #[command(after_help = MERGE_EXAMPLES)]
    Merge(MergeArgs),
    /// Maps of a satellite's systematics, their templates and exact covariance
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(SimulateArgs),
    /// Isotropic Gaussian maps with the spectra of given ones
    #[command(after_help = GAUSSIAN_EXAMPLES)]
    Gaussian(GaussianArgs),
    /// Scores, figures and verdicts of emulated maps against a reference
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate(ValidateArgs),
    /// Scattering covariances of every map, labelled
    #[command(after_help = STATISTICS_EXAMPLES)]
    Statistics(StatisticsArgs),
    /// Angular power spectra of every map
    #[command(after_help = SPECTRA_EXAMPLES)]
    Spectra(SpectraArgs),
    /// What a file holds: ordering, Nside, channels, units, missing pixels
    #[command(after_help = INFO_EXAMPLES)]
    Info(InfoArgs),
    /// Which GPUs there are, what they allow and how fast their memory is
    #[command(after_help = DEVICES_EXAMPLES)]
    Devices(DevicesArgs),
    /// Write a commented configuration file with every key
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitArgs),
    /// Say what an emulation would do and need, without running it
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// Draw pictures
    #[command(subcommand)]
    Plot(PlotCommand),
}

/// What every command takes.
#[derive(Args, Clone)]
pub(crate) struct Common {
    /// Settings from a TOML file; flags win over it (skyscat init writes one)
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) run: RunSection,
    /// Say nothing but errors
    #[arg(short, long, help_heading = "Run")]
    pub(crate) quiet: bool,
}

/// Whether outputs may be replaced.
#[derive(Args, Clone, Copy)]
pub(crate) struct Replace {
    /// Replace an output that is there
    #[arg(long, help_heading = "Output")]
    pub(crate) overwrite: bool,
}

#[derive(Args)]
pub(crate) struct EmulateArgs {
    #[command(flatten)]
    pub(crate) input: InputSection,
    #[command(flatten)]
    pub(crate) output: OutputSection,
    #[command(flatten)]
    pub(crate) replace: Replace,
    /// Go on with an interrupted run, to the same bits as if it had not been; begins one
    /// where there is none, and leaves a finished one as it is
    #[arg(long, help_heading = "Output")]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) emulate: EmulateSection,
    #[command(flatten)]
    pub(crate) statistics: StatisticsSection,
    #[command(flatten)]
    pub(crate) common: Common,
}

const EMULATE_EXAMPLES: &str = "\
Examples:
  skyscat emulate --input maps.npy --count 100 --output emulated.npy --seed 1
  skyscat emulate --input 'sims/*.fits' --channels Q,U --count 1000 --output emulated/ --seed 1
  skyscat emulate --config run.toml --seed 2 --output second.npy
  skyscat emulate --input maps.npy --count 100 --output emulated.npy --seed 1 --resume

Output: a name that ends in .npy is one cube (maps, channels, pixels); any other
name is a folder of map_00000.fits, map_00001.fits, ... In both the maps return
to the ordering, unit and coordinates of the input. Beside the cube, or in the
folder, lie the effective configuration (.toml), a manifest, the loss of every
iteration (history.csv) and how well each block of statistics was met (report.json).

Ctrl-C and SIGTERM save the running batch under OUTPUT.partial, print the command
that resumes, and exit with code 130. A process that is killed loses at most
--checkpoint-seconds and --checkpoint-every iterations. A batch that comes upon
numbers that are not finite is left in its last good state, the others are finished,
and the exit code is 4.

With --shard k/n the k-th of n parts is run, to OUTPUT.shard-k-of-n. A program
built with the feature mpi shares a job out itself: mpirun -n 4 skyscat emulate
--mpi batches (or maps) ...";

#[derive(Args)]
pub(crate) struct MergeArgs {
    /// Folder of a shard, or a quoted glob; repeatable
    #[arg(value_name = "SHARD", required = true)]
    pub(crate) shards: Vec<String>,
    #[command(flatten)]
    pub(crate) output: OutputSection,
    /// Replace an output that is there
    #[arg(long, help_heading = "Output")]
    pub(crate) overwrite: bool,
    /// Settings from a TOML file; flags win over it (skyscat init writes one)
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub(crate) config: Option<PathBuf>,
    /// Say nothing but errors
    #[arg(short, long, help_heading = "Run")]
    pub(crate) quiet: bool,
}

const MERGE_EXAMPLES: &str = "\
Examples:
  for k in 1 2 3 4; do skyscat emulate --config run.toml --output o.npy --shard $k/4; done
  skyscat merge 'o.npy.shard-*-of-4' --output o.npy

The shards must be of one job (settings, input by checksum, seed, version), none
missing and none twice, every batch as its manifest lists it. The maps have the
very bits of a run without shards. The shards are left where they are. The same
line again ends a merge that was killed, and does nothing after one that was not.";

#[derive(Args)]
pub(crate) struct SimulateArgs {
    #[command(flatten)]
    pub(crate) output: OutputSection,
    #[command(flatten)]
    pub(crate) replace: Replace,
    /// Go on with an interrupted run (--full), to the same bits
    #[arg(long, help_heading = "Output")]
    pub(crate) resume: bool,
    /// Print the scan as TOML, and do nothing else
    #[arg(long, help_heading = "Output")]
    pub(crate) print_scan: bool,
    #[command(flatten)]
    pub(crate) simulate: SimulateSection,
    #[command(flatten)]
    pub(crate) common: Common,
}

const SIMULATE_EXAMPLES: &str = "\
Examples:
  skyscat simulate --count 10 --seed 1 --output maps.npy
  skyscat simulate --templates templates.npz --covariance covariance.npy
  skyscat simulate --templates templates.npz --count 10000 --seed 1 --set reference \\
      --output reference.npy
  skyscat simulate --preset litebird --full --count 3 --seed 1 --output lb/
  skyscat simulate --print-scan > scan.toml
  skyscat simulate --scan scan.toml --days 30 --coverage hits.npz

The preset campeti2025 takes about a minute for the templates (a year of four detectors
at 7 Hz); every map after that a millisecond. Maps are RING, K_CMB, in the frame of the
scan; a pixel without a solution is UNSEEN. Output: as of skyscat emulate. Beside it lie
the effective settings and the scan (.toml, .scan.toml) and a manifest.";

#[derive(Args)]
pub(crate) struct GaussianArgs {
    #[command(flatten)]
    pub(crate) input: InputSection,
    #[command(flatten)]
    pub(crate) output: OutputSection,
    #[command(flatten)]
    pub(crate) replace: Replace,
    #[command(flatten)]
    pub(crate) gaussian: GaussianSection,
    #[command(flatten)]
    pub(crate) common: Common,
}

const GAUSSIAN_EXAMPLES: &str = "\
Examples:
  skyscat gaussian --input maps.npy --each 100 --seed 1 --output gaussian.npy

The baseline that an emulation must beat: EE, BB and EB of each input, and no other
structure. Maps follow input by input.";

#[derive(Args)]
pub(crate) struct ValidateArgs {
    #[command(flatten)]
    pub(crate) input: InputSection,
    #[command(flatten)]
    pub(crate) validate: ValidateSection,
    #[command(flatten)]
    pub(crate) replace: Replace,
    /// Print the limits as TOML, and do nothing else
    #[arg(long, help_heading = "Validation")]
    pub(crate) print_limits: bool,
    #[command(flatten)]
    pub(crate) statistics: StatisticsSection,
    #[command(flatten)]
    pub(crate) common: Common,
}

const VALIDATE_EXAMPLES: &str = "\
Examples:
  skyscat validate --reference reference.npy --emulated emulated.npy --input maps.npy \\
      --covariance covariance.npy --report report
  skyscat validate --config run.toml --gaussian gaussian.npy --report report
  skyscat validate --limits sampling --print-limits > limits.toml

The folder holds report.html (one page that needs nothing else), every figure as PNG and
SVG, and every number as JSON and CSV. Exit code 0: all scores are within their limits;
3: some are not; 1: an error.";

#[derive(Args)]
pub(crate) struct StatisticsArgs {
    #[command(flatten)]
    pub(crate) input: InputSection,
    #[command(flatten)]
    pub(crate) output: OutputSection,
    #[command(flatten)]
    pub(crate) replace: Replace,
    /// Save the orientations found with --orientation from-input as npz
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) orientation_output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) statistics: StatisticsSection,
    #[command(flatten)]
    pub(crate) common: Common,
}

const STATISTICS_EXAMPLES: &str = "\
Examples:
  skyscat statistics --input maps.npy --output stats.npz
  skyscat statistics --input 'sims/*.fits' --channels Q,U --kernel 5 --output stats.csv
  skyscat statistics --input maps.npy --orientation from-input --orientation-output turns.npz \\
      --output turned.npz
  skyscat statistics --input emulated.npy --orientation turns.npz --output emulated.npz

Maps are measured as given, without standardising them.

Output .npz: arrays Q_S0 ... Q_S4, U_S0 ... U_S4, QxU_S0 ... QxU_S3P, QxU_S4, of shape
(maps, masks, scales, orientations...): S1, S2 by j; S3, S3P by (j3, j2); S4 by
(j3, j2, j1), the outer index slowest. Output .csv: one line a coefficient, with
columns field, block, map, mask, one for each scale and orientation, re, im.";

#[derive(Args)]
pub(crate) struct SpectraArgs {
    #[command(flatten)]
    pub(crate) input: InputSection,
    #[command(flatten)]
    pub(crate) output: OutputSection,
    #[command(flatten)]
    pub(crate) replace: Replace,
    #[command(flatten)]
    pub(crate) spectra: SpectraSection,
    #[command(flatten)]
    pub(crate) common: Common,
}

const SPECTRA_EXAMPLES: &str = "\
Examples:
  skyscat spectra --input maps.npy --output cl.npz
  skyscat spectra --input 'sims/*.fits' --lmax 32 --iterations 3 --output cl.csv
  skyscat spectra --input map.fits --output cl.fits

Output .npz: arrays EE, BB, EB (p = 2, the usual C_l) and EE_p1, BB_p1, EB_p1 (the same
sums of |a| in place of |a|^2), with T also TT, TE, TB; shape (maps, lmax + 1).
Output .csv: one line a map and multipole. Output .fits: one column a spectrum, as
healpy.read_cl reads; several maps give name_0000.fits, name_0001.fits, ...";

#[derive(Args)]
pub(crate) struct InfoArgs {
    /// FITS, npy or npz file; several, or those of the configuration
    #[arg(value_name = "FILE")]
    pub(crate) file: Vec<String>,
    /// As JSON, header cards included
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args)]
pub(crate) struct DevicesArgs {
    /// Do not measure copies
    #[arg(long)]
    pub(crate) no_measure: bool,
}

const DEVICES_EXAMPLES: &str = "\
Examples:
  skyscat devices
  skyscat emulate --config run.toml --precision f32 --device gpu:NAME";

const INFO_EXAMPLES: &str = "\
Examples:
  skyscat info maps.npy
  skyscat info map.fits --json
  skyscat info --config run.toml";

#[derive(Args)]
pub(crate) struct InitArgs {
    /// Where to write it; - is the terminal
    #[arg(value_name = "FILE", default_value = "skyscat.toml")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) replace: Replace,
    /// Put the values of this TOML file in their places
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

const INIT_EXAMPLES: &str = "\
Examples:
  skyscat init run.toml
  skyscat init --config old.toml commented.toml
  skyscat emulate --config run.toml --seed 1";

#[derive(Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) input: InputSection,
    #[command(flatten)]
    pub(crate) emulate: EmulateSection,
    #[command(flatten)]
    pub(crate) statistics: StatisticsSection,
    #[command(flatten)]
    pub(crate) common: Common,
}

const PLAN_EXAMPLES: &str = "\
Examples:
  skyscat plan --input maps.npy --count 1000
  skyscat plan --config run.toml --batch 100 --precision f32";

#[derive(Subcommand)]
pub(crate) enum PlotCommand {
    /// Maps in one row, the whole sky or a part of it
    #[command(after_help = PLOT_MAP_EXAMPLES)]
    Map(PlotMapArgs),
    /// Spectra of sets of maps, and how they differ from the first set's
    #[command(after_help = PLOT_SPECTRA_EXAMPLES)]
    Spectra(PlotCurveArgs),
    /// Matrices, as covariances, in colours
    #[command(after_help = PLOT_MATRIX_EXAMPLES)]
    Matrix(PlotMatrixArgs),
    /// How the loss of an emulation and its terms fell
    #[command(after_help = PLOT_HISTORY_EXAMPLES)]
    History(PlotCurveArgs),
    /// What the wavelets of each scale let through, measured on white noise
    #[command(after_help = PLOT_FILTERS_EXAMPLES)]
    Filters(PlotFiltersArgs),
}

#[derive(Args)]
pub(crate) struct PlotMapArgs {
    #[command(flatten)]
    pub(crate) input: InputSection,
    #[command(flatten)]
    pub(crate) output: OutputSection,
    #[command(flatten)]
    pub(crate) replace: Replace,
    #[command(flatten)]
    pub(crate) plot: PlotSection,
    #[command(flatten)]
    pub(crate) map: MapSection,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args)]
pub(crate) struct PlotCurveArgs {
    #[command(flatten)]
    pub(crate) input: InputSection,
    #[command(flatten)]
    pub(crate) output: OutputSection,
    #[command(flatten)]
    pub(crate) replace: Replace,
    #[command(flatten)]
    pub(crate) plot: PlotSection,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args)]
pub(crate) struct PlotMatrixArgs {
    #[command(flatten)]
    pub(crate) input: InputSection,
    #[command(flatten)]
    pub(crate) output: OutputSection,
    #[command(flatten)]
    pub(crate) replace: Replace,
    #[command(flatten)]
    pub(crate) plot: PlotSection,
    #[command(flatten)]
    pub(crate) matrix: MatrixSection,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args)]
pub(crate) struct PlotFiltersArgs {
    /// Nside of the finest scale
    #[arg(long, default_value_t = 64)]
    pub(crate) nside: usize,
    /// White-noise maps
    #[arg(long, default_value_t = 100)]
    pub(crate) maps: usize,
    /// Seed of the maps
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) output: OutputSection,
    #[command(flatten)]
    pub(crate) replace: Replace,
    #[command(flatten)]
    pub(crate) plot: PlotSection,
    #[command(flatten)]
    pub(crate) common: Common,
}

const PLOT_FILTERS_EXAMPLES: &str = "\
Examples:
  skyscat plot filters --output filters.png
  skyscat plot filters --nside 16 --maps 20 --output filters.svg

Above, for 3 x 3 and 5 x 5 wavelets, the power of the coefficients of each scale over
that of the map, summed over orientations; below, its sum over the scales so far.";

const PLOT_MAP_EXAMPLES: &str = "\
Examples:
  skyscat plot map --input maps.npy --index 0 --channels Q --output q.png
  skyscat plot map --input maps.npy --input emulated.npy --title target --title emulated \\
      --range -1e-7,1e-7 --output both.png
  skyscat plot map --input emulated.npy --index 0,1,2 --colormap RdBu --output three.png

  skyscat plot map --input map.fits --projection gnomonic --centre 0,90 --size 40 \
      --graticule 10 --output pole.svg

One panel a file, map and channel; without --channels the first channel of each file.";

const PLOT_SPECTRA_EXAMPLES: &str = "\
Examples:
  skyscat plot spectra --input cl.npz --output cl.png
  skyscat plot spectra --input input_cl.npz --input emulated_cl.npz --title input \
      --title emulated --unit K --output both.svg

Input: what skyscat spectra wrote as .npz. Lines are means over the maps of a file,
bands the scatter of its maps. Below: the difference of means from the first file's in
units of the first file's scatter, with bands of 1/sqrt(maps).";

const PLOT_MATRIX_EXAMPLES: &str = "\
Examples:
  skyscat plot matrix --input cov.npy --correlation --colormap RdBu --output corr.png
  skyscat plot matrix --input cov.npy --zoom 760,840 --output zoom.svg";

const PLOT_HISTORY_EXAMPLES: &str = "\
Examples:
  skyscat plot history --input emulated.npy.history.csv --output loss.png
  skyscat plot history --input emulated/history.csv --output loss.svg";
