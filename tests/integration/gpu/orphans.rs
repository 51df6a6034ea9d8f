//! No operator without a GPU kernel, no WGSL file without a twin and a caller.

use super::twins::known;
use super::{device, terms, vectors};
use skyscat_autodiff::{
    Channels, CpuKernel, GpuError, GpuProgram, Graph, GraphError, Keeps, Operator, Purpose, Shape,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The Rust sources of the crates that have operators or loss terms.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for name in ["autodiff", "wavelet", "harmonic", "scattering", "emulator"] {
        let mut folders = vec![root().join("crates").join(name).join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    found.push((path, text));
                }
            }
        }
    }
    found
}

/// Operators of a source that do not answer a device call.
fn orphans(text: &str) -> Vec<String> {
    let blocks = text.split("impl Operator for ").skip(1);
    let bare = blocks.filter(|block| {
        let end = block.find("\n}\n").unwrap_or(block.len());
        !block[..end].contains("fn gpu(&self")
    });
    bare.map(|block| block.split_whitespace().next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_operator_has_a_gpu_kernel() {
    let mut count = 0;
    for (path, text) in sources() {
        count += text.matches("impl Operator for ").count();
        assert_eq!(orphans(&text), Vec::<String>::new(), "{}", path.display());
    }
    assert!(count >= 17, "{count} operators were found");
    // An operator without a kernel is named.
    let bare = "impl Operator for Lonely {\n    fn name() {}\n}\n";
    assert_eq!(orphans(bare), ["Lonely"]);
}

#[test]
fn every_wgsl_file_has_a_caller_and_a_twin() {
    let sources = sources();
    for kernel in skyscat_shaders::KERNELS {
        let name = format!("\"{}\"", kernel.name);
        assert!(sources.iter().any(|(_, text)| text.contains(&name)), "nobody runs {name}");
        let head = kernel.source.split("\n\n").find(|part| part.contains("Twin of"));
        let line = head.unwrap_or_else(|| panic!("{} names no twin", kernel.name));
        let twin = line.split('`').find(|part| part.ends_with(".rs"));
        let twin = root().join(twin.unwrap_or_else(|| panic!("{} names no file", kernel.name)));
        assert!(twin.is_file(), "{}: {} is missing", kernel.name, twin.display());
    }
}

#[test]
fn every_kernel_is_compared_with_f64() {
    let operators = known().iter().flat_map(|(_, twins)| twins);
    let run = operators.flat_map(|(_, bounds)| bounds.reads.keys()).map(|(kernel, _)| *kernel);
    let others = terms::KERNELS.iter().chain(vectors::KERNELS).copied();
    let compared: BTreeSet<&str> = run.chain(others).collect();
    let all: BTreeSet<&str> = skyscat_shaders::KERNELS.iter().map(|kernel| kernel.name).collect();
    assert_eq!(compared, all);
}

/// An operator that runs on the CPU alone.
#[derive(Debug)]
struct Lonely(Channels);

impl Operator for Lonely {
    fn name(&self) -> &'static str {
        "lonely"
    }
    fn shape(&self, inputs: &[Shape]) -> Result<Shape, GraphError> {
        self.0.shape(inputs)
    }
    fn keeps(&self) -> Keeps {
        self.0.keeps()
    }
    fn flops(&self, inputs: &[Shape]) -> f64 {
        self.0.flops(inputs)
    }
    fn cpu(&self) -> &dyn CpuKernel {
        self.0.cpu()
    }
}

#[test]
fn an_operator_without_a_kernel_is_refused_by_name() {
    let Some(device) = device("no kernel") else { return };
    let mut graph = Graph::new();
    let x = graph.input(Shape::real(4, 2));
    let out = graph.apply(Lonely(Channels::new(0..1)), &[x]).unwrap();
    graph.output("out", out);
    let refused = GpuProgram::compile(Arc::new(graph), 1, Purpose::Values, device).unwrap_err();
    assert_eq!(refused, GpuError::Operator { operator: "lonely" });
}
