//! Which crate may use which: the floors of the house.

use serde_json::Value;

/// A crate, its floor, and the crates of this workspace that it may use.
struct Layer {
    package: &'static str,
    floor: u8,
    may_use: &'static [&'static str],
}

const fn layer(package: &'static str, floor: u8, may_use: &'static [&'static str]) -> Layer {
    Layer { package, floor, may_use }
}

/// The layering: an arrow points to a lower floor, and only where it is named.
///
/// Crates that do not exist yet stand here already, so that their place is known.
/// `skyscat-validation` sees neither the statistics nor the emulator: the judge
/// shares no code with the judged. `xtask` links no library of the workspace.
const LAYERS: &[Layer] = &[
    layer("skyscat-num", 0, &[]),
    layer("skyscat-healpix", 1, &["skyscat-num"]),
    layer("skyscat-gpu", 1, &["skyscat-num"]),
    layer("skyscat-shaders", 1, &[]),
    layer("skyscat-autodiff", 2, &["skyscat-num", "skyscat-gpu", "skyscat-shaders"]),
    layer(
        "skyscat-wavelet",
        3,
        &["skyscat-num", "skyscat-healpix", "skyscat-autodiff", "skyscat-gpu", "skyscat-shaders"],
    ),
    layer(
        "skyscat-harmonic",
        3,
        &["skyscat-num", "skyscat-healpix", "skyscat-autodiff", "skyscat-gpu", "skyscat-shaders"],
    ),
    layer(
        "skyscat-scattering",
        4,
        &["skyscat-wavelet", "skyscat-autodiff", "skyscat-healpix", "skyscat-num"],
    ),
    layer("skyscat-sim", 4, &["skyscat-num", "skyscat-healpix"]),
    layer("skyscat-io", 4, &["skyscat-num", "skyscat-healpix"]),
    layer("skyscat-validation", 4, &["skyscat-num", "skyscat-healpix", "skyscat-harmonic"]),
    layer(
        "skyscat-emulator",
        5,
        &[
            "skyscat-scattering",
            "skyscat-harmonic",
            "skyscat-wavelet",
            "skyscat-autodiff",
            "skyscat-healpix",
            "skyscat-num",
            "skyscat-gpu",
        ],
    ),
    layer(
        "skyscat",
        6,
        &[
            "skyscat-num",
            "skyscat-healpix",
            "skyscat-gpu",
            "skyscat-shaders",
            "skyscat-autodiff",
            "skyscat-wavelet",
            "skyscat-harmonic",
            "skyscat-scattering",
            "skyscat-sim",
            "skyscat-io",
            "skyscat-validation",
            "skyscat-emulator",
        ],
    ),
    layer("skyscat-plot", 7, &["skyscat", "skyscat-healpix", "skyscat-num"]),
    layer("skyscat-cli", 8, &["skyscat", "skyscat-plot"]),
    layer("skyscat-python", 8, &["skyscat", "skyscat-plot"]),
    layer("skyscat-benches", 9, &["skyscat"]),
    layer("skyscat-tests", 9, &[]),
    layer("xtask", 9, &[]),
];

/// Crates from outside that only some may name, and why.
const OWNED: &[(&str, &[&str], &str)] = &[
    ("wgpu", &["skyscat-gpu"], "devices are named in one crate"),
    ("clap", &["skyscat-cli", "xtask"], "command lines are for programs"),
    ("indicatif", &["skyscat-cli"], "libraries show no progress bars"),
    ("mpi", &["skyscat-cli"], "libraries sum over ranks through a trait"),
    ("ctrlc", &["skyscat-cli"], "libraries catch no signals"),
    ("fitskit", &[], "FITS is read by a codec of our own; this one is an oracle in tests"),
    ("cdshealpix", &[], "geometry is our own; this one is an oracle in tests"),
];

/// A normal dependency of a workspace member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: String,
    pub(super) to: String,
}

/// The normal dependencies in `cargo metadata`.
pub(super) fn edges(metadata: &Value) -> Vec<Edge> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list(&metadata["packages"])
        .iter()
        .flat_map(|package| {
            let from = text(&package["name"]);
            // Normal dependencies have no kind.
            let normal = list(&package["dependencies"]).into_iter().filter(|d| d["kind"].is_null());
            let to: Vec<String> = normal.map(|d| text(&d["name"])).collect();
            // A member without dependencies must be known too.
            let own = std::iter::once(Edge { from: from.clone(), to: String::new() });
            own.chain(to.into_iter().map(move |to| Edge { from: from.clone(), to }))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// What is wrong with a set of dependencies; each fault names its edge.
pub(super) fn faults(edges: &[Edge]) -> Vec<String> {
    let find = |name: &str| LAYERS.iter().find(|l| l.package == name);
    let mut faults = Vec::new();
    for Edge { from, to } in edges {
        let Some(own) = find(from) else {
            faults.push(format!("{from} has no floor: add it to the table of xtask/src/tidy"));
            continue;
        };
        if let Some((_, owners, why)) = OWNED.iter().find(|(name, ..)| name == to)
            && !owners.contains(&from.as_str())
        {
            faults.push(format!("{from} -> {to} is forbidden: {why}"));
        }
        if let Some(other) = find(to)
            && !own.may_use.contains(&other.package)
        {
            faults.push(format!(
                "{from} -> {to} is forbidden: floor {} may use {}",
                own.floor,
                match own.may_use {
                    [] => "no crate of the workspace".to_owned(),
                    allowed => allowed.join(", "),
                }
            ));
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str) -> Edge {
        Edge { from: from.to_owned(), to: to.to_owned() }
    }

    #[test]
    fn every_arrow_of_the_table_points_down() {
        for own in LAYERS {
            for name in own.may_use {
                let other = LAYERS.iter().find(|l| l.package == *name).expect("in the table");
                assert!(other.floor < own.floor, "{} -> {name}", own.package);
            }
        }
    }

    #[test]
    fn an_allowed_graph_passes() {
        let graph = [
            edge("skyscat-num", ""),
            edge("skyscat-healpix", "ndarray"),
            edge("skyscat-wavelet", "skyscat-autodiff"),
            edge("skyscat-cli", "clap"),
        ];
        assert_eq!(faults(&graph), Vec::<String>::new());
    }

    #[test]
    fn a_forbidden_edge_is_named() {
        let upward = faults(&[edge("skyscat-healpix", "skyscat-wavelet")]);
        assert_eq!(upward.len(), 1);
        assert!(upward[0].contains("skyscat-healpix -> skyscat-wavelet"), "{}", upward[0]);
        let judge = faults(&[edge("skyscat-validation", "skyscat-scattering")]);
        assert!(judge[0].contains("skyscat-validation -> skyscat-scattering"), "{}", judge[0]);
        let device = faults(&[edge("skyscat-autodiff", "wgpu")]);
        assert!(device[0].contains("skyscat-autodiff -> wgpu"), "{}", device[0]);
        let task = faults(&[edge("xtask", "skyscat-io")]);
        assert!(task[0].contains("xtask -> skyscat-io"), "{}", task[0]);
    }

    #[test]
    fn a_crate_without_a_floor_is_named() {
        let unknown = faults(&[edge("skyscat-new", "")]);
        assert!(unknown[0].contains("skyscat-new has no floor"), "{}", unknown[0]);
    }

    #[test]
    fn the_workspace_keeps_its_layers() {
        let edges = edges(&crate::cargo::metadata().expect("cargo is here"));
        assert!(edges.contains(&edge("skyscat-wavelet", "skyscat-autodiff")), "{edges:?}");
        assert_eq!(faults(&edges), Vec::<String>::new());
    }
}
