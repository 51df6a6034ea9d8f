// Prelude: invocation, term, moments.
//
// The mean of each coefficient over a group of maps against a target, with its gradient.
//
// Twin of `crates/emulator/src/loss/matching.rs` and of `sum.rs` beside it. Maps are
// taken relative to the target before they are added, so that a mean near the target
// loses no digits.
//
// Columns: target, what f32 leaves of it, 1/σ, and the scale of a squared residual.

// scale·((mean − target)/σ)², and its gradient added: one coefficient of one group.
@compute @workgroup_size(64)
fn evaluate(invocation: Invocation) {
    let index = flat(invocation);
    if index >= sizes.coefficients * sizes.groups {
        return;
    }
    let own = coefficient(index);
    let residual = mean_of(own.start, 1.0, own.column.xy) * own.column.z;
    contributions[own.row] = own.column.w * residual * residual;
    let slope = 2.0 * own.column.w * residual * own.column.z / real(sizes.maps);
    for (var map = 0u; map < sizes.maps; map++) {
        gradient[own.start + map] += slope;
    }
}
