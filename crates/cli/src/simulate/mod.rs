//! `skyscat simulate`: maps of systematics, their templates and exact covariance.

mod resolve;
mod templates;
mod write;

use crate::args::SimulateArgs;
use crate::place::Place;
use crate::settings::{Settings, SimulateSection};
use crate::{Ending, output, say};
use anyhow::{Context, Result, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use skyscat::io::{ReadOptions, read_map_file, write_npy_parts};
use skyscat::num::{Par, Seed};
use skyscat::sim::{Channels, Config, Coverage, Progress, Run, Simulation, Sky, Templates};
use std::path::Path;
use std::time::Instant;

/// A checked request.
struct Job {
    settings: Settings,
    simulation: Simulation,
    channels: Channels,
    /// Where maps go, how many, and their seed, if maps are asked for.
    maps: Option<(Place, usize, Seed)>,
    par: Par,
    overwrite: bool,
    resume: bool,
    quiet: bool,
}

pub(crate) fn run(args: SimulateArgs) -> Result<Ending> {
    let given = Settings {
        simulate: args.simulate,
        output: args.output,
        run: args.common.run.clone(),
        ..Settings::default()
    };
    let sections = ["simulate", "output", "run"];
    let settings = given.over(args.common.config.as_deref(), &sections)?;
    let config = resolve::scan(&settings.simulate)?;
    if args.print_scan {
        config.check()?;
        say::result(config.to_toml()?.trim_end());
        return Ok(Ending::Done);
    }
    let (overwrite, resume) = (args.replace.overwrite, args.resume);
    let maps = resolve::maps(&settings, overwrite, resume)?;
    let section = &settings.simulate;
    for file in [&section.covariance, &section.coverage].into_iter().flatten() {
        output::check_file(file, overwrite)?;
    }
    let extra = [&section.templates, &section.covariance, &section.coverage];
    ensure!(
        maps.is_some() || extra.iter().any(|file| file.is_some()),
        "nothing to do: give --output (with --count and --seed), --templates, --covariance or \
         --coverage"
    );
    let channels = resolve::channels(section)?;
    let uses_templates = section.full != Some(true) && maps.is_some();
    if uses_templates || section.covariance.is_some() {
        resolve::check_linear(&config)?;
    }
    let mut simulation = Simulation::new(config)?;
    if let Some(path) = &section.sky {
        let shown = || path.display().to_string();
        let maps = read_map_file(path, &ReadOptions::as_stated())?;
        let sky = Sky::new(&maps, &simulation.config().maps).with_context(shown)?;
        simulation = simulation.with_sky(sky);
    }
    let par = Par::new(settings.run.threads.expect("has a default"))?;
    let quiet = args.common.quiet;
    let job = Job { simulation, channels, maps, par, overwrite, resume, quiet, settings };
    match &job.maps {
        Some((place, ..)) => place.alone(|| job.run())?,
        None => job.run()?,
    }
    Ok(Ending::Done)
}

impl Job {
    fn section(&self) -> &SimulateSection {
        &self.settings.simulate
    }

    fn config(&self) -> &Config {
        self.simulation.config()
    }

    fn run(&self) -> Result<()> {
        let section = self.section();
        let full = section.full == Some(true);
        let linear = section.templates.is_some()
            || section.covariance.is_some()
            || (self.maps.is_some() && !full);
        let mut coverage = None;
        if section.coverage.is_some() {
            coverage = Some(self.scan("coverage", |run| self.simulation.coverage(run))?);
        }
        let templates = if linear { Some(self.templates(&mut coverage)?) } else { None };
        if let (Some(path), Some(coverage)) = (&section.coverage, &coverage) {
            write::coverage(path, coverage, self.overwrite)?;
            self.note(format!("{}: hits and condition numbers", path.display()));
        }
        if let (Some(path), Some(templates)) = (&section.covariance, &templates) {
            self.write_covariance(path, templates)?;
        }
        match (&self.maps, &templates) {
            (None, _) => Ok(()),
            (Some(_), Some(templates)) if !full => write::drawn(self, templates),
            (Some(_), _) => write::followed(self),
        }
    }

    /// The templates of a file that holds this scan, or new ones.
    fn templates(&self, coverage: &mut Option<Coverage>) -> Result<Templates> {
        let path = self.section().templates.as_deref();
        let sky = self.sky_sha256()?;
        if let Some(path) = path.filter(|path| path.exists())
            && let Some(found) = templates::read(path, self.config(), &sky, self.overwrite)?
        {
            self.note(format!("{}: templates of this scan", path.display()));
            return Ok(found);
        }
        let templates = self.scan("templates", |run| match coverage {
            Some(coverage) => self.simulation.templates_on(coverage, run),
            None => self.simulation.templates(run),
        })?;
        if let Some(path) = path {
            templates::write(path, &templates, self.config(), &sky, self.overwrite)?;
            self.note(format!(
                "{}: {} blocks of {} chunks, {} detectors",
                path.display(),
                templates.entries(),
                templates.chunks(),
                templates.detectors()
            ));
        }
        Ok(templates)
    }

    fn sky_sha256(&self) -> Result<String> {
        match &self.section().sky {
            None => Ok(String::new()),
            Some(path) => Ok(skyscat::io::sha256_file(path)?),
        }
    }

    fn write_covariance(&self, path: &Path, templates: &Templates) -> Result<()> {
        let sigma = resolve::sigma(self.config())?;
        let covariance = templates.covariance(sigma, self.channels);
        let dim = covariance.dim();
        let step = 64;
        let blocks = (0..dim).step_by(step).map(|first| {
            let rows = first..(first + step).min(dim);
            let mut block = vec![0.0; rows.len() * dim];
            covariance.rows(rows, &mut block, &self.par);
            block
        });
        let precision = write::precision(self.section());
        let replace = output::replace(self.overwrite);
        write_npy_parts(path, &[dim, dim], precision, replace, blocks)?;
        self.note(format!(
            "{}: {dim} x {dim}, {} stacked, RING, K^2",
            path.display(),
            self.channels.names().join(" ")
        ));
        Ok(())
    }

    fn note(&self, line: String) {
        if !self.quiet {
            say::note(&line);
        }
    }

    /// Runs over the mission with a bar, and says how fast it was.
    fn scan<R>(
        &self,
        name: &str,
        work: impl FnOnce(Run<'_>) -> Result<R, skyscat::sim::SimError>,
    ) -> Result<R> {
        let bar = bar(self.quiet, name);
        let watch = |p: Progress| {
            bar.set_length(p.total);
            bar.set_position(p.done);
        };
        let start = Instant::now();
        let result = work(Run { par: &self.par, watch: &watch })?;
        bar.finish_and_clear();
        let seconds = start.elapsed().as_secs_f64();
        let samples = self.config().samples()? as f64;
        self.note(format!("{name}: {samples:.3e} samples of the boresight in {seconds:.1} s"));
        Ok(result)
    }
}

/// A bar over chunks; hidden where there is no terminal.
fn bar(quiet: bool, name: &str) -> ProgressBar {
    let target = match quiet {
        true => ProgressDrawTarget::hidden(),
        false => ProgressDrawTarget::stderr_with_hz(4),
    };
    let template = "{bar:30} {percent:>3} %  {msg}  [{elapsed} elapsed, {eta} left]";
    let bar = ProgressBar::with_draw_target(None, target).with_message(name.to_owned());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
