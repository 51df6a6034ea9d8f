//! That no version in the lock files is one of a known advisory, by what is committed:
//! the database itself wants a network.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Facts of the RustSec database about crates of the lock files.
const LIST: &str = "deny-advisories.toml";
/// Which of them are accepted, and why; `cargo deny` reads it too.
const DENY: &str = "deny.toml";
const LOCKS: [&str; 2] = ["Cargo.lock", "tests/fuzz/Cargo.lock"];

#[derive(Deserialize)]
struct List {
    advisory: Vec<Advisory>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advisory {
    id: String,
    package: String,
    /// One line.
    what: String,
    /// Ranges of versions, each joined by commas, that are mended, and were never ill.
    patched: Vec<String>,
    #[serde(default)]
    unaffected: Vec<String>,
}

#[derive(Deserialize)]
struct Deny {
    advisories: Accepted,
}

#[derive(Deserialize)]
struct Accepted {
    ignore: Vec<Ignored>,
}

#[derive(Deserialize)]
struct Ignored {
    id: String,
    reason: String,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

/// Adds a fault for each locked version that an advisory has and nobody accepts, and
/// for each that is accepted in vain.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn check(root: &Path, faults: &mut Vec<String>) -> Result<()> {
    let (list, deny): (List, Deny) = (read(&root.join(LIST))?, read(&root.join(DENY))?);
    let mut locked = Vec::new();
    for file in LOCKS {
        locked.extend(read::<Lock>(&root.join(file))?.package);
    }
    faults.extend(found(&list.advisory, &deny.advisories.ignore, &locked)?);
    Ok(())
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}

fn found(list: &[Advisory], ignored: &[Ignored], locked: &[Package]) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut met = Vec::new();
    for advisory in list {
        let Advisory { id, package, what, .. } = advisory;
        for Package { version, .. } in locked.iter().filter(|locked| locked.name == *package) {
            if !advisory.affects(version).with_context(|| id.clone())? {
                continue;
            }
            met.push(id);
            let known = |ignored: &&Ignored| ignored.id == *id && !ignored.reason.is_empty();
            if ignored.iter().find(known).is_none() {
                faults.push(format!("{package} {version} has the advisory {id}: {what}"));
            }
        }
    }
    let vain = ignored.iter().filter(|ignored| !met.contains(&&ignored.id));
    faults.extend(vain.map(|Ignored { id, .. }| format!("{DENY} accepts {id}, which nothing has")));
    Ok(faults)
}

impl Advisory {
    fn affects(&self, version: &str) -> Result<bool> {
        let version = numbers(version)?;
        for range in self.patched.iter().chain(&self.unaffected) {
            if is_in(range, version)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether a version meets all bounds of a range, such as `>= 1.2.3, < 2`.
fn is_in(range: &str, version: [u64; 3]) -> Result<bool> {
    for bound in range.split(',').map(str::trim) {
        let digits = bound.find(|c: char| c.is_ascii_digit()).context("a range has a version")?;
        let (sign, limit) = bound.split_at(digits);
        let limit = numbers(limit)?;
        let met = match sign.trim() {
            ">=" => version >= limit,
            ">" => version > limit,
            "<=" => version <= limit,
            "<" => version < limit,
            "=" => version == limit,
            "^" => version >= limit && version < next(limit),
            _ => bail!("{range}: allowed are >=, >, <=, <, = and ^"),
        };
        if !met {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first version that is not compatible with this one.
fn next(version: [u64; 3]) -> [u64; 3] {
    match version {
        [0, 0, patch] => [0, 0, patch + 1],
        [0, minor, _] => [0, minor + 1, 0],
        [major, ..] => [major + 1, 0, 0],
    }
}

/// Major, minor and patch; a version before a release counts as the release.
fn numbers(version: &str) -> Result<[u64; 3]> {
    let plain = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = [0; 3];
    for (i, part) in plain.split('.').enumerate() {
        let number = numbers.get_mut(i).with_context(|| format!("{version}: no version"))?;
        *number = part.trim().parse().with_context(|| format!("{version}: no version"))?;
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_versions_are_read() {
        for (range, inside, outside) in [
            (">= 0.4.11", "0.4.11 0.5.0 1.0.0", "0.4.10 0.3.99"),
            ("< 0.4.10", "0.4.9", "0.4.10 1.0.0"),
            (">=1.2, <2", "1.2.0 1.99.0", "1.1.9 2.0.0"),
            ("^0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0"),
            ("^1.2", "1.2.0 1.3.0", "1.1.0 2.0.0"),
            ("= 1.0.0", "1.0.0 1.0.0+text", "1.0.1"),
        ] {
            let is_in = |version: &str| is_in(range, numbers(version).unwrap()).unwrap();
            assert!(inside.split(' ').all(is_in), "{range}");
            assert!(!outside.split(' ').any(is_in), "{range}");
        }
        assert!(is_in("~1.2", [1, 2, 3]).is_err() && is_in("x", [1, 2, 3]).is_err());
    }

    #[test]
    fn an_affected_version_in_a_lock_file_is_a_fault_unless_it_is_accepted() {
        let root = crate::cargo::root();
        let list: List = read(&root.join(LIST)).unwrap();
        let package = |name: &str, version: &str| Package {
            name: name.to_owned(),
            version: version.to_owned(),
        };
        let locked = [package("slab", "0.4.10"), package("paste", "1.0.15"), package("a", "1.0.0")];
        let faults = found(&list.advisory, &[], &locked).unwrap();
        assert_eq!(faults.len(), 2, "{faults:?}");
        let has = |text: &str| faults.iter().any(|fault| fault.contains(text));
        assert!(has("slab 0.4.10") && has("RUSTSEC-2024-0436"), "{faults:?}");
        // Neither the version before, nor the one after.
        let well = [package("slab", "0.4.9"), package("slab", "0.4.11")];
        assert_eq!(found(&list.advisory, &[], &well).unwrap(), [""; 0]);
        let accept = |reason: &str| {
            [Ignored { id: "RUSTSEC-2024-0436".to_owned(), reason: reason.to_owned() }]
        };
        assert_eq!(found(&list.advisory, &accept("said"), &locked[1..]).unwrap(), [""; 0]);
        assert_eq!(found(&list.advisory, &accept(""), &locked[1..]).unwrap().len(), 1);
        let vain = found(&list.advisory, &accept("said"), &well).unwrap();
        assert!(vain.len() == 1 && vain[0].contains("which nothing has"), "{vain:?}");
    }
}
