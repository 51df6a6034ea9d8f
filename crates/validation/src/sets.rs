//! Sets of maps as matrices, and whether two sets can be compared.

use crate::error::{Result, ValidationError};
use ndarray::{ArrayView2, CowArray, Ix2};
use skyscat_healpix::{MapSet, Ordering};

/// A set as a matrix `(n_maps, n_channels × n_pixels)`.
///
/// Nothing is copied if the set is contiguous. Variables are the channels one after another: QU stacked.
pub fn matrix(set: &MapSet) -> CowArray<'_, f64, Ix2> {
    let (maps, channels, pixels) = set.data().dim();
    match set.data().into_shape_with_order((maps, channels * pixels)) {
        Ok(view) => CowArray::from(view),
        Err(_) => {
            let copy = set.data().as_standard_layout().into_owned();
            let whole = copy.into_shape_with_order((maps, channels * pixels));
            CowArray::from(whole.expect("standard layout"))
        }
    }
}

/// Checks that a set is complete and described as the reference set.
///
/// # Errors
/// [`ValidationError::Maps`] for NaN, infinite or UNSEEN pixels,
/// [`ValidationError::Mismatch`] for another Nside, ordering, channels, unit,
/// coordinates or polarisation convention (where both state one).
pub fn check_comparable(name: &'static str, set: &MapSet, reference: &MapSet) -> Result<()> {
    let differs = |what, given: String, allowed: String| {
        let set = name;
        match given == allowed {
            true => Ok(()),
            false => Err(ValidationError::Mismatch { what, set, given, allowed }),
        }
    };
    let both = |a: Option<&str>, b: Option<&str>| match (a, b) {
        (Some(a), Some(b)) => (a.to_owned(), b.to_owned()),
        _ => Default::default(),
    };
    differs("Nside", set.nside().get().to_string(), reference.nside().get().to_string())?;
    differs("ordering", order(set).to_owned(), order(reference).to_owned())?;
    differs("the channels", set.channels().join(", "), reference.channels().join(", "))?;
    for (what, (given, allowed)) in [
        ("the unit", both(set.unit(), reference.unit())),
        ("the coordinate system", both(set.coordsys(), reference.coordsys())),
        ("the polarisation convention", both(set.polcconv(), reference.polcconv())),
    ] {
        differs(what, given, allowed)?;
    }
    set.check_full_sky().map_err(|source| ValidationError::Maps { set: name, source })
}

pub(crate) fn order(set: &MapSet) -> &'static str {
    match set.ordering() {
        Ordering::Ring => "RING",
        Ordering::Nest => "NEST",
    }
}

/// Checks that a set has channels Q, U in RING order.
pub(crate) fn check_qu_ring(score: &'static str, set: &MapSet) -> Result<()> {
    if set.channels() != ["Q", "U"] {
        let given = set.channels().join(", ");
        return Err(ValidationError::Channels { score, given, allowed: "Q, U" });
    }
    if set.ordering() != Ordering::Ring {
        return Err(ValidationError::Ordering { score, given: order(set) });
    }
    Ok(())
}

/// Maps `first..first + count` of a Q/U set as a batch slice `[pixel][Q, U][map]`.
pub(crate) fn batch(maps: ArrayView2<'_, f64>, out: &mut Vec<f64>) {
    let (count, variables) = maps.dim();
    let pixels = variables / 2;
    out.clear();
    out.resize(count * variables, 0.0);
    for (map, row) in maps.rows().into_iter().enumerate() {
        for pixel in 0..pixels {
            out[2 * pixel * count + map] = row[pixel];
            out[(2 * pixel + 1) * count + map] = row[pixels + pixel];
        }
    }
}
