//! `skyscat info`: what a file holds.

use crate::args::InfoArgs;
use crate::input::expand;
use crate::settings::{InputSection, Settings};
use crate::{Ending, say};
use anyhow::Result;
use skyscat::io::{ColumnInfo, FileInfo, inspect};

pub(crate) fn run(args: InfoArgs) -> Result<Ending> {
    let named = (!args.file.is_empty()).then_some(args.file);
    let given = Settings {
        input: InputSection { input: named, ..InputSection::default() },
        ..Settings::default()
    };
    let settings = given.over(args.common.config.as_deref(), &["input"])?;
    let files = expand(settings.input.input.as_deref().unwrap_or(&[]))?;
    for (number, file) in files.iter().enumerate() {
        let info = inspect(file)?;
        if args.json {
            say::result(&serde_json::to_string_pretty(&info)?);
            continue;
        }
        if number > 0 {
            say::result("");
        }
        show(&info);
    }
    Ok(Ending::Done)
}

fn show(info: &FileInfo) {
    let or =
        |text: &Option<String>, otherwise: &str| text.as_deref().unwrap_or(otherwise).to_owned();
    let line = |name: &str, value: String| say::result(&format!("{name:<12}{value}"));
    line("file", info.path.display().to_string());
    line("format", info.format.to_string());
    if let (Some(nside), Some(maps)) = (info.nside, info.n_maps) {
        line("maps", maps.to_string());
        line("Nside", format!("{nside} ({} pixels)", 12 * nside * nside));
        let ordering = info.ordering.as_ref().map(|o| o.to_uppercase());
        line("ordering", or(&ordering, "not stated"));
        line("coordinates", or(&info.coordsys, "not stated"));
        line("polarisation", format!(" {}", or(&info.polcconv, "not stated")));
    }
    say::result("");
    let name = |c: &ColumnInfo| match c.channel.is_empty() {
        true => "(array)".to_owned(),
        false => c.channel.clone(),
    };
    let width = info.columns.iter().map(|c| name(c).len()).max().unwrap_or(0).max(8);
    say::result(&format!(
        "{:<width$}  {:<10} {:>10} {:>8} {:>8} {:>13} {:>13}  form",
        "channel", "unit", "values", "NaN", "UNSEEN", "min", "max"
    ));
    for column in &info.columns {
        let number = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.5e}"));
        say::result(&format!(
            "{:<width$}  {:<10} {:>10} {:>8} {:>8} {:>13} {:>13}  {}",
            name(column),
            column.unit.as_deref().unwrap_or("-"),
            column.values,
            column.nan,
            column.unseen,
            number(column.min),
            number(column.max),
            column.form,
        ));
    }
}
