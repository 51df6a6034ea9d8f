//! Parses and validates WGSL; errors name file, line and message.

use naga::Module;
use naga::front::wgsl::{Frontend, Options};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// The module of a WGSL source; `name` stands for the file in errors.
///
/// # Errors
/// The file, the line and what is wrong there, with the source line shown.
pub(crate) fn validate(name: &str, source: &str) -> Result<Module, String> {
    let mut options = Options::new();
    options.parse_doc_comments = true;
    let module = Frontend::new_with_options(options).parse(source).map_err(|error| {
        let line = error.location(source).map_or(0, |at| at.line_number);
        format!("{name}:{line}: {error}\n{}", error.emit_to_string_with_path(source, name))
    })?;
    // No capability beyond WebGPU's core: kernels run on every adapter.
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    match validator.validate(&module) {
        Ok(_) => Ok(module),
        Err(error) => {
            let line = error.location(source).map_or(0, |at| at.line_number);
            let shown = error.emit_to_string_with_path(source, name);
            Err(format!("{name}:{line}: {}\n{shown}", error.as_inner()))
        }
    }
}
