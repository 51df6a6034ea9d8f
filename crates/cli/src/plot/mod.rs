//! `skyscat plot`: figures of maps, spectra, matrices and histories.

mod filters;
mod history;
mod map;
mod matrix;
mod spectra;

use crate::args::{Common, PlotCommand, Replace};
use crate::choices::ColormapWord;
use crate::settings::{InputSection, PlotSection, Settings};
use crate::{Ending, output, say};
use anyhow::{Result, bail};
use skyscat::io::write_atomic;
use skyscat_plot::{Colormap, Figure, Scene};
use std::path::{Path, PathBuf};

/// Width of a figure in points; letters are 7.2 points high.
const POINTS: f64 = 800.0;

pub(crate) fn run(command: PlotCommand) -> Result<Ending> {
    match command {
        PlotCommand::Map(args) => map::run(args),
        PlotCommand::Spectra(args) => spectra::run(args),
        PlotCommand::Matrix(args) => matrix::run(args),
        PlotCommand::History(args) => history::run(args),
        PlotCommand::Filters(args) => filters::run(args),
    }
}

/// What every plot has: checked settings and a free path.
struct Plan {
    settings: Settings,
    path: PathBuf,
    overwrite: bool,
    quiet: bool,
}

impl Plan {
    /// Flags over the file over defaults; refuses outputs that are there.
    fn new(given: Settings, replace: Replace, common: &Common) -> Result<Self> {
        let sections = ["input", "plot", "map", "matrix", "output", "run"];
        let settings = given.over(common.config.as_deref(), &sections)?;
        let path = output::required(&settings.output.output, "a name in .png or .svg")?;
        output::check_extension(&path, &["png", "svg"])?;
        let overwrite = replace.overwrite;
        for file in [&path, &output::settings_path(&path)] {
            output::check_file(file, overwrite)?;
        }
        Ok(Self { settings, path, overwrite, quiet: common.quiet })
    }

    fn plot(&self) -> &PlotSection {
        &self.settings.plot
    }

    fn input(&self) -> &InputSection {
        &self.settings.input
    }

    /// The ends of colours or axes, if they were set.
    fn range(&self) -> Result<Option<(f64, f64)>> {
        match self.plot().range.as_deref() {
            None => Ok(None),
            Some(&[low, high]) => Ok(Some((low, high))),
            Some(other) => {
                bail!("--range has {} numbers: allowed are two, as -1e-7,1e-7", other.len())
            }
        }
    }

    /// Image pixels a point.
    fn resolution(&self) -> f64 {
        self.plot().width.expect("has a default") as f64 / POINTS
    }

    /// The titles that were set, at most one for each of `count` things.
    fn titles(&self, count: usize, of_what: &str) -> Result<&[String]> {
        let titles = self.plot().title.as_deref().unwrap_or(&[]);
        anyhow::ensure!(
            titles.len() <= count,
            "{} titles for {count} {of_what}s: allowed is at most one a {of_what}",
            titles.len()
        );
        Ok(titles)
    }

    /// Draws, and writes the figure and the settings.
    fn write(&self, command: &str, figure: &Figure) -> Result<Ending> {
        let scene = figure.draw()?;
        let replace = output::replace(self.overwrite);
        write_scene(&self.path, &scene, self.resolution(), self.overwrite)?;
        let companion = output::settings_path(&self.path);
        output::write_settings(&companion, command, &self.settings, replace)?;
        if !self.quiet {
            let pixels = |points: f64| (points * self.resolution()).ceil();
            say::note(&format!(
                "{}: {} panel(s), {} x {} pixels",
                self.path.display(),
                figure.rows.iter().map(|row| row.panels.len()).sum::<usize>(),
                pixels(scene.width()),
                pixels(scene.height())
            ));
        }
        Ok(Ending::Done)
    }
}

/// Writes a scene as the name says: SVG, or PNG of `resolution` pixels a point.
pub(crate) fn write_scene(
    path: &Path,
    scene: &Scene,
    resolution: f64,
    overwrite: bool,
) -> Result<()> {
    let bytes = match output::has_extension(path, &["svg"]) {
        true => scene.to_svg()?.into_bytes(),
        false => scene.to_png(resolution)?,
    };
    Ok(write_atomic(path, output::replace(overwrite), |out| out.write_all(&bytes))?)
}

/// The name of a file without folder and extension.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

impl From<ColormapWord> for Colormap {
    fn from(word: ColormapWord) -> Self {
        match word {
            ColormapWord::Planck => Self::Planck,
            ColormapWord::Viridis => Self::Viridis,
            ColormapWord::RdBu => Self::RdBu,
        }
    }
}
