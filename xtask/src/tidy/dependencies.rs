//! What the dependencies are: where they come from, their licences, and which of them
//! stand in the lock file in more than one version.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The lists of `deny.toml` that are checked here; `cargo deny` checks all of it.
#[derive(Deserialize)]
pub(super) struct Allowed {
    licenses: Licences,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Twice>,
}

/// A crate in several versions, and who keeps the older one.
#[derive(Deserialize)]
struct Twice {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

impl Allowed {
    /// Reads `deny.toml` at the root.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let path = root.join("deny.toml");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// What is wrong with the packages of `cargo metadata` that are resolved.
    pub(super) fn faults(&self, metadata: &Value) -> Vec<String> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let resolved: BTreeSet<String> = (list(&metadata["resolve"]["nodes"]).iter())
            .filter_map(|node| node["id"].as_str().map(str::to_owned))
            .collect();
        let mut faults = Vec::new();
        let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for package in list(&metadata["packages"]) {
            let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
            if !resolved.contains(&text("id")) {
                continue;
            }
            let (name, version, licence) = (text("name"), text("version"), text("license"));
            let registry = text("source");
            let registry = registry.strip_prefix("registry+").unwrap_or(&registry);
            if !package["source"].is_null()
                && !self.sources.allow_registry.iter().any(|allowed| allowed == registry)
            {
                faults.push(format!("{name} {version} comes from {}", package["source"]));
            }
            if !self.is_allowed(&licence) {
                faults.push(format!("{name} {version} has the licence {licence:?}"));
            }
            versions.entry(name).or_default().insert(version);
        }
        for (name, versions) in versions {
            let known = |twice: &&Twice| twice.name == name && !twice.reason.is_empty();
            if versions.len() > 1 && self.bans.skip.iter().find(known).is_none() {
                let all: Vec<String> = versions.into_iter().collect();
                faults.push(format!("{name} is there in the versions {}", all.join(", ")));
            }
        }
        faults
    }

    /// Whether an SPDX expression of one level of brackets can be met: every part of its
    /// ANDs by one of its ORs.
    fn is_allowed(&self, expression: &str) -> bool {
        let plain = expression.replace('/', " OR ");
        let one =
            |licence: &str| self.licenses.allow.iter().any(|allowed| allowed == licence.trim());
        plain.split(" AND ").all(|part| {
            let part = part.trim().trim_start_matches('(').trim_end_matches(')');
            part.split(" OR ").any(one)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn allowed() -> Allowed {
        Allowed::read(&crate::cargo::root()).unwrap()
    }

    #[test]
    fn expressions_of_licences_are_read() {
        let allowed = allowed();
        for good in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR Zlib", "(MIT OR X) AND Unicode-3.0"] {
            assert!(allowed.is_allowed(good), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR AGPL-3.0) AND MIT"] {
            assert!(!allowed.is_allowed(bad), "{bad}");
        }
    }

    #[test]
    fn a_foreign_source_a_licence_and_a_second_version_are_faults() {
        let package = |id: &str, name: &str, version: &str, licence: &str, source: &str| json!({"id": id, "name": name, "version": version, "license": licence, "source": source});
        let packages = [
            package("1", "a", "1.0.0", "MIT", REGISTRY),
            package("2", "a", "2.0.0", "MIT", REGISTRY),
            package("3", "b", "1.0.0", "GPL-3.0", REGISTRY),
            package("4", "c", "1.0.0", "MIT", "git+https://example.org/c"),
            package("5", "unresolved", "1.0.0", "", "git"),
        ];
        let nodes: Vec<Value> = (1..5).map(|id| json!({"id": id.to_string()})).collect();
        let faults = allowed().faults(&json!({"packages": packages, "resolve": {"nodes": nodes}}));
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults[0].contains("GPL-3.0") && faults[1].contains("git+"), "{faults:?}");
        assert!(faults[2].contains("1.0.0, 2.0.0"), "{faults:?}");
    }
}
