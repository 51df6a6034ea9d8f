//! `skyscat plan`: what an emulation would do and need.

use crate::args::PlanArgs;
use crate::choices::PrecisionWord;
use crate::devices::{self, Chosen};
#[cfg(feature = "gpu")]
use crate::emulate::description;
use crate::emulate::room::{self, Room};
use crate::emulate::{check_count, check_words, emulator_config, resolve_for};
use crate::input::Inputs;
use crate::settings::Settings;
use crate::{Ending, say};
use anyhow::{Context, Result};
use indicatif::HumanDuration;
use skyscat::emulator::{BatchPlan, Emulator};
use skyscat::num::{Ceilings, Par, Seed};
use std::time::Duration;

pub(crate) fn run(args: PlanArgs) -> Result<Ending> {
    let given = Settings {
        input: args.input,
        statistics: args.statistics,
        emulate: args.emulate,
        run: args.common.run.clone(),
        ..Settings::default()
    };
    let sections = ["input", "statistics", "emulate", "run"];
    let mut settings = given.over(args.common.config.as_deref(), &sections)?;
    if let Some(count) = settings.emulate.count {
        check_count(count)?;
    }
    check_words(&mut settings)?;
    let inputs = Inputs::read(&settings.input, settings.statistics.mask.as_deref())?;
    inputs.say_assumptions(args.common.quiet);
    resolve_for(&mut settings, inputs.maps.n_maps())?;
    let device = devices::open(&mut settings.emulate)?;
    let par = Par::new(settings.run.threads.expect("has a default"))?;
    // Batches of a single target depend on the seed through which targets are drawn.
    let seed = settings.emulate.seed;
    let config = emulator_config(&settings)?;
    let emulator =
        Emulator::new(&inputs.maps, &inputs.masks, config, Seed(seed.unwrap_or(0)), &par)
            .with_context(|| format!("input {}", inputs.names()))?;
    show(&settings, &inputs, &emulator, (&par, device.name == "cpu"))?;
    show_device(&settings, &emulator, &device)?;
    Ok(Ending::Done)
}

/// What the batches take on a GPU, if that is where they would run.
#[cfg(feature = "gpu")]
fn show_device(settings: &Settings, emulator: &Emulator, device: &Chosen) -> Result<()> {
    let Some(gpu) = &device.gpu else { return Ok(()) };
    let e = &settings.emulate;
    let batches = e.count.map_or(1, |count| emulator.schedule(count).batches().len());
    let asked = e.wide.expect("has a default");
    let line = |name: &str, value: String| say::result(&format!("{name:<14}{value}"));
    line("device", device.name.clone());
    line("on the device", description(emulator, gpu, asked, batches)?);
    Ok(())
}

#[cfg(not(feature = "gpu"))]
fn show_device(_: &Settings, _: &Emulator, _: &Chosen) -> Result<()> {
    Ok(())
}

fn show(
    settings: &Settings,
    inputs: &Inputs,
    emulator: &Emulator,
    (par, on_cpu): (&Par, bool),
) -> Result<()> {
    let line = |name: &str, value: String| say::result(&format!("{name:<14}{value}"));
    let e = &settings.emulate;
    let s = &settings.statistics;
    line("input", format!("{} ({})", inputs.summary(), inputs.names()));
    line(
        "statistics",
        format!(
            "{}, normalise {}, kernel {}, {} orientations relative to {}",
            s.definition.expect("has a default"),
            s.normalise.expect("resolved"),
            s.kernel.expect("has a default"),
            s.orientations.expect("has a default"),
            match String::from(s.orientation.clone().expect("has a default")).as_str() {
                "none" => "the pixels",
                _ => "the dominant ones of the input",
            },
        ),
    );
    line("target", e.target.expect("resolved").to_string());
    let fwhm = emulator.standardiser().fwhm_deg;
    let width = fwhm.map_or_else(String::new, |w| format!(", width {w} degrees"));
    line("standardise", format!("{}{width}", e.standardise.expect("resolved")));
    let left_out = emulator.left_out()?.len();
    line("left out", format!("{left_out} coefficients that do not vary over the inputs"));
    let (batch, steps) = (emulator.config().batch, emulator.config().steps);
    let batches = e.count.map(|count| emulator.schedule(count).batches().len());
    match e.count.zip(batches) {
        Some((count, batches)) => {
            let unsure = match (e.target, e.seed) {
                (Some(crate::choices::TargetWord::Single), None) => " (with seed 0)",
                _ => "",
            };
            line("batches", format!("{batches} of {batch} maps for {count} maps{unsure}"));
            line("iterations", format!("up to {} ({steps} a batch)", batches as u64 * steps));
        }
        None => line("batches", format!("of {batch} maps, {steps} iterations (no --count given)")),
    }
    let precision = e.precision.expect("comes with the device");
    let plan = room::plan(emulator, precision, emulator.config().at_once)?;
    show_work(&plan, precision, par, steps, batches);
    let room = Room::of_this_machine();
    if let Some(room) = room {
        let (free, whole) = (room::gib(room.free), room::gib(room.whole));
        line("room", format!("{free} free now of {whole}"));
    }
    if on_cpu && let Err(error) = room::check(emulator, precision, room) {
        line("", format!("it does not fit: {error:#}"));
    }
    Ok(())
}

/// Memory that this process holds, where the system tells. Fields that were only planned
/// have not been touched and are not in it.
fn resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<usize>().ok()? << 10)
}

/// Memory, least work and a prediction for this machine.
fn show_work(
    plan: &BatchPlan,
    precision: PrecisionWord,
    par: &Par,
    steps: u64,
    batches: Option<usize>,
) {
    let line = |name: &str, value: String| say::result(&format!("{name:<14}{value}"));
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    line(
        "memory",
        format!(
            "{:.1} MiB: {:.1} MiB fields and gradients, {:.1} MiB scratch, {:.1} MiB optimiser; \
             {:.0} bytes a pixel of each map, {precision}",
            mib(plan.bytes()),
            mib(plan.program.field_bytes),
            mib(plan.program.scratch_bytes),
            mib(plan.descent_bytes),
            plan.bytes() as f64 / plan.variables as f64,
        ),
    );
    if let Some(held) = resident_bytes() {
        let held = mib(held);
        line("beside it", format!("{held:.1} MiB of inputs, tables and the program, held now"));
    }
    line(
        "evaluation",
        format!(
            "at least {:.2} Gflop and {:.2} GB moved for loss and gradient",
            plan.floor.flops / 1e9,
            plan.floor.bytes / 1e9,
        ),
    );
    let threads = par.threads();
    let ceilings = Ceilings::measure(threads);
    line(
        "this machine",
        format!(
            "{:.0} GFLOP/s of f64 multiply-adds, copies at {:.1} GB/s ({threads} threads, measured)",
            ceilings.flops_f64 / 1e9,
            ceilings.bytes / 1e9,
        ),
    );
    let (arithmetic, moved) = plan.least(&ceilings);
    let ms = |time: Duration| 1e3 * time.as_secs_f64();
    let iteration = plan.iteration(&ceilings);
    line(
        "floor",
        format!("{:.2} ms arithmetic, {:.2} ms memory an evaluation", ms(arithmetic), ms(moved)),
    );
    let batch = iteration.mul_f64(steps as f64);
    let all = |n| format!(", {:#} in all", HumanDuration(batch.mul_f64(n as f64)));
    line(
        "prediction",
        format!(
            "{:.1} ms an iteration, {:.1} s a batch{} (to a factor of about 1.5)",
            ms(iteration),
            batch.as_secs_f64(),
            batches.map_or_else(String::new, all),
        ),
    );
}
