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

/// An array of a shared npy file, or says that the calling test is skipped.
///
/// # Panics
/// If the file holds another type than `T`.
pub fn shared_npy<T: ndarray_npy::ReadableElement>(
    test: &str,
    relative: &str,
) -> Option<ndarray::ArrayD<T>> {
    let Some(path) = shared(relative) else {
        skip(test, "no ../shared beside this checkout");
        return None;
    };
    Some(ndarray_npy::read_npy(path).expect("fixture is npy of this type"))
}

/// A named array of an npz file, flattened, as f64.
///
/// # Panics
/// If there is no such array of `f64`, `f32`, `i32` or `i64`.
pub fn reals<R: std::io::Read + std::io::Seek>(
    npz: &mut ndarray_npy::NpzReader<R>,
    name: &str,
) -> Vec<f64> {
    use ndarray::ArrayD;
    let file = format!("{name}.npy");
    if let Ok(array) = npz.by_name::<ndarray::OwnedRepr<f64>, ndarray::IxDyn>(&file) {
        return array.iter().copied().collect();
    }
    if let Ok(array) = npz.by_name::<ndarray::OwnedRepr<f32>, ndarray::IxDyn>(&file) {
        return array.iter().map(|&x| f64::from(x)).collect();
    }
    if let Ok(array) = npz.by_name::<ndarray::OwnedRepr<i32>, ndarray::IxDyn>(&file) {
        return array.iter().map(|&x| f64::from(x)).collect();
    }
    let array: ArrayD<i64> = npz.by_name(&file).unwrap_or_else(|e| panic!("array {name}: {e}"));
    array.iter().map(|&x| x as f64).collect()
}

/// A named complex array of an npz file, flattened.
///
/// # Panics
/// If there is no such array.
pub fn complexes<R: std::io::Read + std::io::Seek>(
    npz: &mut ndarray_npy::NpzReader<R>,
    name: &str,
) -> Vec<num_complex::Complex64> {
    let array: ndarray::ArrayD<num_complex::Complex64> =
        npz.by_name(&format!("{name}.npy")).unwrap_or_else(|e| panic!("array {name}: {e}"));
    array.iter().copied().collect()
}

/// max|a − b| / max|b|, the error measure of the fixtures.
///
/// # Panics
/// If the lengths differ.
pub fn relative_error(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "lengths of the arrays compared");
    let peak = b.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let worst = a.iter().zip(b).fold(0.0f64, |m, (a, b)| {
        let difference = (a - b).abs();
        if difference.is_nan() { f64::INFINITY } else { m.max(difference) }
    });
    worst / peak
}

/// As [`relative_error`], for complex arrays.
///
/// # Panics
/// If the lengths differ.
pub fn relative_error_complex(a: &[num_complex::Complex64], b: &[num_complex::Complex64]) -> f64 {
    let parts = |z: &[num_complex::Complex64]| -> Vec<f64> {
        z.iter().flat_map(|z| [z.re, z.im]).collect()
    };
    relative_error(&parts(a), &parts(b))
}
