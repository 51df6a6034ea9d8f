//! `skyscat init`: a commented configuration with every key.

use crate::args::InitArgs;
use crate::settings::{Settings, table_of};
use crate::{Ending, output, say};
use anyhow::Result;
use skyscat::io::write_atomic;
use std::path::Path;

/// Every key, its meaning, default and allowed values. Keys without a fixed
/// default stand in comments, with an example value.
const TEMPLATE: &str = include_str!("../data/skyscat.toml");

pub(crate) fn run(args: InitArgs) -> Result<Ending> {
    let text = match &args.config {
        None => TEMPLATE.to_owned(),
        Some(path) => filled(&table_of(&Settings::read(path)?)?),
    };
    if args.file == Path::new("-") {
        say::result(text.trim_end());
        return Ok(Ending::Done);
    }
    output::check_extension(&args.file, &["toml"])?;
    output::check_file(&args.file, args.replace.overwrite)?;
    write_atomic(&args.file, output::replace(args.replace.overwrite), |out| {
        out.write_all(text.as_bytes())
    })?;
    say::note(&format!("{}: edit it, then skyscat emulate --config it", args.file.display()));
    Ok(Ending::Done)
}

/// The template with these values in their places.
fn filled(values: &toml::Table) -> String {
    let mut section = "";
    let mut text = String::new();
    for line in TEMPLATE.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        }
        let value = key_of(line).and_then(|key| Some((key, values.get(section)?.get(key)?)));
        match value {
            Some((key, value)) => text.push_str(&format!("{key} = {value}\n")),
            None => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

/// The key that a line sets, be it in a comment: `key = …`, `# key = …`. Prose has
/// no "=" after its first word.
fn key_of(line: &str) -> Option<&str> {
    let mut words = line.strip_prefix("# ").unwrap_or(line).split_whitespace();
    let key = words.next()?;
    (words.next() == Some("=")).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::defaults;

    #[test]
    fn the_active_keys_are_the_defaults() {
        let found: Settings = toml::from_str(TEMPLATE).unwrap();
        assert_eq!(found, defaults());
    }

    #[test]
    fn values_of_a_file_take_their_places_and_nothing_is_lost() {
        let given = "[input]\ninput = [\"a.npy\", \"b.npy\"]\n[emulate]\nseed = 3\nsteps = 7\n\
                     [plot]\nrange = [-1.5, 2.0]\n[run]\nthreads = 2\n";
        let given: Settings = toml::from_str(given).unwrap();
        let text = filled(&table_of(&given).unwrap());
        let found: Settings = toml::from_str(&text).unwrap();
        let mut expected = defaults();
        expected.input.input.clone_from(&given.input.input);
        expected.emulate.seed = Some(3);
        expected.emulate.steps = Some(7);
        expected.plot.range = Some(vec![-1.5, 2.0]);
        expected.run.threads = Some(2);
        assert_eq!(found, expected);
        assert_eq!(text.lines().count(), TEMPLATE.lines().count());
    }

    #[test]
    fn every_key_of_the_schema_is_there_and_no_other() {
        let all: String = TEMPLATE
            .lines()
            .map(|line| match (key_of(line), line.strip_prefix("# ")) {
                (Some(_), Some(setting)) => format!("{setting}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let table: toml::Table = toml::from_str(&all).unwrap();
        let _: Settings = toml::from_str(&all).unwrap();
        let help = |section: clap::Command| -> Vec<String> {
            section.get_arguments().filter_map(|a| a.get_long().map(str::to_owned)).collect()
        };
        use clap::Args;
        let blank = || clap::Command::new("keys");
        for (name, flags) in [
            ("input", help(crate::settings::InputSection::augment_args(blank()))),
            ("statistics", help(crate::settings::StatisticsSection::augment_args(blank()))),
            ("emulate", help(crate::settings::EmulateSection::augment_args(blank()))),
            ("spectra", help(crate::settings::SpectraSection::augment_args(blank()))),
            ("plot", help(crate::settings::PlotSection::augment_args(blank()))),
            ("simulate", help(crate::settings::SimulateSection::augment_args(blank()))),
            ("gaussian", help(crate::settings::GaussianSection::augment_args(blank()))),
            ("validate", help(crate::settings::ValidateSection::augment_args(blank()))),
            ("map", help(crate::settings::MapSection::augment_args(blank()))),
            ("matrix", help(crate::settings::MatrixSection::augment_args(blank()))),
            ("output", help(crate::settings::OutputSection::augment_args(blank()))),
            ("run", help(crate::settings::RunSection::augment_args(blank()))),
        ] {
            let keys: Vec<String> =
                table[name].as_table().unwrap().keys().map(String::clone).collect();
            let sorted = |mut list: Vec<String>| {
                list.sort();
                list
            };
            assert_eq!(sorted(keys), sorted(flags), "section {name}");
        }
    }
}
