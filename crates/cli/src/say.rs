//! The one place that writes to the terminal: results to stdout, all else to stderr.

use std::io::Write;

/// A line of the result.
pub(crate) fn result(line: &str) {
    // A closed pipe (`skyscat info … | head`) is no reason to panic.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A line about the work: notes, progress, errors.
pub(crate) fn note(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
