//! Validates every WGSL file and writes its Rust face to `OUT_DIR`.

#[path = "build/face.rs"]
mod face;
#[path = "build/validate.rs"]
mod validate;

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
    let mut kernels = Vec::new();
    for file in &files {
        let name = file.file_name().expect("a listed file has a name").to_string_lossy();
        let source =
            std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        let shown = format!("shaders/wgsl/{name}");
        let module = validate::validate(&shown, &source)?;
        let face = face::Face::new(name.trim_end_matches(".wgsl"), &shown, &module)?;
        text += &face.text(file);
        kernels.push(face.constant());
    }
    text += &face::list(&kernels);
    Ok(text)
}
