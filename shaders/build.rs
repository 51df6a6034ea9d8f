//! Validates every WGSL file and writes its Rust face to `OUT_DIR`.

#[path = "build/face.rs"]
mod face;
#[path = "build/validate.rs"]
mod validate;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=wgsl");
    println!("cargo::rerun-if-changed=build");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let root = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    match faces(&Path::new(&root).join("wgsl")) {
        Ok(text) => {
            std::fs::write(out.join("kernels.rs"), text).expect("OUT_DIR can be written");
            ExitCode::SUCCESS
        }
        Err(message) => {
            message.lines().for_each(|line| println!("cargo::error={line}"));
            ExitCode::FAILURE
        }
    }
}

/// The Rust face of all files of a folder, in the order of their names.
fn faces(folder: &Path) -> Result<String, String> {
    let listing = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "wgsl"));
    files.sort();
    let mut text = String::new();
    let (mut kernels, mut mirrored) = (Vec::new(), BTreeSet::new());
    for file in files {
        let name = file.file_name().expect("a listed file has a name").to_string_lossy();
        let (stem, shown) = (name.trim_end_matches(".wgsl"), format!("shaders/wgsl/{name}"));
        let own = read(&file)?;
        let mut paths = vec![file.clone()];
        let mut sources = vec![(shown.clone(), own.clone())];
        // What `real` is comes last: single, and once more double.
        for prelude in preludes(&own).into_iter().chain(["single", "double"]) {
            let path = folder.join("prelude").join(format!("{prelude}.wgsl"));
            sources.push((format!("shaders/wgsl/prelude/{prelude}.wgsl"), read(&path)?));
            paths.push(path);
        }
        let sources: Vec<(&str, &str)> =
            sources.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let (common, reals) = sources.split_at(sources.len() - 2);
        let module = validate::validate(&[common, &reals[..1]].concat())?;
        validate::validate_double(&[common, &reals[1..]].concat())?;
        let face = face::Face::new(stem, &shown, &module)?;
        text += &face.text(&paths, &mut mirrored);
        kernels.push(face.constant());
    }
    text += &face::list(&kernels);
    Ok(text)
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))
}

/// What a file asks for in its first line: texts of `wgsl/prelude` that follow its own, so
/// that its lines keep their numbers.
fn preludes(source: &str) -> Vec<&str> {
    let first = source.lines().next().unwrap_or_default();
    let names = first.strip_prefix("// Prelude: ").unwrap_or_default().trim_end_matches('.');
    names.split(", ").filter(|name| !name.is_empty()).collect()
}
