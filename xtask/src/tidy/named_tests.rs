//! That every test which the documents name is there.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// The table of inputs, what happens, and the test of it.
const TABLE: &str = "docs/RELIABILITY.md";

/// Names in backticks in the last cell of the rows of those tables whose last column is
/// headed "test", with their lines.
fn named(text: &str) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    // Of the table that the line is in: whether it names tests.
    let mut table = None;
    for (at, line) in text.lines().enumerate() {
        if !line.starts_with('|') {
            table = None;
            continue;
        }
        let last = line.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        if *table.get_or_insert(last.trim() == "test") {
            let quoted = last.split('`').skip(1).step_by(2);
            names.extend(quoted.map(|name| (at + 1, name.to_owned())));
        }
    }
    names
}

/// Functions marked as tests in a file.
fn tests_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        match line.strip_prefix("fn ").or_else(|| line.strip_prefix("pub fn ")) {
            Some(rest) if marked => {
                found.extend(rest.split('(').next().map(str::to_owned));
                marked = false;
            }
            _ => marked = line == "#[test]" || (marked && line.starts_with("#[")),
        }
    }
    found
}

/// Adds a fault for each name of the table that is no test.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn check(root: &Path, sources: &[&Path], faults: &mut Vec<String>) -> Result<()> {
    let table = std::fs::read_to_string(root.join(TABLE)).context(TABLE)?;
    let mut there = BTreeSet::new();
    for file in sources {
        let text = std::fs::read_to_string(root.join(file));
        there.extend(tests_of(&text.with_context(|| file.display().to_string())?));
    }
    faults.extend(missing(&table, &there));
    Ok(())
}

fn missing(table: &str, there: &BTreeSet<String>) -> Vec<String> {
    let names = named(table);
    let mut faults: Vec<String> = names
        .iter()
        .filter(|(_, name)| !there.contains(name))
        .map(|(line, name)| format!("{TABLE}:{line}: there is no test {name}"))
        .collect();
    if names.is_empty() {
        faults.push(format!("{TABLE}: its table names no test"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_its_test_is_a_fault() {
        let text = "#[test]\n#[cfg(unix)]\nfn there() {}\nfn helper() {}\n";
        let there: BTreeSet<String> = tests_of(text).into_iter().collect();
        assert_eq!(there, BTreeSet::from(["there".to_owned()]));
        let table = "| a | b | test |\n|---|---|---|\n| `x` | y | `there` |\n";
        assert_eq!(missing(table, &there), Vec::<String>::new());
        let faults = missing(&table.replace("`there`", "`there`, `helper`"), &there);
        assert_eq!(faults, ["docs/RELIABILITY.md:3: there is no test helper"]);
        let other = "| file | when |\n|---|---|\n| x | `nothing` |\n\n".to_owned() + table;
        assert_eq!(missing(&other, &there), Vec::<String>::new());
        assert_eq!(missing("no table", &there).len(), 1);
    }
}
