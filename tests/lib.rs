//! Where tests find fixtures: the one place that knows the path of `../shared`.

use std::path::PathBuf;

/// Path of a file under the shared folder beside the checkout, or `None` when
/// the folder is absent (the caller then skips, visibly, through [`skip`]).
pub fn shared(relative: &str) -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    root.is_dir().then(|| {
        let path = root.join(relative);
        assert!(path.exists(), "shared fixture {} is missing", path.display());
        path
    })
}

/// Path of a committed golden file.
pub fn golden(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(relative)
}

/// Says aloud that a test was skipped, and why.
#[allow(clippy::print_stderr, reason = "a skipped test must be visible")]
pub fn skip(test: &str, why: &str) {
    eprintln!("SKIPPED {test}: {why}");
}

/// Opens a shared npz file, or says that the calling test is skipped.
pub fn shared_npz(test: &str, relative: &str) -> Option<ndarray_npy::NpzReader<std::fs::File>> {
    let Some(path) = shared(relative) else {
        skip(test, "no ../shared beside this checkout");
        return None;
    };
    let file = std::fs::File::open(&path).expect("fixture opens");
    Some(ndarray_npy::NpzReader::new(file).expect("fixture is npz"))
}
