//! `skyscat merge`: the shards of a job, joined to the output of the whole.

use crate::args::MergeArgs;
use crate::choices::Shard;
use crate::emulate::{Batches, Work, is_finished, is_staged, write};
use crate::place::Place;
use crate::settings::Settings;
use crate::{Ending, input, output, say};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) fn run(args: MergeArgs) -> Result<Ending> {
    let given = Settings { output: args.output, ..Settings::default() };
    let settings = given.over(args.config.as_deref(), &["output"])?;
    let shards = input::expand(&args.shards)?;
    join(shards, &settings.output.output, args.overwrite, args.quiet)
}

/// Joins these folders to one output. Called again after it was killed, it ends what was
/// begun; on an output that is complete it does nothing.
pub(crate) fn join(
    folders: Vec<PathBuf>,
    output: &Option<PathBuf>,
    overwrite: bool,
    quiet: bool,
) -> Result<Ending> {
    let place = Place::of(output, None)?;
    let place = Place { partial: output::beside(&place.output, ".merging"), ..place };
    let shards = checked(folders)?;
    let first = &shards[0].1;
    let schedule = first.identity().schedule()?;
    let mut identity = first.identity().clone();
    identity.shard = None;
    identity.settings.emulate.shard = None;
    identity.settings.output.output = output.clone();
    let folders: BTreeMap<_, _> = (shards.iter())
        .flat_map(|(_, work)| {
            work.identity().batches(&schedule).into_iter().map(move |id| (id, work))
        })
        .collect();
    let batches = Batches { identity: &identity, schedule: &schedule, folders };
    let written = place.alone(|| {
        if is_staged(&place, &batches)? {
            place.check_staged(overwrite)?;
            place.publish()?;
        }
        let written = match is_finished(&place, &identity) {
            true => format!("{}: all is in place", place.output.display()),
            false => {
                place.check_free(overwrite)?;
                write(&place, &batches, overwrite)?
            }
        };
        place.remove_partial("")?;
        Ok(written)
    })?;
    if !quiet {
        say::note(&format!("{written}, of {} shards", shards.len()));
    }
    Ok(Ending::Done)
}

/// The shards in these folders, if they are of one job, whole, and of this program.
fn checked(folders: Vec<PathBuf>) -> Result<Vec<(Shard, Work)>> {
    let mut shards: Vec<(Shard, Work)> = Vec::new();
    for folder in folders {
        let shown = folder.display();
        let work = Work::finished_shard(&folder).with_context(|| format!("{shown}"))?;
        let shard = work.identity().shard.with_context(|| format!("{shown}: no shard"))?;
        shards.push((shard, work));
    }
    shards.sort_by_key(|(shard, _)| shard.number);
    check_complete(&shards)?;
    let first = &shards[0].1;
    let schedule = first.identity().schedule()?;
    for (_, work) in &shards {
        let shown = work.folder().display().to_string();
        let (own, other) = (first.stamp(), work.stamp());
        other.check_same(own).with_context(|| format!("{shown}: cannot be merged"))?;
        let (written, here) = (&other.version, output::VERSION);
        ensure!(written == here, "{shown}: written by skyscat {written}, this is {here}");
        work.check_batches(&schedule)?;
    }
    Ok(shards)
}

/// Refuses shards that are not each of one job once.
fn check_complete(shards: &[(Shard, Work)]) -> Result<()> {
    let of = shards[0].0.of;
    for (shard, work) in shards {
        let shown = work.folder().display();
        ensure!(shard.of == of, "{shown}: shard {shard}, but others are of {of}");
    }
    let numbers: Vec<usize> = shards.iter().map(|(shard, _)| shard.number).collect();
    if let Some(twice) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
        anyhow::bail!("shard {}/{of} is given twice", twice[0]);
    }
    let missing: Vec<String> = (1..=of)
        .filter(|number| !numbers.contains(number))
        .map(|number| format!("{number}/{of}"))
        .collect();
    ensure!(missing.is_empty(), "shards are missing: {}", missing.join(", "));
    Ok(())
}
