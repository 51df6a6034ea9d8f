//! What the dependencies are: where they come from, their licences, and which of them
//! stand in the lock file in more than one version.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Licences under which a dependency may be linked.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates in several versions, and who keeps the older one.
const TWICE: &[(&str, &str)] = &[
    ("bitflags", "cdshealpix, in tests"),
    ("equator", "nano-gemm of faer"),
    ("equator-macro", "nano-gemm of faer"),
    ("hashbrown", "gpu-allocator of wgpu"),
    ("itertools", "criterion, in benchmarks"),
    ("miniz_oxide", "cdshealpix, in tests"),
    ("png", "cdshealpix, in tests"),
    ("rand_core", "argmin"),
    ("serde_spanned", "cdshealpix, in tests"),
    ("syn", "a macro of faer's kernels"),
    ("toml", "cdshealpix, in tests"),
    ("toml_datetime", "cdshealpix, in tests"),
    ("winnow", "cdshealpix, in tests"),
    ("zip", "ndarray-npy, in tests"),
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What is wrong with the packages of `cargo metadata` that are resolved.
pub(super) fn faults(metadata: &Value) -> Vec<String> {
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
        if !package["source"].is_null() && package["source"] != REGISTRY {
            faults.push(format!("{name} {version} comes from {}", package["source"]));
        }
        if !is_allowed(&licence) {
            faults.push(format!("{name} {version} has the licence {licence:?}"));
        }
        versions.entry(name).or_default().insert(version);
    }
    for (name, versions) in versions {
        if versions.len() > 1 && !TWICE.iter().any(|(known, _)| *known == name) {
            let all: Vec<String> = versions.into_iter().collect();
            faults.push(format!("{name} is there in the versions {}", all.join(", ")));
        }
    }
    faults
}

/// Whether an SPDX expression of one level of brackets can be met: every part of its
/// ANDs by one of its ORs.
fn is_allowed(expression: &str) -> bool {
    let plain = expression.replace('/', " OR ");
    let one = |licence: &str| LICENCES.contains(&licence.trim());
    plain.split(" AND ").all(|part| {
        let part = part.trim().trim_start_matches('(').trim_end_matches(')');
        part.split(" OR ").any(one)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_of_licences_are_read() {
        for good in ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR Zlib", "(MIT OR X) AND Unicode-3.0"] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR AGPL-3.0) AND MIT"] {
            assert!(!is_allowed(bad), "{bad}");
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
        let faults = faults(&json!({"packages": packages, "resolve": {"nodes": nodes}}));
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults[0].contains("GPL-3.0") && faults[1].contains("git+"), "{faults:?}");
        assert!(faults[2].contains("1.0.0, 2.0.0"), "{faults:?}");
    }
}
