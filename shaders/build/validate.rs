//! Parses and validates WGSL; errors name file, line and message.

use naga::Module;
use naga::front::wgsl::{Frontend, Options};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// The module of a WGSL file with its preludes, each a name for errors and its text.
///
/// # Errors
/// The file, the line and what is wrong there, with the source line shown.
pub(crate) fn validate(files: &[(&str, &str)]) -> Result<Module, String> {
    // No capability beyond WebGPU's core: kernels run on every adapter.
    validate_for(files, Capabilities::empty())
}

/// The same for devices that have numbers of 64 bits.
///
/// # Errors
/// As [`validate`].
pub(crate) fn validate_double(files: &[(&str, &str)]) -> Result<Module, String> {
    validate_for(files, Capabilities::FLOAT64)
}

fn validate_for(files: &[(&str, &str)], allowed: Capabilities) -> Result<Module, String> {
    let source = joined(files);
    let (source, name) = (source.as_str(), files[0].0);
    let mut options = Options::new();
    options.parse_doc_comments = true;
    let module = Frontend::new_with_options(options).parse(source).map_err(|error| {
        let place = place(files, error.location(source).map_or(0, |at| at.line_number));
        format!("{place}: {error}\n{}", error.emit_to_string_with_path(source, name))
    })?;
    let mut validator = Validator::new(ValidationFlags::all(), allowed);
    match validator.validate(&module) {
        Ok(_) => Ok(module),
        Err(error) => {
            let place = place(files, error.location(source).map_or(0, |at| at.line_number));
            let shown = error.emit_to_string_with_path(source, name);
            Err(format!("{place}: {}\n{shown}", error.as_inner()))
        }
    }
}

/// A file and what comes after it, in the order given.
fn joined(files: &[(&str, &str)]) -> String {
    files.iter().map(|(_, text)| *text).collect()
}

/// File and line of a line of what is joined.
fn place(files: &[(&str, &str)], line: u32) -> String {
    let mut line = line as usize;
    for (name, text) in &files[..files.len() - 1] {
        let lines = text.lines().count();
        if line <= lines {
            return format!("{name}:{line}");
        }
        line -= lines;
    }
    format!("{}:{line}", files[files.len() - 1].0)
}
