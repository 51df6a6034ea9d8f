//! `skyscat init`: a commented configuration with every key.

use crate::args::InitArgs;
use crate::{Ending, output, say};
use anyhow::Result;
use skyscat::io::write_atomic;
use std::path::Path;

/// Every key, its meaning, default and allowed values. Keys without a fixed
/// default stand in comments, with an example value.
const TEMPLATE: &str = include_str!("../data/skyscat.toml");

pub(crate) fn run(args: InitArgs) -> Result<Ending> {
    if args.file == Path::new("-") {
        say::result(TEMPLATE.trim_end());
        return Ok(Ending::Done);
    }
    output::check_extension(&args.file, &["toml"])?;
    output::check_file(&args.file, args.replace.overwrite)?;
    write_atomic(&args.file, output::replace(args.replace.overwrite), |out| {
        out.write_all(TEMPLATE.as_bytes())
    })?;
    say::note(&format!("{}: edit it, then skyscat emulate --config it", args.file.display()));
    Ok(Ending::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Settings, defaults};

    #[test]
    fn the_active_keys_are_the_defaults() {
        let found: Settings = toml::from_str(TEMPLATE).unwrap();
        assert_eq!(found, defaults());
    }

    #[test]
    fn every_key_of_the_schema_is_there_and_no_other() {
        // Lines "# key = value" are keys; prose has no "=" after its first word.
        let all: String = TEMPLATE
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.split_whitespace().nth(1) == Some("=") => format!("{rest}\n"),
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
