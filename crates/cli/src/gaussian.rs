//! `skyscat gaussian`: isotropic Gaussian maps with the spectra of given ones.

use crate::args::GaussianArgs;
use crate::input::Inputs;
use crate::settings::Settings;
use crate::{Ending, output, say};
use anyhow::{Context, Result, ensure};
use skyscat::healpix::Ordering;
use skyscat::io::{Precision, write_npy};
use skyscat::num::{Par, Seed};
use skyscat::validation::{HarmonicConfig, isotropic_gaussian};

pub(crate) fn run(args: GaussianArgs) -> Result<Ending> {
    let given = Settings {
        input: args.input,
        output: args.output,
        gaussian: args.gaussian,
        run: args.common.run.clone(),
        ..Settings::default()
    };
    let sections = ["input", "gaussian", "output", "run"];
    let settings = given.over(args.common.config.as_deref(), &sections)?;
    let path = output::required(&settings.output.output, "a name that ends in .npy")?;
    output::check_extension(&path, &["npy"])?;
    let companion = output::settings_path(&path);
    for file in [&path, &companion] {
        output::check_file(file, args.replace.overwrite)?;
    }
    let where_else = |key: &str| format!("--{key} (or {key} = ... in [gaussian] of --config)");
    let section = &settings.gaussian;
    let seed = section.seed.with_context(|| {
        format!("no seed: give {}: a whole number from 0 on", where_else("seed"))
    })?;
    let each = section.each.expect("has a default");
    ensure!(
        (1..=1_000_000).contains(&each),
        "--each {each} is not allowed: allowed are 1 to 1000000 maps of each input"
    );
    let inputs = Inputs::read(&settings.input, None)?;
    inputs.say_assumptions(args.common.quiet);
    let par = Par::new(settings.run.threads.expect("has a default"))?;
    let config = HarmonicConfig::campeti2025(inputs.maps.nside().get());
    let ordering = inputs.maps.ordering();
    let ring = inputs.maps.reordered(Ordering::Ring);
    let maps = isotropic_gaussian(&ring, each, config, Seed(seed), &par)
        .with_context(|| format!("input {}", inputs.names()))?
        .reordered(ordering);
    let replace = output::replace(args.replace.overwrite);
    write_npy(&path, &maps.data().into_dyn(), Precision::F64, replace)?;
    output::write_settings(&companion, "gaussian", &settings, replace)?;
    if !args.common.quiet {
        say::note(&format!(
            "{}: {} maps, {each} with the spectra of each of {} inputs",
            path.display(),
            maps.n_maps(),
            inputs.maps.n_maps()
        ));
    }
    Ok(Ending::Done)
}
